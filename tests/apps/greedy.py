# SPDX-License-Identifier: Apache-2.0
"""Takes what there is too little of: /take/<what>; anything else answers the process."""

import os
import resource
import threading
import time

import journal

HELD = []


def give():
    while HELD:
        HELD.pop().close()


def descriptors():
    """All that the process may still have, for one and a half seconds."""
    threading.Timer(1.5, give).start()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        while True:
            HELD.append(open(os.devnull))
    except OSError as error:
        return "%d, then errno %d" % (len(HELD), error.errno)


def memory():
    """All that the process may still have, in large pieces and then in small ones, for a second."""
    held, size = [], 16 << 20
    while size >= 4096:
        try:
            held.append(bytearray(size))
        except MemoryError:
            size //= 16
    journal.note("memory taken")
    time.sleep(1)
    count = len(held)
    held.clear()
    return "%d pieces" % count


def much_memory():
    """Far more than there is, used at once."""
    HELD.append(bytearray(b"x" * (1 << 20)) * 400)
    return "400 MiB"


def process():
    """One more of the user's processes, where none may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    try:
        return fork()
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))


def fork():
    try:
        child = os.fork()
    except OSError as error:
        return "errno %d" % error.errno
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "a process"


TAKE = {"descriptors": descriptors, "memory": memory, "much": much_memory, "process": process, "fork": fork}


def application(environ, start_response):
    path = environ["PATH_INFO"].strip("/").split("/")
    text = "%d" % os.getpid()
    if path[0] == "take":
        text = TAKE[path[1]]()
    elif path[0] == "say":
        for number in range(int(path[1])):
            print("%s %d" % ("x" * 1000, number), file=environ["wsgi.errors"])
        print("said " + path[2], file=environ["wsgi.errors"])
    start_response("200 OK", [])
    return [text.encode()]
