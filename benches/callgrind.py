# SPDX-License-Identifier: Apache-2.0
"""Count user-space instructions per request with callgrind: ours, mod_wsgi 6.1.1, and in embedded mode a C handler.

Each server runs twice under `valgrind --tool=callgrind`, once for few requests
and once for many, after the same warm-up. The difference of the totals divided
by the difference of the requests has no part of start and stop in it. In
embedded mode it is one process (`httpd -X`); in daemon mode all processes are
followed, and those of httpd's child and of the group's process are added. Counts
hardly depend on what else the machine does. Standard library only, Python 3.9.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from contenders import C, OURS, REFERENCE, ROOT, Contenders, Python, found_pythons, note
from daemons import Daemons, family, parent_of

from httpd import HttpdError, User, program, temp_root

WARM_UP = 200
# The most that ours may need in daemon mode, both processes together.
DAEMON_AIM = 140_000
PATIENCE = 180


class Client:
    """One keep-alive connection, one request after the other."""

    def __init__(self, port, path):
        self.aim(path)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def aim(self, path):
        self.request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    def fetch(self):
        self.socket.sendall(self.request)
        head, body = b"", b""
        while b"\r\n\r\n" not in head:
            head += self.receive()
        head, _, body = head.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if not head.startswith(b"HTTP/1.1 200 ") or not length:
            raise HttpdError(f"unexpected answer: {head.decode('latin-1')}")
        while len(body) < int(length.group(1)):
            body += self.receive()
        return body

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise HttpdError("the server closed the connection")
        return data


def connect(server, process, path):
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if process.poll() is not None:
            raise HttpdError(f"httpd ended under valgrind:\n{server.log_tail()}")
        try:
            return Client(server.port, path)
        except OSError:
            time.sleep(0.2)
    raise HttpdError("httpd did not listen under valgrind")


class Profiled:
    """A server under callgrind, as a context: it runs inside it."""

    def __init__(self, server, result, *options, mode="-X"):
        self.server = server
        self.line = [
            program("valgrind"), "--tool=callgrind", "--vgdb=no", *options, f"--callgrind-out-file={result}",
            *server.command(mode),
        ]  # fmt: skip

    def __enter__(self):
        environment = dict(self.server.environment(), PYTHONHASHSEED="0")
        with open(self.server.root / "console.log", "wb") as console:
            self.server.process = subprocess.Popen(
                self.line, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment, start_new_session=True
            )
        return self

    def __exit__(self, *_):
        self.server.stop(PATIENCE)

    def ask(self, path, requests, first=None):
        """So many requests after the warm-up, over one connection."""
        client = connect(self.server, self.server.process, first or path)
        if first:
            client.fetch()
            client.aim(path)
        for _ in range(WARM_UP + requests):
            client.fetch()
        return client


def total(file):
    """What callgrind counted, once it has written that."""
    found = re.search(r"^(?:totals|summary): (\d+)", file.read_text() if file.exists() else "", re.MULTILINE)
    return int(found.group(1)) if found else None


def instructions(server, path, requests, result, first=None):
    """Run the server for so many requests, after one for `first`; what callgrind counted from start to stop."""
    result.parent.mkdir(exist_ok=True)
    # Opened by root at the start and by the server's user at the end.
    result.write_bytes(b"")
    server.user.owns(result.parent)
    with Profiled(server, result) as profiled:
        profiled.ask(path, requests, first).socket.close()
    counted = total(result)
    if not counted:
        raise HttpdError(f"callgrind left no total:\n{server.log_tail()}")
    return counted, profiled.line


def daemon_instructions(server, path, requests, folder):
    """The same for the group's process and httpd's child; also the files with their profiles."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    server.user.owns(folder)
    with Profiled(server, folder / "out.%p", "-q", "--trace-children=yes", mode="-DFOREGROUND") as profiled:
        client = profiled.ask(path, requests)
        client.aim("/process")
        worker = int(client.fetch())
        client.socket.close()
        files = {"process of the group": folder / f"out.{worker}", "child of httpd": folder / f"out.{child_of(server, worker)}"}
        # Asked by themselves: what httpd ends is killed soon afterwards, and callgrind takes its time.
        for signal_number, pid, file in zip((signal.SIGTERM, signal.SIGWINCH), (worker, server.process.pid), files.values()):
            os.kill(pid, signal_number)
            await_total(server, file)
    return {role: total(file) for role, file in files.items()}, files, profiled.line


