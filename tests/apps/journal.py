# SPDX-License-Identifier: Apache-2.0
"""What applications of the tests share: a journal that outlives the answer, and gates that a test opens."""

import os
import time

STATE = "@STATE@"


def note(text):
    """Appends a line in one write, so that lines of several threads do not mix."""
    descriptor = os.open(os.path.join(STATE, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, (text + "\n").encode())
    finally:
        os.close(descriptor)


def wait_for_gate(name, patience=20.0):
    deadline = time.monotonic() + patience
    while not os.path.exists(os.path.join(STATE, name)):
        if time.monotonic() > deadline:
            note("gate %s stayed shut" % name)
            return False
        time.sleep(0.005)
    return True


class Result:
    """An iterable whose close() is noted."""

    def __init__(self, name, items):
        self.name = name
        self.items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.items)

    def close(self):
        note("closed " + self.name)
