# SPDX-License-Identifier: Apache-2.0
"""What every interpreter gets and is easier said in Python. Executed once per interpreter; `state.rs` takes the
names it needs. Nothing here is visible to applications except the classes put into `mod_wsgi`."""

import io
import sys
import types


class RequestDataError(OSError):
    """The request body could not be read."""


class ClientDisconnected(RequestDataError):
    """The client closed its connection before it had sent the whole body."""


class RequestDataTimeout(RequestDataError):
    """The client sent nothing for the server's Timeout."""


class RequestDataTooLarge(RequestDataError):
    """The body exceeds LimitRequestBody."""


class RequestTimeout(BaseException):
    """The request takes longer than request-timeout; raised in its thread where interrupt-timeout is set."""


event_callbacks = []
shutdown_callbacks = []
signal_callbacks = []


def subscribe_events(callback):
    """Has `callback(name, **facts)` called for what happens in this process."""
    event_callbacks.append(callback)
    return callback


def subscribe_shutdown(callback):
    """Has `callback(name, **facts)` called when this process begins to end."""
    shutdown_callbacks.append(callback)
    return callback


def subscribe_signals(callback):
    """Has `callback(name, **facts)` called for SIGHUP and SIGUSR2."""
    signal_callbacks.append(callback)
    return callback


def publish(callbacks, name, facts):
    """Calls subscribers, the general ones first; what one answers is added to what the next ones are told."""
    for callback in event_callbacks + callbacks:
        try:
            answer = callback(name, **facts)
            if isinstance(answer, dict):
                facts.update(answer)
        except BaseException:
            import traceback

            print("a subscriber raised an exception when it was told of %s:" % name, file=sys.stderr)
            traceback.print_exc()


def publish_stopping(reason):
    publish(shutdown_callbacks, "process_stopping", {"shutdown_reason": reason})


def publish_signal(name, number):
    publish(signal_callbacks, "process_signal", {"signame": name, "signum": number})


