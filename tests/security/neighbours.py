# SPDX-License-Identifier: Apache-2.0
# What this process can reach of other processes: a list of what it could do, each with the process number.

import ctypes
import os
import socket
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, DETACH, PIDFD_OPEN, PIDFD_GETFD = 0x4206, 17, 434, 438


def opens(path):
    with open(path, "rb") as file:
        file.read(1)


def lists(path):
    for name in os.listdir(path):
        os.readlink(path + "/" + name)


def takes_descriptor(pid):
    pidfd = LIBC.syscall(PIDFD_OPEN, pid, 0)
    if pidfd < 0:
        raise OSError(ctypes.get_errno(), "pidfd_open")
    try:
        for number in range(64):
            taken = LIBC.syscall(PIDFD_GETFD, pidfd, number, 0)
            if taken >= 0:
                os.close(taken)
                return
    finally:
        os.close(pidfd)
    raise OSError("no descriptor")


def attaches(pid):
    if LIBC.ptrace(SEIZE, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    LIBC.ptrace(DETACH, pid, None, None)


WAYS = {
    "fd": lambda pid: lists("/proc/%d/fd" % pid),
    "map_files": lambda pid: lists("/proc/%d/map_files" % pid),
    "mem": lambda pid: os.close(os.open("/proc/%d/mem" % pid, os.O_RDONLY)),
    "maps": lambda pid: opens("/proc/%d/maps" % pid),
    "environ": lambda pid: opens("/proc/%d/environ" % pid),
    "root": lambda pid: os.listdir("/proc/%d/root" % pid),
    "cwd": lambda pid: os.listdir("/proc/%d/cwd" % pid),
    "pidfd_getfd": takes_descriptor,
    "ptrace": attaches,
}


def reached(pids, names=tuple(WAYS)):
    found = []
    for pid in pids:
        for name in names:
            try:
                WAYS[name](pid)
                found.append("%s %d" % (name, pid))
            except OSError:
                pass
    return found


def own_child():
    """A process of the same user that nothing protects, and what is reached of it."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        # Python goes on as soon as the kernel closes descriptors for the new program, which is a little too early.
        deadline = time.monotonic() + 10
        while not reached([child.pid], ["mem"]) and time.monotonic() < deadline:
            time.sleep(0.01)
        found = reached([child.pid])
    finally:
        child.kill()
        child.wait()
    return sorted(found.split()[0] for found in found)


def sockets(part):
    """The names of sockets in which `part` is, and those of them that could be connected to."""
    with open("/proc/net/unix") as table:
        names = [fields[7] for fields in map(str.split, table) if len(fields) > 7 and part in fields[7]]
    connected = []
    for name in names:
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect("\0" + name[1:] if name.startswith("@") else name)
                connected.append(name)
            except OSError:
                pass
    return names, connected
