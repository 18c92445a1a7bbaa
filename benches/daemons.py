# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared in daemon mode: ours, mod_wsgi 6.1.1, and uWSGI and granian behind httpd's proxy.

All get the same httpd, the same Python, the same application, and as many
processes with as many threads. Each has the settings that its own manual
recommends for that: mod_wsgi the main interpreter, uWSGI a lock for accept,
granian connections that the proxy keeps. None writes a line for each request.
Standard library only, Python 3.9.
"""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contenders import OURS, REFERENCE, ROOT, Running, frame, note

import pythons
from httpd import HttpdError, free_port, stat_fields

UWSGI, GRANIAN = "uWSGI", "granian"
PACKAGES = {UWSGI: "uwsgi==2.0.31", GRANIAN: "granian==2.8.7"}
# How httpd reaches granian; the faster one is compared.
WAYS = {"unix": f"{GRANIAN} unix", "tcp": f"{GRANIAN} tcp"}
# Together as many threads as the most connections of a scenario.
PROCESSES, THREADS = 2, 8


def family(leader):
    """The process and its descendants that live now."""
    every = {int(pid): stat_fields(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    found = {leader}
    while True:
        more = {pid for pid, fields in every.items() if fields and int(fields[1]) in found} - found
        if not more:
            return found
        found |= more


def parent_of(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else None


def fetch(address):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=60) as response:
        return response.read()


class Backed(pythons.Server):
    """httpd as a proxy, together with the server behind it, whose processes count as its own."""

    def __init__(self, *arguments, command, folder, address, **options):
        super().__init__(*arguments, **options)
        self.backend_command, self.folder, self.address = command, folder, address
        self.backend = None
        self.backend_log = self.root / "backend.log"
        self.socket_folder = self.root / "backend"
        self.socket_folder.mkdir()
        self.user.owns(self.socket_folder)

    def start(self, deadline=30.0):
        become = {"user": self.user.uid, "group": self.user.gid, "extra_groups": []} if self.user.switches else {}
        with open(self.backend_log, "wb") as log:
            self.backend = subprocess.Popen(
                self.backend_command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                env=self.environment(), start_new_session=True, **become,
            )  # fmt: skip
        end = time.monotonic() + deadline
        while not self.listens():
            if self.backend.poll() is not None or time.monotonic() > end:
                raise HttpdError(f"{self.backend_command[0]} does not serve:\n{self.backend_log.read_text(errors='replace')}")
            time.sleep(0.05)
        return super().start(deadline)

    def listens(self):
        family = socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX
        with socket.socket(family) as probe:
            return probe.connect_ex(self.address) == 0

    def pids(self):
        return sorted({*super().pids(), *family(self.backend.pid)})

    def log_tail(self, lines=20):
        behind = self.backend_log.read_text(errors="replace").splitlines() if self.backend_log.exists() else []
        return super().log_tail(lines) + "\n".join(behind[-lines:])

    def stop(self, deadline=20.0):
        super().stop(deadline)
        if self.backend is None:
            return
        if self.backend.poll() is None:
            self.backend.terminate()
            try:
                self.backend.wait(deadline)
            except subprocess.TimeoutExpired:
                note(f"{self.backend_command[0]} had to be killed")
        try:
            # It leads its own session and process group, so the group holds nothing else.
            os.killpg(self.backend.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.backend.wait()


def servers_venv(python, root):
    """A virtual environment with uWSGI and granian for this Python, or None, which is told."""
    kept = ROOT / f"target/bench/servers-{python.minor}"
    stamp, wanted = kept / "complete", f"{python.version} {python.prefix} {' '.join(PACKAGES.values())}"
    if not (stamp.exists() and stamp.read_text() == wanted):
        note(f"Installing {' and '.join(PACKAGES.values())} for Python {python.version}")
        pip = [str(kept / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES.values()]
        try:
            subprocess.run([python.executable, "-m", "venv", "--clear", str(kept)], check=True)
            subprocess.run(pip, check=True)
        except subprocess.CalledProcessError:
            note(f"*** NOT COMPARED with {UWSGI} and {GRANIAN}: they could not be installed for Python {python.version}")
            return None
        stamp.write_text(wanted)
    place = root / kept.name
    return place if place.exists() else pythons.copy_venv(kept, root, python)


class Daemons(Running):
    """The servers of daemon mode; `modules` are the paths of ours and of mod_wsgi 6.1.1."""

    mode = "daemon"

    def __init__(self, root, python, module, only=None, processes=PROCESSES, threads=THREADS, frontend=None, purpose=""):
        super().__init__(root / f"daemons{purpose}", python)
        self.processes, self.threads = processes, threads
        self.common = frame(self.applications, frontend) if frontend else frame(self.applications)
        wanted = [name for name in (OURS, REFERENCE, UWSGI, GRANIAN) if not only or name in only]
        if OURS in wanted:
            self.add_module(OURS, module)
        if REFERENCE in wanted:
            self.add_module(REFERENCE, python.reference(ROOT / "target/reference"))
        venv = servers_venv(python, root) if {UWSGI, GRANIAN} & set(wanted) else None
        if venv and UWSGI in wanted:
            self.add_uwsgi(venv)
        if venv and GRANIAN in wanted:
            self.add_granian(venv)

    def add_module(self, name, module):
        home = [] if self.python.home == Path("/usr") else [f'python-home="{self.python.home}"']
        # mod_wsgi 6.1.1 does not start a process whose user has no home.
        home.append(f'home="{self.applications}"')
        size = [f"processes={self.processes}", f"threads={self.threads}", "shutdown-timeout=120"]
        lines = [
            f'LoadModule wsgi_module "{module}"',
            "WSGISocketPrefix run/wsgi",
            " ".join(["WSGIDaemonProcess bench", *size, *home]),
            "WSGIProcessGroup bench",
            "WSGIApplicationGroup %{GLOBAL}",
            "WSGIEnableSendfile On",
            f'WSGIScriptAlias / "{self.applications}/bench.wsgi"',
        ]
        self.add(name, [*self.common, *lines])

    def add_proxy(self, name, modules, target, command, address, options=""):
        lines = ["ProxyRequests Off", f'ProxyPass "/" "{target}"{options}']
        self.add(
            name, [*self.common, *lines], modules=("proxy", *modules), kind=Backed,
            command=command, folder=self.applications, address=address,
        )  # fmt: skip

    def socket(self, name):
        return f"{self.place(name)}/backend/socket"

    def add_uwsgi(self, venv):
        address = self.socket(UWSGI)
        command = [
            str(venv / "bin/uwsgi"), "--master", "--need-app", "--die-on-term", "--thunder-lock", "--disable-logging",
            "--single-interpreter", "--processes", str(self.processes), "--threads", str(self.threads), "--buffer-size", "32768",
            "--socket", address, "--wsgi-file", f"{self.applications}/bench.wsgi",
        ]  # fmt: skip
        if self.python.home != Path("/usr"):
            command += ["--pyhome", str(self.python.home)]
        self.add_proxy(UWSGI, ["proxy_uwsgi"], f"unix:{address}|uwsgi://bench/", command, address)

    def add_granian(self, venv):
        program = [
            str(venv / "bin/python"), "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws", "--no-access-log",
            "--workers", str(self.processes), "--blocking-threads", str(self.threads),
        ]  # fmt: skip
        path, port = self.socket(WAYS["unix"]), free_port()
        for name, target, options, address in (
            (WAYS["unix"], f"unix:{path}|http://bench/", ["--uds", path], path),
            (WAYS["tcp"], f"http://127.0.0.1:{port}/", ["--host", "127.0.0.1", "--port", str(port)], ("127.0.0.1", port)),
        ):
            command = [*program, *options, "bench_application:application"]
            self.add_proxy(name, ["proxy_http"], target, command, address, " enablereuse=on")

    def check_processes(self, deadline=30.0):
        """Every contender answers from as many processes as the others."""
        for name, server in self.servers.items():
            address = f"http://127.0.0.1:{server.port}/process"
            seen, end = set(), time.monotonic() + deadline
            try:
                with ThreadPoolExecutor(16) as pool:
                    while len(seen) < self.processes and time.monotonic() < end:
                        seen |= {int(text) for text in pool.map(fetch, [address] * 64)}
            except OSError as error:
                raise HttpdError(f"{name} does not answer: {error}\n{server.log_tail()}") from None
            if len(seen) != self.processes or not seen <= set(server.pids()):
                raise HttpdError(f"{name} answers from {sorted(seen)}, not from {self.processes} processes\n{server.log_tail()}")

    def settle(self, speed):
        """Keeps of granian's two ways the one with the greater `speed`, a function of a server; says what was found."""
        found = {name: speed(self.servers[name]) for name in WAYS.values() if name in self.servers}
        if not found:
            return
        for name, figure in found.items():
            print(f"    {name}: {figure:.0f} hello/s", flush=True)
        best = max(found, key=found.get)
        for name in found:
            server = self.servers.pop(name)
            if name == best:
                self.servers[GRANIAN] = server
                print(f"    {GRANIAN} below is {name}")
            else:
                server.stop()
