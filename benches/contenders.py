# SPDX-License-Identifier: Apache-2.0
"""The three servers that are compared in embedded mode: ours, mod_wsgi 6.1.1, a C handler.

Those of daemon mode are in daemons.py. Standard library only, Python 3.9.

All get the same httpd, the same configuration but for the module, and the same
Python, which must be readable by the user of httpd's children: a Python that is
not (one in root's home, say) is copied to the temporary directory of the run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "examples")]
sys.dont_write_bytecode = True

import pythons  # noqa: E402
from httpd import HttpdError, User, free_port, output, program  # noqa: E402

OURS, REFERENCE, C = "mod_wsgi_rs", "mod_wsgi 6.1.1", "C handler"
DJANGO = {True: "Django==5.2.19", False: "Django==4.2.27"}
# More than the connections of any scenario: event closes idle keep-alive connections when every thread is busy.
THREADS = 24


def note(text):
    print(text, file=sys.stderr, flush=True)


class Python(pythons.Python):
    """An interpreter, where its shared files are for httpd's children, and what was built for it."""

    def __init__(self, executable, root, user):
        super().__init__(executable)
        self.home = self.prefix
        if not self.is_readable_by(user):
            self.home = root / f"python{self.minor}"
            note(f"Copying Python {self.version} to {self.home}, because user {user.describe()} cannot read {self.prefix}")
            self.copy(self.home)

    def reference(self, state):
        """The path of mod_wsgi 6.1.1 built for this Python, once per checkout."""
        venv = state / ("venv" if self.prefix == Path("/usr") else f"venv-{self.version}")
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
        if site.exists():
            return site
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


def applications(root, python):
    """A folder with the applications, and the file that one of them sends, for httpd's user to read; made once."""
    folder = root / f"applications-{python.minor}"
    if not folder.exists():
        shutil.copytree(HERE / "apps", folder)
        # For servers that import an application by the name of a module.
        shutil.copyfile(HERE / "apps/bench.wsgi", folder / "bench_application.py")
        with open(folder / "file.bin", "wb") as file:
            file.write(b"x" * (10 << 20))
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    return folder


class Running:
    """Servers for one Python. Use as a context: they run inside it."""

    def __init__(self, root, python):
        self.root, self.python, self.user = root, python, User()
        self.applications = applications(root, python)
        self.servers = {}

    def place(self, name):
        """Where its server lies: short, because it may hold sockets."""
        return self.root / (name.replace(" ", "-") + "-" + self.python.minor)

    def add(self, name, lines, modules=(), kind=pythons.Server, **options):
        copies = [self.python.moved] if self.python.moved else []
        options.update(user=self.user, copies=copies, modules=modules)
        self.servers[name] = kind(self.place(name), free_port(), lines, **options)

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


class Contenders(Running):
    """The servers of embedded mode, and the C handler."""

    mode = "embedded"

    def __init__(self, root, python, module, state=ROOT / "target/bench", only=None, threads=THREADS):
        super().__init__(root, python)
        site = python.site(state, root)
        common = frame(self.applications, threads)
        wsgi = [
            f'WSGIPythonPath "{site}:{self.applications}"',
            "WSGIEnableSendfile On",
            "WSGIApplicationGroup %{GLOBAL}",
            f'WSGIScriptAlias /django "{self.applications}/django_page.wsgi"',
            f'WSGIScriptAlias / "{self.applications}/bench.wsgi"',
        ]
        if python.home != Path("/usr"):
            wsgi.insert(0, f'WSGIPythonHome "{python.home}"')
        handler = [
            f'LoadModule bench_module "{c_module(state)}"',
            f'SetEnv BENCH_FILE "{self.applications}/file.bin"',
            '<Location "/">',
            "    SetHandler bench-handler",
            "</Location>",
        ]
        for name, lines in (
            (OURS, lambda: [f'LoadModule wsgi_module "{module}"', *wsgi]),
            (REFERENCE, lambda: [f'LoadModule wsgi_module "{python.reference(ROOT / "target/reference")}"', *wsgi]),
            (C, lambda: handler),
        ):
            if not only or name in only:
                self.add(name, [*common, *lines()], modules=("env",) if name == C else ())


def found_pythons(default):
    """The Python asked for, and a 3.13 beside it, if there is one."""
    yield default
    other = pythons.find(13)
    if other and os.path.realpath(other) != os.path.realpath(default):
        yield str(other)
