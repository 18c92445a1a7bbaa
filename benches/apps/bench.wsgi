# SPDX-License-Identifier: Apache-2.0
"""One small application per scenario of benches/bench.py."""

import os
from wsgiref.util import FileWrapper

HELLO = b"Hello World\n"
BODY_64K = b"x" * 65536
BLOCK_1K = b"x" * 1024
JSON_1K = b'{"filler": "' + b"x" * (1024 - 14) + b'"}'
JSON_HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(JSON_1K)))] + [
    ("X-Header-%d" % number, "a value of some length") for number in range(10)
]
FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "file.bin")


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [HELLO]


def json_1k(environ, start_response):
    start_response("200 OK", JSON_HEADERS)
    return [JSON_1K]


def body_64k(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", "65536")])
    return [BODY_64K]


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    for _ in range(100):
        yield BLOCK_1K


def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    # PEP 3333 leaves it to the server whether there is a wrapper; who has none gets blocks of a good size at least.
    return environ.get("wsgi.file_wrapper", FileWrapper)(open(FILE, "rb"), 65536)


def upload(environ, start_response):
    text = b"%d\n" % len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


def process(environ, start_response):
    text = b"%d\n" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]


ROUTES = {
    "/hello": hello,
    "/json": json_1k,
    "/body64k": body_64k,
    "/stream": stream,
    "/file": file,
    "/upload": upload,
    "/process": process,
}


def application(environ, start_response):
    return ROUTES[environ["PATH_INFO"]](environ, start_response)