def child_of(server, worker):
    """The child of httpd that has no part in running the group's process."""
    above = {worker}
    while parent_of(worker) not in (None, server.process.pid):
        worker = parent_of(worker)
        above.add(worker)
    children = [pid for pid in family(server.process.pid) - above if parent_of(pid) == server.process.pid]
    if len(children) != 1:
        raise HttpdError(f"httpd has the children {children}, not one")
    return children[0]


def await_total(server, file):
    end = time.monotonic() + PATIENCE
    while total(file) is None:
        if time.monotonic() > end:
            raise HttpdError(f"callgrind wrote no total to {file}:\n{server.log_tail()}")
        time.sleep(0.1)


def embedded(root, python, arguments):
    """For each contender: its name and the instructions of one request."""
    contenders = Contenders(root, python, arguments.module, only=arguments.contender, threads=4)
    for name, server in contenders.servers.items():
        result = server.root / "callgrind/callgrind.out"
        few, line = instructions(server, arguments.path, arguments.few, result)
        many, _ = instructions(server, arguments.path, arguments.many, result)
        each = (many - few) / (arguments.many - arguments.few)
        kept = keep(result, f"callgrind.{name}-{python.minor}.out")
        note(f"Python {python.version}, {name}: {each:,.0f} per request; {' '.join(line)}; profile {kept}")
        yield name, each


def daemon(root, python, arguments):
    """The same for both processes together; the parts are told."""
    wanted = {OURS, REFERENCE} & set(arguments.contender or [OURS, REFERENCE])
    if not wanted:
        return
    contenders = Daemons(root, python, arguments.module, only=wanted, processes=1, threads=4, frontend=4)
    for name, server in contenders.servers.items():
        folder = server.root / "callgrind"
        few, _, line = daemon_instructions(server, arguments.path, arguments.few, folder)
        many, files, _ = daemon_instructions(server, arguments.path, arguments.many, folder)
        parts = {role: (many[role] - few[role]) / (arguments.many - arguments.few) for role in many}
        for role, file in files.items():
            kept = keep(file, f"callgrind.{name}-daemon-{python.minor}.{role}.out")
            note(f"Python {python.version}, {name}, {role}: {parts[role]:,.0f} per request; profile {kept}")
        note(" ".join(line))
        yield name, sum(parts.values())


def keep(file, name):
    kept = ROOT / "target/bench" / name.replace(" ", "-")
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, kept)
    return kept


def verdict(rows, limits):
    """Tells what ours needs more than its limits; whether it does."""
    above = False
    for mode, _, name, each in rows:
        limit = limits[mode]
        if name == OURS and limit and each > limit:
            note(f"{mode} mode: more than {limit:,}")
            above = True
    return above


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--this-python-only", action="store_true", help="do not look for a Python 3.13 beside it")
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=1200)
    parser.add_argument("--path", default="/hello")
    parser.add_argument("--contender", action="append", choices=[OURS, REFERENCE, C], help="only this one; can be repeated")
    parser.add_argument("--limit", type=int, help="fail when ours needs more instructions per request in embedded mode")
    parser.add_argument("--daemon-limit", type=int, help="the same for daemon mode")
    parser.add_argument("--mode", choices=["embedded", "daemon"], help="only this one; daemon is for one Python")
    arguments = parser.parse_args()

    os.umask(0o022)
    root = temp_root("callgrind")
    rows = []
    try:
        pythons = [arguments.python] if arguments.this_python_only else list(found_pythons(arguments.python))
        pythons = [Python(executable, root, User()) for executable in (pythons if arguments.mode != "daemon" else pythons[:1])]
        if arguments.mode != "daemon":
            rows += [("embedded", one.version, *row) for one in pythons for row in embedded(root, one, arguments)]
        if arguments.mode != "embedded":
            rows += [("daemon", pythons[0].version, *row) for row in daemon(root, pythons[0], arguments)]
        print(f"\n| mode | Python | module | instructions per request of {arguments.path} |\n|---|---|---|---|")
        for row in rows:
            print("| {} | {} | {} | {:,.0f} |".format(*row))
        for mode, _, name, each in rows:
            if mode == "daemon" and name == OURS and arguments.path == "/hello":
                print(f"\nAim of daemon mode, at most {DAEMON_AIM:,}: {'reached' if each <= DAEMON_AIM else 'MISSED'}")
    except (HttpdError, OSError, subprocess.TimeoutExpired) as error:
        note(f"make callgrind: {error}")
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return 1 if verdict(rows, {"embedded": arguments.limit, "daemon": arguments.daemon_limit}) else 0


if __name__ == "__main__":
    sys.exit(main())
