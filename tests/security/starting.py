# SPDX-License-Identifier: Apache-2.0
# Looks for processes of other groups from the moment they are there, and tries to take hold of them. Follows neighbours.py.


def tells(path):
    # What has ended and is not buried has an empty one, which everybody may open.
    with open(path, "rb") as file:
        if not file.read(1):
            raise OSError("empty")


FIRST = {
    "mem": WAYS["mem"],
    "mem for writing": lambda pid: os.close(os.open("/proc/%d/mem" % pid, os.O_WRONLY)),
    "environ": lambda pid: tells("/proc/%d/environ" % pid),
    "maps": lambda pid: tells("/proc/%d/maps" % pid),
    "pidfd_getfd": takes_descriptor,
}


def workers():
    """The children of this process's parent, and which of them are its user's already."""
    own, found = os.getuid(), {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/status" % name) as file:
                status = dict(line.split(":", 1) for line in file)
        except OSError:
            continue
        if int(status["PPid"]) == os.getppid() and int(name) != os.getpid():
            found[int(name)] = int(status["Uid"].split()[0]) == own
    return found


def watch(told):
    """How many new workers were seen as this user's, and in which ways any was reached."""
    before, seen, reached_by = set(workers()), told.setdefault("seen", set()), set()
    told["watching"] = True
    while "enough" not in told:
        for pid, is_own in workers().items():
            if pid in before:
                continue
            for name, way in FIRST.items():
                try:
                    way(pid)
                    reached_by.add(name)
                except OSError:
                    pass
            if is_own:
                seen.add(pid)
    return len(seen), sorted(reached_by)
