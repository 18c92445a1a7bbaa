# SPDX-License-Identifier: Apache-2.0
"""Count user-space instructions per request with callgrind, for the three contenders.

Each server runs twice under `valgrind --tool=callgrind` as one process
(`httpd -X`), once for few requests and once for many, after the same warm-up.
The difference of the totals divided by the difference of the requests has no
part of start and stop in it. Counts hardly depend on what else the machine
does. Standard library only, Python 3.9.
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

from httpd import HttpdError, User, program, temp_root

WARM_UP = 200


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


def instructions(server, path, requests, result, first=None):
    """Run the server for so many requests, after one for `first`; what callgrind counted from start to stop."""
    result.parent.mkdir(exist_ok=True)
    # Opened by root at the start and by the server's user at the end.
    result.write_bytes(b"")
    server.user.owns(result.parent)
    line = [program("valgrind"), "--tool=callgrind", "--vgdb=no", f"--callgrind-out-file={result}", *server.command("-X")]
    environment = dict(server.environment(), PYTHONHASHSEED="0")
    with open(server.root / "console.log", "wb") as console:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment, start_new_session=True
        )
    try:
        client = connect(server, process, first or path)
        if first:
            client.fetch()
            client.aim(path)
        for _ in range(WARM_UP + requests):
            client.fetch()
        client.socket.close()
        process.terminate()
        process.wait(180)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    total = re.search(r"^(?:totals|summary): (\d+)", result.read_text() if result.exists() else "", re.MULTILINE)
    if not total:
        raise HttpdError(f"callgrind left no total:\n{server.log_tail()}")
    return int(total.group(1)), line


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--this-python-only", action="store_true", help="do not look for a Python 3.13 beside it")
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=1200)
    parser.add_argument("--path", default="/hello")
    parser.add_argument("--contender", action="append", choices=[OURS, REFERENCE, C], help="only this one; can be repeated")
    parser.add_argument("--limit", type=int, help="fail when ours needs more instructions per request")
    arguments = parser.parse_args()

    os.umask(0o022)
    root = temp_root("callgrind")
    state = ROOT / "target/bench"
    rows, status = [], 0
    try:
        pythons = [arguments.python] if arguments.this_python_only else list(found_pythons(arguments.python))
        for executable in pythons:
            python = Python(executable, root, User())
            contenders = Contenders(root, python, arguments.module, only=arguments.contender, threads=4)
            for name, server in contenders.servers.items():
                result = server.root / "callgrind/callgrind.out"
                few, line = instructions(server, arguments.path, arguments.few, result)
                many, _ = instructions(server, arguments.path, arguments.many, result)
                each = (many - few) / (arguments.many - arguments.few)
                kept = state / f"callgrind.{name.replace(' ', '-')}-{python.minor}.out"
                shutil.copyfile(result, kept)
                note(f"Python {python.version}, {name}: {each:,.0f} per request; {' '.join(line)}; profile {kept}")
                rows.append((python.version, name, each))
                if arguments.limit and name == OURS and each > arguments.limit:
                    note(f"more than {arguments.limit:,}")
                    status = 1
        print(f"\n| Python | module | instructions per request of {arguments.path} |\n|---|---|---|")
        for row in rows:
            print("| {} | {} | {:,.0f} |".format(*row))
    except (HttpdError, OSError, subprocess.TimeoutExpired) as error:
        note(f"make callgrind: {error}")
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
