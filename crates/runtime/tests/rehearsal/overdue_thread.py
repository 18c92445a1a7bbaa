# SPDX-License-Identifier: Apache-2.0
"""A non-daemon thread that outlives the deadline: said on time, and Python is left alone."""

import threading
import time

from host import request, server_log, write_script

SETUP = {"shutdown_milliseconds": 400}
END = "leave alone"


def test_a_thread_goes_on_for_longer_than_it_may():
    script = write_script("import threading, time\nthreading.Thread(target=time.sleep, args=(1.5,), daemon=False).start()\ndef application(e, s):\n    s('200 OK', [])\n    return []\n")
    assert request(script, group="one").kind == "complete"
    threading.Thread(target=watch, daemon=True).start()


def watch():
    time.sleep(0.9)
    SEEN.extend(server_log())


SEEN = []


def after_end():
    assert [line[:10] for _, line in SEEN] == ["WSGIRS0113"], (SEEN, server_log())
    assert len(server_log()) == 1, server_log()
