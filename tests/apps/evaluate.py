# SPDX-License-Identifier: Apache-2.0
"""Runs the Python code that comes as the body, and answers what it left in `result` (an expression is its own result)."""

import os
import signal
import sys

import journal

KEPT = {}


def application(environ, start_response):
    source = environ["wsgi.input"].read().decode("utf-8")
    names = {"environ": environ, "journal": journal, "os": os, "signal": signal, "sys": sys, "kept": KEPT}
    try:
        try:
            code = compile(source, "<body>", "eval")
        except SyntaxError:
            exec(compile(source, "<body>", "exec"), names)
            result = names.get("result")
        else:
            result = eval(code, names)
        body = str(result)
    except Exception as failure:
        body = "%s: %s" % (type(failure).__name__, failure)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode("utf-8", "backslashreplace")]
