# SPDX-License-Identifier: Apache-2.0
"""Daemon threads in a sub-interpreter cannot be ended: Python is left alone, quietly, after atexit functions ran."""

import os
import tempfile

from host import request, server_log, write_script

END = "leave alone"
TRACE = os.path.join(tempfile.mkdtemp(), "trace")


def test_a_daemon_thread_runs_for_ever():
    script = write_script('''
import atexit, threading, time
atexit.register(lambda: open(%r, "a").write("atexit"))
def run():
    while True:
        time.sleep(0.01)
threading.Thread(target=run, daemon=True).start()
def application(e, s):
    s('200 OK', [])
    return []
''' % TRACE)
    assert request(script, group="one").kind == "complete"


def after_end():
    with open(TRACE) as file:
        assert file.read() == "atexit"
    assert all(level > 4 for level, _ in server_log()), server_log()
