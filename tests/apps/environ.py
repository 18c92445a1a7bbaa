# SPDX-License-Identifier: Apache-2.0
"""Prints the environ: one line per key, with the value's type and ascii()."""


def application(environ, start_response):
    exact = type(environ) is dict
    lines = [
        "%s\t%s\t%s" % (ascii(key)[1:-1], type(value).__name__, ascii(value))
        for key, value in sorted(environ.items())
    ]
    lines.append("test.exact_dict\tbool\t%r" % exact)
    body = "\n".join(lines).encode("ascii")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def other(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"other callable"]
