# SPDX-License-Identifier: Apache-2.0
"""Calls methods of wsgi.input as the query string says and prints what each gave.

The query is a list of expressions separated by ";" in which `i` is wsgi.input. `/after` evaluates them once more in
the next request, on the input of the one before.
"""

from urllib.parse import unquote

KEPT = {}


def attempt(expression, names):
    try:
        return ascii(eval(expression, names))
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    source = KEPT["input"] if path == "/after" else environ["wsgi.input"]
    KEPT["input"] = environ["wsgi.input"]
    expressions = [part for part in unquote(environ["QUERY_STRING"]).split(";") if part]
    names = {"i": source}
    lines = [attempt(expression, names) for expression in expressions]
    body = "\n".join(lines).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def counting(environ, start_response):
    """Reads the body in pieces and answers with its length and a checksum."""
    import zlib

    size = int(environ["QUERY_STRING"] or 65536)
    total, checksum = 0, 0
    while True:
        piece = environ["wsgi.input"].read(size)
        if not piece:
            break
        total += len(piece)
        checksum = zlib.crc32(piece, checksum)
    body = b"%d %08x" % (total, checksum)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]
