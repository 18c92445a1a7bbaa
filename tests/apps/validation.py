# SPDX-License-Identifier: Apache-2.0
"""Calls start_response with the arguments in the query string and prints the exception that this raised."""

import sys
from urllib.parse import unquote


class Words(list):
    pass


class Pair(tuple):
    pass


def application(environ, start_response):
    names = {"exc": sys.exc_info, "Words": Words, "Pair": Pair, "start_response": start_response}
    arguments = unquote(environ["QUERY_STRING"], "latin-1")
    try:
        result = eval("start_response(%s)" % arguments, names)
        outcome = "accepted" if callable(result) else "no write()"
    except BaseException as error:
        outcome = type(error).__name__
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Refused", "1")])
    return [outcome.encode()]
