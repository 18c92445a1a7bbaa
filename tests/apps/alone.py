# SPDX-License-Identifier: Apache-2.0
"""Notes when a process that must be alone is not: a lock that ends with its process is taken already."""

import fcntl
import os

import journal

HELD = []


def claim(name):
    file = open(os.path.join(journal.STATE, "alone-" + name), "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        journal.note("alone %s %d" % (name, os.getpid()))
    except OSError:
        journal.note("twice %s %d" % (name, os.getpid()))
    HELD.append(file)
