# SPDX-License-Identifier: Apache-2.0
"""WSGIDestroyInterpreter Off: nothing of Python runs at the end, but no output is lost."""

import os
import tempfile
import threading

from host import rehearsal, request, server_log, write_script

SETUP = {"destroy_interpreters": 0}
END = "leave alone"
TRACE = os.path.join(tempfile.mkdtemp(), "trace")
SCRIPT = write_script('''
import atexit, sys, threading, time
def trace(what):
    with open(%r, "a") as file:
        file.write(what + "\\n")
atexit.register(trace, "atexit")
def application(e, s):
    thread = threading.Thread(target=sys.stdout.write, args=("begun",))
    thread.start()
    thread.join()
    threading.Thread(target=lambda: (time.sleep(100), trace("thread")), daemon=False).start()
    s('200 OK', [])
    return []
''' % TRACE)


def test_interpreters_are_busy():
    for group in ("", "one"):
        assert request(SCRIPT, group=group).kind == "complete"


def test_a_request_is_still_waited_for():
    slow = write_script("import time\ndef application(e, s):\n    time.sleep(0.5)\n    open(%r, 'a').write('answered\\n')\n    s('200 OK', [])\n    return []\n" % TRACE)
    threading.Thread(target=lambda: request(slow, worker=8), daemon=True).start()
    threading.Event().wait(0.2)
    assert rehearsal.stop() == 0


def after_end():
    with open(TRACE) as file:
        assert file.read() == "answered\n"
    assert server_log() == [(3, "begun")] * 2, server_log()