def stack(frame):
    """What a thread is doing, for the log. Reads no source: each access to a file would wait for the interpreter again."""
    lines = []
    while frame is not None:
        code = frame.f_code
        lines.append('  File "%s", line %s, in %s' % (code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return "\n".join(reversed(lines)).encode("utf-8", "backslashreplace")


class FileWrapper:
    """Yields the blocks of a file; an open regular file is sent by the server itself."""

    def __init__(self, filelike, blksize=8192):
        if blksize < 0:
            raise ValueError("blksize must not be negative")
        self._filelike = filelike
        self._blksize = blksize

    def _open(self):
        try:
            filelike = self._filelike
        except AttributeError:
            raise ValueError("I/O operation on closed file") from None
        return filelike

    @property
    def filelike(self):
        return self._open()

    @property
    def blksize(self):
        return self._blksize

    def __iter__(self):
        self._open()
        return self

    def __next__(self):
        block = self._open().read(self._blksize)
        if not isinstance(block, bytes):
            raise TypeError(
                "read() of the object given to file_wrapper must return bytes, not " + type(block).__name__
            )
        if block:
            return block
        raise StopIteration

    def close(self):
        try:
            filelike = self._filelike
        except AttributeError:
            return
        del self._filelike
        try:
            close = filelike.close
        except AttributeError:
            return
        try:
            close()
        except Exception:
            pass


def span(wrapper):
    """Descriptor, offset, size, position when the file behind a wrapper can be sent as it lies on disk, else None."""
    kind = type(wrapper)
    if kind.__iter__ is not FileWrapper.__iter__ or kind.__next__ is not FileWrapper.__next__:
        return None
    try:
        import os
        import stat

        filelike = wrapper.filelike
        # A text or decompressing file does not yield what is on disk.
        plain = (io.FileIO, io.BufferedReader, io.BufferedRandom)
        if isinstance(filelike, io.IOBase) and not isinstance(filelike, plain):
            return None
        descriptor = filelike.fileno()
        offset = filelike.tell()
        if not isinstance(descriptor, int) or not isinstance(offset, int) or offset < 0:
            return None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        return descriptor, offset, status.st_size, os.lseek(descriptor, 0, os.SEEK_CUR)
    except Exception:
        return None


def rewind(span):
    """Puts the position back that the server's reading moved: a duplicated descriptor shares it."""
    import os

    try:
        os.lseek(span[0], span[3], os.SEEK_SET)
    except OSError:
        pass


def describe(exception):
    """An exception for the log: a summary, then the lines of its traceback."""
    import traceback

    kind = type(exception)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = kind.__module__ + "." + name
    try:
        message = str(exception)
    except Exception:
        message = "(its message could not be had)"
    summary = name + ": " + message if message else name
    summary = " ".join(summary.split())[:1000]
    frames = exception.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == "<mod_wsgi_rs>":
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(kind, exception, frames))
    except Exception as failure:
        text = "(its traceback could not be formatted: " + type(failure).__name__ + ")"
    return (summary + "\n" + text.rstrip("\n")).encode("utf-8", "backslashreplace")


def again(exc_info):
    """Raises what was given to start_response as exc_info."""
    if len(exc_info) != 3:
        raise TypeError("exc_info must have three elements")
    kind, value, frames = exc_info
    if value is None:
        value = kind()
    if not isinstance(value, BaseException):
        raise TypeError("exc_info holds no exception")
    raise value.with_traceback(frames)


def stream(raw):
    """A text stream over a raw log."""
    return io.TextIOWrapper(raw, encoding="utf-8", errors="replace", line_buffering=True, write_through=True)


def warn_text():
    """str was given to a raw log; said once."""
    global warn_text_done
    if not warn_text_done:
        warn_text_done = True
        import warnings

        warnings.warn("write() of a log object takes bytes, not str", DeprecationWarning, stacklevel=2)


warn_text_done = False


def restrict_signals(note):
    """Handlers set by applications would take the server's signals: they are not installed, and processes that fork are
    free to. Answers what it was given, as applications written for mod_wsgi expect."""
    import os
    import signal as module

    real = module.signal
    process = os.getpid()

    def signal(signalnum, handler):
        if os.getpid() != process:
            return real(signalnum, handler)
        import traceback

        note("signal.signal(%r, ...) was ignored: the server owns the signals of this process" % (signalnum,))
        for line in "".join(traceback.format_stack(sys._getframe(1))).splitlines():
            note(line)
        return handler

    signal.__doc__ = real.__doc__
    module.signal = signal


class Forbidden:
    """A standard stream that applications must not use."""

    __slots__ = ("__name",)

    def __init__(self, name):
        object.__setattr__(self, "_Forbidden__name", name)

    def __getattribute__(self, attribute):
        name = object.__getattribute__(self, "_Forbidden__name")
        raise OSError(name + " access restricted by mod_wsgi")

    def __setattr__(self, attribute, value):
        getattr(self, attribute)

    def __delattr__(self, attribute):
        getattr(self, attribute)


def take_over_errors(stderr):
    sys.stderr = stream(stderr)


def take_over_streams(stdout, stdin_restricted, stdout_restricted):
    """Standard output and input; left alone where the server runs as one process for debugging."""
    sys.stdout = Forbidden("sys.stdout") if stdout_restricted else stream(stdout)
    if stdin_restricted:
        sys.stdin = Forbidden("sys.stdin")
    elif sys.stdin is None:
        import os

        sys.stdin = open(os.devnull)


def set_egg_cache(directory):
    """The first interpreter changes the environment of the process, which the others have from it."""
    import os

    if os.environ.get("PYTHON_EGG_CACHE") != directory:
        os.environ["PYTHON_EGG_CACHE"] = directory


def extend_path(directories):
    """Adds directories the way `site` does (.pth files run) and moves what is new to the front, in order."""
    import site

    failed = []
    before = set(sys.path)
    for directory in directories:
        try:
            site.addsitedir(directory)
        except Exception as failure:
            failed.append((directory, "%s: %s" % (type(failure).__name__, failure)))
    new = [entry for entry in sys.path if entry not in before]
    sys.path[:] = new + [entry for entry in sys.path if entry in before]
    return failed


def refuse_signals(note):
    """What `subscribe_signals` is where httpd has the signals."""

    def subscribe_signals(callback):
        import traceback

        note("subscribe_signals() was ignored: httpd owns the signals of this process")
        for line in "".join(traceback.format_stack(sys._getframe(1))).splitlines():
            note(line)
        return callback

    return subscribe_signals


def build_modules(facts, note):
    """The modules `mod_wsgi` and `apache`; answers the names and reasons of companions that failed to import."""
    failed = []

    def companion(name):
        sys.modules.pop(name, None)
        try:
            return __import__(name)
        except ImportError as failure:
            if getattr(failure, "name", None) != name:
                failed.append((name, "%s: %s" % (type(failure).__name__, failure)))
        except Exception as failure:
            failed.append((name, "%s: %s" % (type(failure).__name__, failure)))
        return None

    package = companion("mod_wsgi")
    module = types.ModuleType("mod_wsgi")
    if package is not None and hasattr(package, "__path__"):
        module.__path__ = package.__path__
    errors = (RequestDataError, ClientDisconnected, RequestDataTimeout, RequestDataTooLarge, RequestTimeout)
    for kind in (FileWrapper,) + errors:
        kind.__module__ = "mod_wsgi"
        setattr(module, kind.__name__, kind)
    module.event_callbacks = event_callbacks
    module.shutdown_callbacks = shutdown_callbacks
    module.signal_callbacks = signal_callbacks
    module.subscribe_events = subscribe_events
    module.subscribe_shutdown = subscribe_shutdown
    module.subscribe_signals = refuse_signals(note) if facts["embedded"] else subscribe_signals
    for name, value in facts["mod_wsgi"].items():
        setattr(module, name, value)
    sys.modules["mod_wsgi"] = module

    apache = companion("apache") if facts["embedded"] else None
    if apache is None:
        apache = types.ModuleType("apache")
    for name, value in facts["apache"].items():
        setattr(apache, name, value)
    sys.modules["apache"] = apache
    return failed


def execute(name, path, source):
    """Loads a script as a module of its own; what it raises is raised here, and then it is as if never loaded."""
    import os

    file = os.fsdecode(path)
    code = compile(source, file, "exec", dont_inherit=True)
    module = types.ModuleType(name)
    module.__file__ = file
    sys.modules[name] = module
    try:
        Service.own = True
        if Service.told:
            raise SystemExit(0)
        exec(code, module.__dict__)
        Service.own = False
    except BaseException:
        Service.own = False
        if sys.modules.get(name) is module:
            del sys.modules[name]
        raise
    return module


def reload_required(hook, resource):
    import os

    return bool(hook(os.fsdecode(resource)))


def forget(name):
    sys.modules.pop(name, None)


class Service:
    """A process without request threads: whether its own code runs, which the signal to end interrupts, and whether that came."""

    own = False
    told = False


def begin_service():
    """Lets SIGTERM end a process without request threads as `sys.exit()` does."""
    import signal

    def end(*_):
        Service.told = True
        if Service.own:
            raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)


