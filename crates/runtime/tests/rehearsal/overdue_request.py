# SPDX-License-Identifier: Apache-2.0
"""A request that never ends: Python is left alone, with an event, after atexit functions ran."""

import threading
import time

from host import request, server_log, write_script

SETUP = {"shutdown_milliseconds": 800}
END = "leave alone"
STARTED = []


def test_a_request_hangs():
    import atexit

    atexit.register(lambda: STARTED.append("atexit"))
    hang = write_script("import time\ndef application(environ, start_response):\n    time.sleep(100)\n")
    threading.Thread(target=lambda: request(hang), daemon=True).start()
    time.sleep(0.2)
    STARTED.append(time.monotonic())


def after_end():
    assert time.monotonic() - STARTED[0] < 5
    assert STARTED[1:] == ["atexit"], STARTED
    lines = [line for level, line in server_log() if level == 4]
    assert len(lines) == 1 and lines[0].startswith("WSGIRS0113") and " 1 requests" in lines[0], server_log()
