# SPDX-License-Identifier: Apache-2.0
"""Takes its time as the path says: /<milliseconds>/<number>, or in ten pieces: /stream/<milliseconds>/<number>.

A whole answer begins and ends with the number and names the process.
"""

import os
import time


def pieces(milliseconds, number):
    yield b"%s %d\n" % (number, os.getpid())
    for place in range(10):
        time.sleep(milliseconds / 10000)
        yield b"piece %d\n" % place
    yield b"%s\n" % number


def application(environ, start_response):
    *way, milliseconds, number = environ["PATH_INFO"].strip("/").split("/")
    milliseconds, number = int(milliseconds), number.encode()
    if not way:
        time.sleep(milliseconds / 1000)
    start_response("200 OK", [("Content-Type", "text/plain")])
    if way:
        return pieces(milliseconds, number)
    return [b"%s %d\n%s\n" % (number, os.getpid(), number)]
