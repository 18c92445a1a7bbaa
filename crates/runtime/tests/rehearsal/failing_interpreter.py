# SPDX-License-Identifier: Apache-2.0
"""A sub-interpreter that cannot be set up: an event, 500, and the next request tries again."""

import os

from host import request

SCRIPT = "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'x']\n"
MARKER = "/tmp/rehearsal-sabotage-%d" % os.getpid()


def test_an_interpreter_that_fails_is_tried_again():
    assert request(SCRIPT).kind == "complete"
    with open(MARKER, "w"):
        pass
    try:
        for _ in range(3):
            answer = request(SCRIPT, group="one")
            assert (answer.kind, answer.refusal, answer.events()) == ("refused", 500, ["WSGIRS0112"]), answer
            assert "RuntimeError: sabotaged signal" in answer.text(), answer
    finally:
        os.unlink(MARKER)
    assert request(SCRIPT, group="one").kind == "complete"
