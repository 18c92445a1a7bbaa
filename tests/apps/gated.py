# SPDX-License-Identifier: Apache-2.0
"""Answers in steps that a test controls; notes what it sees of clients that go away."""

import os

import journal

PLAIN = [("Content-Type", "application/octet-stream")]


def endless(environ, start_response):
    start_response("200 OK", PLAIN)

    def generate():
        journal.note("started endless")
        for _ in range(10000):
            yield b"x" * 65536
        journal.note("endless came to its end")

    return journal.Result("endless", generate())


def endless_write(environ, start_response):
    write = start_response("200 OK", PLAIN)
    journal.note("started write")
    try:
        for _ in range(10000):
            write(b"x" * 65536)
    except OSError as error:
        journal.note("write raised %s" % type(error).__name__)
        raise
    journal.note("write came to its end")
    return []


def before_anything(environ, start_response):
    journal.note("started before")
    journal.wait_for_gate("go")
    start_response("200 OK", PLAIN)
    return journal.Result("before", [b"x" * 65536] * 200)


def reading(environ, start_response):
    journal.note("started reading")
    try:
        data = environ["wsgi.input"].read()
        journal.note("read %d" % len(data))
    except Exception as error:
        journal.note("read raised %s" % [kind.__name__ for kind in type(error).__mro__])
        try:
            environ["wsgi.input"].read()
        except Exception as again:
            journal.note("read again raised %s" % [kind.__name__ for kind in type(again).__mro__])
    start_response("200 OK", PLAIN)
    return journal.Result("reading", [b"done"])


def stepwise(environ, start_response):
    start_response("200 OK", PLAIN)

    def generate():
        yield b"first"
        journal.wait_for_gate("go")
        yield b"second"

    return journal.Result("stepwise", generate())


def waiting(environ, start_response):
    journal.note("waiting in %d" % os.getpid())
    journal.wait_for_gate("go")
    start_response("200 OK", PLAIN)
    return [b"waited"]


def big_file(environ, start_response):
    path = os.path.join(journal.STATE, "big")
    with open(path, "wb") as file:
        file.truncate(200 * 1024 * 1024)
    start_response("200 OK", PLAIN)

    class Noting:
        def __init__(self):
            self.file = open(path, "rb")
            self.fileno, self.tell, self.read = self.file.fileno, self.file.tell, self.file.read

        def close(self):
            self.file.close()
            journal.note("closed big file")

    return environ["wsgi.file_wrapper"](Noting())


PATHS = {
    "/" + function.__name__: function
    for function in (endless, endless_write, before_anything, reading, stepwise, waiting, big_file)
}


def application(environ, start_response):
    return PATHS[environ["PATH_INFO"]](environ, start_response)
