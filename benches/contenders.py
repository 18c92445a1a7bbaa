# SPDX-License-Identifier: Apache-2.0
"""The three servers that are compared: ours, mod_wsgi 6.1.1, a C handler. Standard library only, Python 3.9.

All get the same httpd, the same configuration but for the module, and the same
Python, which must be readable by the user of httpd's children: a Python that is
not (one in root's home, say) is copied to the temporary directory of the run.
"""

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True

from httpd import Httpd, HttpdError, User, free_port, output, program  # noqa: E402

OURS, REFERENCE, C = "mod_wsgi_rs", "mod_wsgi 6.1.1", "C handler"
DJANGO = {True: "Django==5.2.19", False: "Django==4.2.27"}
# More than the connections of any scenario: event closes idle keep-alive connections when every thread is busy.
THREADS = 24


def note(text):
    print(text, file=sys.stderr, flush=True)


class Python:
    """An interpreter, where its shared files are for httpd's children, and what was built for it."""

    def __init__(self, executable, root, user):
        ask = "import sys, os, sysconfig; print('%d.%d' % sys.version_info[:2], sys.version.split()[0], sys.base_prefix, os.__file__, sep='\\n')"
        self.minor, self.version, self.prefix, library = output(executable, "-c", ask).split("\n")[:4]
        self.executable = executable
        self.home = Path(self.prefix)
        if not user.can(library, os.R_OK):
            self.home = root / f"python{self.minor}"
            note(f"Copying Python {self.version} to {self.home}, because user {user.describe()} cannot read {self.prefix}")
            self.copy()

    def copy(self):
        skipped = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages"}

        def ignore(directory, names):
            top = os.path.basename(directory) == f"python{self.minor}"
            return {name for name in names if (top and (name in skipped or name.startswith("config-"))) or name.endswith(".a")}

        (self.home / "bin").mkdir(parents=True)
        shutil.copy2(os.path.realpath(f"{self.prefix}/bin/python{self.minor}"), self.home / f"bin/python{self.minor}")
        os.symlink(f"python{self.minor}", self.home / "bin/python3")
        shutil.copytree(
            f"{self.prefix}/lib/python{self.minor}", self.home / f"lib/python{self.minor}", symlinks=True, ignore=ignore
        )
        (self.home / f"lib/python{self.minor}/site-packages").mkdir(exist_ok=True)
        for library in glob.glob(f"{self.prefix}/lib/libpython3*.so*"):
            shutil.copy2(library, self.home / "lib", follow_symlinks=False)
        subprocess.run(["chmod", "-R", "a+rX", str(self.home)], check=True)

    def reference(self, state):
        """The path of mod_wsgi 6.1.1 built for this Python, once per checkout."""
        venv = state / ("venv" if self.prefix == "/usr" else f"venv-{self.version}")
        subprocess.run([str(ROOT / "packaging/peer.sh"), self.executable, str(venv)], check=True)
        found = sorted(venv.glob("lib/python3*/site-packages/mod_wsgi/server/mod_wsgi-*.so"))
        if not found:
            raise HttpdError(f"there is no mod_wsgi 6.1.1 for Python {self.version}")
        return found[0]

    def site(self, state, root):
        """A directory with Django that httpd's children can read."""
        kept = state / f"site-{self.minor}"
        stamp = kept / "complete"
        wanted = DJANGO[int(self.minor.split(".")[1]) >= 10]
        if not (stamp.exists() and stamp.read_text() == wanted):
            note(f"Installing {wanted} for Python {self.minor}")
            shutil.rmtree(kept, ignore_errors=True)
            # A venv of its own, because Debian's python3 comes without pip.
            venv = state / f"pip-{self.minor}"
            subprocess.run([self.executable, "-m", "venv", "--clear", str(venv)], check=True)
            pip = [str(venv / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, "--target", str(kept), wanted], check=True)
            stamp.write_text(wanted)
        site = root / f"site-{self.minor}"
        shutil.copytree(kept, site)
        subprocess.run(["chmod", "-R", "a+rX", str(site)], check=True)
        return site


def c_module(state):
    """Compile the C handler."""
    source, built = HERE / "c_handler/mod_bench.c", state / "mod_bench.so"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        apxs = program("apxs", "apxs2")
        apr = output(apxs, "-q", "APR_CONFIG").strip()
        flags = output(apr, "--includes", "--cppflags").split()
        include = "-I" + output(apxs, "-q", "INCLUDEDIR").strip()
        command = ["cc", "-O2", "-fPIC", "-shared", include, *flags, "-o", str(built), str(source)]
        state.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True)
    return built


def frame(documents, threads=THREADS):
    """The configuration that every server has: one child, keep-alive without end, and `documents` to serve."""
    return [
        "ServerLimit 1",
        "StartServers 1",
        f"ThreadsPerChild {threads}",
        f"MaxRequestWorkers {threads}",
        "MinSpareThreads 1",
        f"MaxSpareThreads {2 * threads}",
        "MaxConnectionsPerChild 0",
        "KeepAlive On",
        "MaxKeepAliveRequests 0",
        "KeepAliveTimeout 60",
        "EnableSendfile On",
        f'DocumentRoot "{documents}"',
        f'<Directory "{documents}">',
        "    Require all granted",
        "</Directory>",
    ]


class Contenders:
    """The servers for one Python. Use as a context: they run inside it."""

    def __init__(self, root, python, module, state=ROOT / "target/bench", only=None, threads=THREADS):
        user = User()
        self.python = python
        applications = root / f"applications-{python.minor}"
        shutil.copytree(HERE / "apps", applications)
        with open(applications / "file.bin", "wb") as file:
            file.write(b"x" * (10 << 20))
        subprocess.run(["chmod", "-R", "a+rX", str(applications)], check=True)
        site = python.site(state, root)
        common = frame(applications, threads)
        wsgi = [
            f'WSGIPythonPath "{site}:{applications}"',
            "WSGIEnableSendfile On",
            "WSGIApplicationGroup %{GLOBAL}",
            f'WSGIScriptAlias /django "{applications}/django_page.wsgi"',
            f'WSGIScriptAlias / "{applications}/bench.wsgi"',
        ]
        if python.home != Path("/usr"):
            wsgi.insert(0, f'WSGIPythonHome "{python.home}"')
        handler = [
            f'LoadModule bench_module "{c_module(state)}"',
            f'SetEnv BENCH_FILE "{applications}/file.bin"',
            '<Location "/">',
            "    SetHandler bench-handler",
            "</Location>",
        ]
        self.servers = {}
        for name, lines in (
            (OURS, lambda: [f'LoadModule wsgi_module "{module}"', *wsgi]),
            (REFERENCE, lambda: [f'LoadModule wsgi_module "{python.reference(ROOT / "target/reference")}"', *wsgi]),
            (C, lambda: handler),
        ):
            if only and name not in only:
                continue
            modules = ("env",) if name == C else ()
            place = root / (name.replace(" ", "-") + "-" + python.minor)
            self.servers[name] = Httpd(place, free_port(), [*common, *lines()], modules=modules, user=user)

    def __enter__(self):
        try:
            for server in self.servers.values():
                server.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            server.stop()


def found_pythons(default):
    """The Python asked for, and the newest 3.13 of pyenv, if there is one."""
    yield default
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    newest = sorted(versions.glob("3.13.*/bin/python3.13"), key=lambda path: int(path.parts[-3].split(".")[2].rstrip("t")))
    shared = [path for path in newest if list(path.parent.parent.glob("lib/libpython3.13*.so*"))]
    if shared and os.path.realpath(shared[-1]) != os.path.realpath(default):
        yield str(shared[-1])
