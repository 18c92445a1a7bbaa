# SPDX-License-Identifier: Apache-2.0
"""Writes to wsgi.errors and the standard streams."""

import sys
import threading

import journal

print("printed while loading")


def text(body):
    return [repr(body).encode()]


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return globals()["do_" + environ["PATH_INFO"].strip("/").replace("-", "_")](environ)


def do_lines(environ):
    errors = environ["wsgi.errors"]
    errors.write("first line\n")
    errors.write("second ")
    errors.write("line\n")
    errors.writelines(["third ", "line\n"])
    errors.write("unfinished")
    return text(None)


def do_unicode(environ):
    print("snowman \u2603 and \udc80 surrogate", file=environ["wsgi.errors"])
    return text(None)


def do_nul(environ):
    environ["wsgi.errors"].write("before\0after\n")
    return text(None)


def do_very_long(environ):
    environ["wsgi.errors"].write("begin " + "x" * 20000 + " end\n")
    return text(None)


def do_forged(environ):
    environ["wsgi.errors"].write("carriage\rreturn \x1b[31m escape\n")
    return text(None)


def do_print(environ):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    return text(None)


def do_thread(environ):
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()
    return text(None)


def do_attributes(environ):
    errors = environ["wsgi.errors"]
    facts = [errors.encoding, errors.errors, errors.isatty(), errors.readable(), errors.writable(), errors.closed]
    for attempt in (errors.fileno, errors.read, lambda: errors.write(b"bytes")):
        try:
            facts.append(attempt())
        except Exception as error:
            facts.append(isinstance(error, (OSError, TypeError)))
    return text(facts)


def do_std(environ):
    return text([sys.argv, sys.stdout.name, sys.stderr.name, sys.getfilesystemencoding(), sys.stdout.isatty()])


def do_flush(environ):
    environ["wsgi.errors"].write("flushed early")
    environ["wsgi.errors"].flush()
    journal.wait_for_gate("seen")
    return text(None)


def do_main_module(environ):
    import __main__

    return text(sorted(name for name in vars(__main__) if not name.startswith("__")))
