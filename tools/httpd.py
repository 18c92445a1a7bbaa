# SPDX-License-Identifier: Apache-2.0
"""A private httpd for the examples and the benchmarks.

Finds the server that `apxs` belongs to, writes a configuration below a
directory that the server's user can read, starts it in the foreground in its
own session, and stops it by process id. Standard library only, Python 3.9.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class HttpdError(Exception):
    """What a person has to be told; the message is complete."""


def program(*names):
    """The first of `names` that is installed, also where an ordinary user's PATH does not look."""
    path = os.environ.get("PATH", "/usr/bin:/bin") + os.pathsep + SBIN
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    raise HttpdError(f"none of these programs is installed: {', '.join(names)}")


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class User:
    """Who runs the children: www-data (or apache) when we are root, else whoever we are."""

    def __init__(self):
        self.switches = os.geteuid() == 0
        self.name = None
        if self.switches:
            for name in ("www-data", "apache", "http", "nobody"):
                try:
                    entry = pwd.getpwnam(name)
                except KeyError:
                    continue
                self.name, self.uid, self.gid = name, entry.pw_uid, entry.pw_gid
                break
            if self.name is None:
                raise HttpdError("no user for httpd's children: tried www-data, apache, http, nobody")
        else:
            self.uid, self.gid = os.geteuid(), os.getegid()

    def can(self, path, mode):
        """Whether the user may access `path` (os.R_OK, os.X_OK), every directory above included."""
        if not self.switches:
            return os.access(path, mode)
        child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
                os._exit(0 if os.access(path, mode) else 1)
            finally:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def owns(self, path):
        """Give a tree to the user."""
        if self.switches:
            for directory, _, files in os.walk(path):
                os.chown(directory, self.uid, self.gid)
                for file in files:
                    os.lchown(os.path.join(directory, file), self.uid, self.gid)

    def describe(self):
        return self.name or pwd.getpwuid(self.uid).pw_name


def temp_root(purpose):
    """A new directory that every user can traverse. The caller removes it."""
    root = Path(tempfile.mkdtemp(prefix=f"mod_wsgi_rs-{purpose}."))
    root.chmod(0o755)
    return root


def free_port():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Installed:
    """The installed server: its binary, where its modules are, which are compiled in."""

    def __init__(self):
        self.apxs = program("apxs", "apxs2")
        self.binary = program("apache2", "httpd")
        self.modules = Path(output(self.apxs, "-q", "LIBEXECDIR").strip())
        self.static = {line.strip() for line in output(self.binary, "-l").splitlines()}

    def load(self, *names):
        """LoadModule lines for those of `names` that are not compiled in."""
        lines = []
        for name in names:
            if f"mod_{name}.c" in self.static or f"{name}.c" in self.static:
                continue
            file = self.modules / f"mod_{name}.so"
            if not file.exists():
                raise HttpdError(f"httpd's module {file} is missing")
            lines.append(f'LoadModule {name}_module "{file}"')
        return lines


class Httpd:
    """One server. `lines` is everything but the frame that every such server needs."""

    def __init__(self, root, port, lines, mpm="event", modules=(), log_level="warn", user=None, installed=None):
        self.root, self.port = Path(root), port
        self.user = user or User()
        self.installed = installed or Installed()
        self.process = None
        self.error_log = self.root / "error.log"
        self.config = self.root / "httpd.conf"
        run = self.root / "run"
        run.mkdir(parents=True, exist_ok=True)
        frame = [
            f'ServerRoot "{self.root}"',
            f'DefaultRuntimeDir "{run}"',
            f'PidFile "{run}/httpd.pid"',
            f"Listen 127.0.0.1:{port}",
            f"ServerName 127.0.0.1:{port}",
            f'ErrorLog "{self.error_log}"',
            f"LogLevel {log_level}",
            *self.installed.load(f"mpm_{mpm}", "authz_core", *modules),
            f'Mutex "file:{run}" default',
        ]
        if self.user.switches:
            frame += ["User " + self.user.name, f"Group #{self.user.gid}"]
        frame += [
            "<Directory />",
            "    AllowOverride None",
            "    Require all denied",
            "</Directory>",
        ]
        self.config.write_text("\n".join([*frame, *lines]) + "\n")

    def command(self, *extra):
        return [self.installed.binary, "-d", str(self.root), "-f", str(self.config), *extra]

    def environment(self):
        """What the server inherits: nothing that would change which Python is found or how it behaves."""
        kept = {key: os.environ[key] for key in ("LANG", "LC_ALL", "TZ", "TMPDIR") if key in os.environ}
        kept["PATH"] = "/usr/local/bin:/usr/bin:/bin"
        return kept

    def check(self):
        done = subprocess.run(
            self.command("-t"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment()
        )
        if done.returncode != 0:
            raise HttpdError(f"httpd refuses {self.config}:\n{done.stdout}")

    def start(self, deadline=30.0):
        """Start, and return when the port accepts."""
        self.check()
        with open(self.root / "console.log", "wb") as console:
            self.process = subprocess.Popen(
                self.command("-DFOREGROUND"),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=self.environment(),
                start_new_session=True,
            )
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise HttpdError(f"httpd ended at once:\n{self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise HttpdError(f"httpd did not listen on port {self.port} within {deadline:.0f} s:\n{self.log_tail()}")

    def log_tail(self, lines=20):
        text = ""
        for file in (self.root / "console.log", self.error_log):
            if file.exists():
                text += "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) + "\n"
        return text

    def pids(self):
        """The parent and its descendants that live now."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = stat_fields(entry)
                if fields:
                    parents[int(entry)] = int(fields[1])
        found = {self.process.pid}
        while True:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            if not more:
                return sorted(found)
            found |= more

    def cpu_seconds(self):
        """User plus system time of the parent, its children, and those that it has waited for."""
        ticks = 0
        for pid in self.pids():
            fields = stat_fields(pid)
            if fields:
                ticks += int(fields[11]) + int(fields[12])
                if pid == self.process.pid:
                    ticks += int(fields[13]) + int(fields[14])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_kib(self):
        """Resident memory of the children, not of the parent."""
        total = 0
        for pid in self.pids():
            if pid == self.process.pid:
                continue
            try:
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmRSS:"):
                        total += int(line.split()[1])
            except OSError:
                pass
        return total

    def stop(self, deadline=20.0):
        """Ask, wait, then insist. Only processes of this server's own session are signalled."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(deadline)
            except subprocess.TimeoutExpired:
                pass
        # The parent leads its own session and process group, so the group holds nothing else.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def stat_fields(pid):
    """The fields of /proc/<pid>/stat after the command name (which may hold blanks): [0] is the state."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()
