# SPDX-License-Identifier: Apache-2.0
# Which of the needles are in the readable memory of a process. They come with every bit turned, and are compared that way, so
# that the search does not find itself.

import ctypes
import os


def turned(data):
    return bytes(byte ^ 255 for byte in data)


def readable(pid):
    with open("/proc/%s/maps" % pid) as maps:
        for line in maps:
            fields = line.split()
            if fields[1].startswith("r") and fields[-1] not in ("[vvar]", "[vvar_vclock]", "[vsyscall]"):
                start, end = fields[0].split("-")
                yield int(start, 16), int(end, 16)


def holds(data, needle):
    first, length = turned(needle[:4]), len(needle)
    at = data.find(first)
    while at >= 0:
        if turned(data[at : at + length]) == needle:
            return True
        at = data.find(first, at + 1)
    return False


class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def read(pid, start, length):
    # Not /proc/self/mem: a process that is not dumpable may not even open its own.
    buffer = ctypes.create_string_buffer(length)
    here, there = Piece(ctypes.addressof(buffer), length), Piece(start, length)
    count = ctypes.CDLL(None).process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return buffer.raw[: max(count, 0)]


def search(pid, needles):
    found, size, most = set(), 0, 1 << 20
    for start, end in readable(pid):
        while start < end:
            data = read(pid, start, min(end - start, most))
            found.update(name for name, needle in needles.items() if holds(data, needle))
            size += len(data)
            if len(data) < most:
                break
            # A needle may lie across the border.
            start += most - 4096
    return sorted(found), size
