# SPDX-License-Identifier: Apache-2.0
"""wsgi.file_wrapper over regular files and other things, one per path."""

import io
import os
import threading

import journal

PLAIN = [("Content-Type", "application/octet-stream")]
SIZES = (0, 1, 4095, 4096, 8192, 65537, 1000003)


def content(size):
    return bytes(index * 7 % 251 for index in range(min(size, 4096))) * (size // 4096 + 1)


def make(size):
    path = os.path.join(journal.STATE, "data-%d-%d" % (size, os.getpid()))
    if not os.path.exists(path):
        # Several threads may make it at once: each its own draft, and the last rename wins.
        draft = "%s.%d" % (path, threading.get_ident())
        with open(draft, "wb") as file:
            file.write(content(size)[:size])
        os.replace(draft, path)
    return open(path, "rb")


class Noting:
    """A file-like object without fileno() that notes its close()."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def read(self, size):
        journal.note("read %d" % size)
        return self.data.read(size)

    def close(self):
        journal.note("closed file-like")


class Closing(io.FileIO):
    def close(self):
        if not self.closed:
            journal.note("closed regular file")
        super().close()


class Broken(Noting):
    def close(self):
        journal.note("closing broken file")
        raise OSError("in close")


def with_offset(size, offset, headers=()):
    def run(environ, start_response):
        file = make(size)
        file.seek(offset)
        start_response("200 OK", PLAIN + list(headers))
        return environ["wsgi.file_wrapper"](file)

    return run


def wrapping(make_file, *arguments):
    def run(environ, start_response):
        start_response("200 OK", list(PLAIN))
        return environ["wsgi.file_wrapper"](make_file(), *arguments)

    return run


def pipe():
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe")
    os.close(writing)
    return os.fdopen(reading, "rb")


def written_first(environ, start_response):
    write = start_response("200 OK", list(PLAIN))
    write(b"before ")
    return environ["wsgi.file_wrapper"](io.BytesIO(b"after"))


def regular_after_write(environ, start_response):
    write = start_response("200 OK", list(PLAIN))
    write(b"before ")
    return environ["wsgi.file_wrapper"](make(4096))


def closing(environ, start_response):
    path = make(4096).name
    start_response("200 OK", list(PLAIN))
    return environ["wsgi.file_wrapper"](Closing(path))


def offset_kept(environ, start_response):
    file = make(4096)
    file.seek(100)

    class Watching(type(environ["wsgi.file_wrapper"](file))):
        def close(self):
            journal.note("offset %d" % file.tell())
            super().close()

    start_response("200 OK", list(PLAIN))
    return Watching(file)


def attributes(environ, start_response):
    wrapper_type = environ["wsgi.file_wrapper"]
    source = io.BytesIO(b"abcdef")
    wrapper = wrapper_type(filelike=source, blksize=4)
    facts = [wrapper.filelike is source, wrapper.blksize, list(wrapper), wrapper_type(source).blksize]
    for attempt in (
        lambda: wrapper_type(source, -1),
        lambda: setattr(wrapper, "blksize", 3),
        lambda: list(wrapper_type(io.StringIO("text"))),
        lambda: wrapper.close(),
        lambda: next(iter(wrapper)),
    ):
        try:
            facts.append(attempt())
        except Exception as error:
            facts.append(type(error).__name__)
    facts.append(source.closed)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(facts).encode()]


def unlinked(environ, start_response):
    path = os.path.join(journal.STATE, "unlinked")
    with open(path, "wb") as file:
        file.write(b"still here")
    file = open(path, "rb")
    os.unlink(path)
    start_response("200 OK", list(PLAIN))
    return environ["wsgi.file_wrapper"](file)


def inner(environ, start_response):
    """A wrapper that a middleware iterates, instead of returning it."""
    start_response("200 OK", list(PLAIN))
    return (block.upper() for block in environ["wsgi.file_wrapper"](io.BytesIO(b"lower"), 2))


PATHS = {"/size/%d" % size: with_offset(size, 0) for size in SIZES}
PATHS.update({
    "/offset": with_offset(65537, 60000),
    "/offset-at-end": with_offset(4096, 4096),
    "/offset-beyond": with_offset(4096, 9999),
    "/length-smaller": with_offset(65537, 0, [("Content-Length", "1000")]),
    "/length-exact": with_offset(65537, 65000, [("Content-Length", "537")]),
    "/length-larger": with_offset(1000, 0, [("Content-Length", "5000")]),
    "/length-much-larger": with_offset(1000, 0, [("Content-Length", "500000")]),
    "/memory": wrapping(lambda: Noting(b"0123456789"), 4),
    "/broken": wrapping(lambda: Broken(b"0123456789")),
    "/pipe": wrapping(pipe),
    "/written-first": written_first,
    "/regular-after-write": regular_after_write,
    "/closing": closing,
    "/offset-kept": offset_kept,
    "/attributes": attributes,
    "/unlinked": unlinked,
    "/inner": inner,
})


def application(environ, start_response):
    return PATHS[environ["PATH_INFO"]](environ, start_response)
