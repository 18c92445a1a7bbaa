# SPDX-License-Identifier: Apache-2.0
"""Tells where a request ran: in which process, as which user, in which interpreter, under which group names."""

import os
import sys
import time

try:
    import _interpreters as interpreters
except ImportError:  # before 3.13
    import _xxsubinterpreters as interpreters

STATE = "@STATE@"


def interpreter():
    """The number of the current interpreter; the first one has 0."""
    current = interpreters.get_current()
    return int(current[0] if isinstance(current, tuple) else current)


def interpreter_of_a_foreign_thread():
    """In which interpreter native code lands that attaches a thread of its own with PyGILState_Ensure()."""
    import ctypes

    found = []
    work = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: found.append(interpreter()))
    library = ctypes.CDLL(None)
    thread = ctypes.c_ulong()
    if library.pthread_create(ctypes.byref(thread), None, work, None) != 0:
        return "no thread"
    library.pthread_join(thread, None)
    return found[0]


def wait(gate):
    """Says that a request is here, then waits until the test opens the gate."""
    open(os.path.join(STATE, "arrived-%d" % os.getpid()), "w").close()
    deadline = time.monotonic() + 20
    while not os.path.exists(os.path.join(STATE, gate)) and time.monotonic() < deadline:
        time.sleep(0.005)


def application(environ, start_response):
    query = environ["QUERY_STRING"]
    if query.startswith("wait="):
        wait(query[5:])
    # Everything that runs in one interpreter of one process shares its modules.
    sys.seen = getattr(sys, "seen", 0) + 1
    facts = {
        "process_group": environ["mod_wsgi.process_group"],
        "application_group": environ["mod_wsgi.application_group"],
        "script_name": environ["SCRIPT_NAME"],
        "script": os.path.basename(__file__),
        "pid": os.getpid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "interpreter": interpreter(),
        "seen": sys.seen,
    }
    if query == "foreign":
        facts["foreign"] = interpreter_of_a_foreign_thread()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\n".join("%s=%s" % fact for fact in facts.items()).encode("utf-8")]
