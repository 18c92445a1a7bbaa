# SPDX-License-Identifier: Apache-2.0
"""An application wrapped in wsgiref.validate, which complains where the server breaks PEP 3333.

The path is <kind of answer>/<kind of reading>; the body is answered back.
"""

from wsgiref.validate import validator


def read_nothing(source):
    return b""


def read_all(source):
    pieces = []
    while True:
        piece = source.read(7919)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def read_lines(source):
    return b"".join(iter(source.readline, b""))


def read_iterating(source):
    return b"".join(source)


def read_mixed(source):
    first = source.readline()
    rest = source.read(100)
    return first + rest + b"".join(source.readlines())


READERS = {
    "nothing": read_nothing, "all": read_all, "lines": read_lines, "iterating": read_iterating, "mixed": read_mixed,
}  # fmt: skip


def inner(environ, start_response):
    _, kind, reading = environ["PATH_INFO"].split("/")[:3]
    body = READERS[reading](environ["wsgi.input"])
    headers = [("Content-Type", "application/octet-stream")]
    environ["wsgi.errors"].flush()
    if kind == "list":
        start_response("200 OK", headers)
        return [body]
    if kind == "length":
        start_response("200 OK", headers + [("Content-Length", str(len(body)))])
        return [body]
    if kind == "generator":
        start_response("200 OK", headers)
        return (body[index:index + 1000] for index in range(0, len(body), 1000))
    if kind == "write":
        write = start_response("200 OK", headers)
        write(body)
        return []
    if kind == "empty":
        start_response("204 No Content", [])
        return []
    raise LookupError(kind)


application = validator(inner)
