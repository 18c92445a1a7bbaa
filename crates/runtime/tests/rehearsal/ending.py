# SPDX-License-Identifier: Apache-2.0
"""The end of a process: requests §10.4. Everything ends in order and Python can be finalised."""

import os
import tempfile
import threading

from host import rehearsal, request, server_log, write_script

TRACE = tempfile.mkdtemp()


def script(name, code):
    return write_script('''
import atexit, threading, time, os
def trace(what):
    with open(%r, "a") as file:
        file.write(what + "\\n")
%s
def application(environ, start_response):
    start_response("200 OK", [])
    return []
''' % (os.path.join(TRACE, name), code))


BUSY = '''
atexit.register(lambda: trace("atexit"))
def work():
    time.sleep(1)
    trace("thread")
threading.Thread(target=work, daemon=False).start()
'''


def test_several_interpreters_are_busy():
    for name, group in (("main", ""), ("one", "one"), ("two", "two")):
        for worker in range(3):
            assert request(script(name, BUSY if worker == 0 else ""), group=group, worker=worker).kind == "complete"


def test_a_request_that_still_runs_is_waited_for():
    slow = script("slow", "def slow():\n    time.sleep(0.5)\n    trace('answered')\n")
    source = open(slow).read().replace("    start_response(", "    slow()\n    start_response(")
    slow = write_script(source)
    request(script("slow", ""), worker=7)
    threading.Thread(target=lambda: request(slow, worker=8), daemon=True).start()
    threading.Event().wait(0.2)
    assert rehearsal.stop() == 0
    answer = request(slow, worker=7)
    assert (answer.kind, answer.refusal, answer.events()) == ("refused", 503, ["WSGIRS0310"]), answer


def after_end():
    for name in ("main", "one", "two"):
        with open(os.path.join(TRACE, name)) as file:
            found = file.read().split()
        assert found == ["thread", "atexit"], (name, found)
    with open(os.path.join(TRACE, "slow")) as file:
        assert file.read() == "answered\n"
    assert server_log() == [], server_log()