def join_threads():
    threading = sys.modules.get("threading")
    if threading is not None:
        # CPython calls it again when the interpreter ends; 3.12 takes a second call in a sub-interpreter amiss.
        join, threading._shutdown = threading._shutdown, lambda: None
        if Service.told:
            return
        # From 3.13 on it reports what interrupts it, instead of raising it.
        report = sys.unraisablehook
        sys.unraisablehook = lambda ignored: ignored.exc_type is SystemExit or report(ignored)
        try:
            join()
        finally:
            sys.unraisablehook = report


def end():
    """What Python does before it finalises an interpreter: joins non-daemon threads, then runs atexit functions."""
    import atexit

    steps = [join_threads, atexit._run_exitfuncs, flush]
    while steps:
        step = steps.pop(0)
        # A service that is told to end goes on with what comes next.
        try:
            Service.own = True
            step()
            Service.own = False
        except SystemExit:
            Service.own = False
    # Python would complain that it cannot flush it.
    if type(sys.stdout) is Forbidden:
        sys.stdout = None


def flush():
    """Writes lines that were begun."""
    for standard in (sys.stdout, sys.stderr):
        try:
            standard.flush()
        except Exception:
            pass


import codecs
import encodings.ascii
import threading

sys.argv = ["mod_wsgi"]
codecs.lookup("ascii")
