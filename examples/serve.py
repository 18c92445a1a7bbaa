# SPDX-License-Identifier: Apache-2.0
"""Serve the example applications with a private httpd until Ctrl-C.

They run in httpd's children, in the processes of a group, and in a group that
has another Python, where the machine has one.

What they read (applications, database, virtual environment, Python) must be
readable by httpd's user even when the checkout is not, so it is copied to a
temporary directory where needed. That directory is removed at the end.
`make serve` calls this. Standard library only, Python 3.9.
"""

import argparse
import hashlib
import html
import os
import secrets
import shutil
import signal
import string
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))
sys.dont_write_bytecode = True

import pythons  # noqa: E402
from httpd import HttpdError, User, port_is_free, temp_root  # noqa: E402

APPLICATIONS = ("environ", "flask", "django")
PAGES = ("/environ", "/flask/", "/django/", "/django/admin/")
DAEMON, SECOND = "daemon", "second"
NO_SECOND = (
    "NO SECOND PYTHON, so nothing is served below /second. A CPython 3.9 to 3.13 of another version with a shared "
    "library was looked for in ~/.pyenv/versions, $PYENV_ROOT/versions, /usr/local and /usr."
)


def say(text=""):
    print(text, flush=True)


class Mount:
    """Where the applications are served a second time: below which path, by which group, with which Python."""

    def __init__(self, path, group, python, venv):
        self.path, self.group, self.python, self.venv = path, group, python, venv

    @property
    def place(self):
        return f"the group '{self.group}'" if self.group else "httpd's children"


def virtual_environment(python, venv):
    """The environment with the pinned packages, made anew when the pins or the Python changed."""
    requirements = HERE / "requirements.txt"
    wanted = hashlib.sha256(f"{python.version} {python.prefix} ".encode() + requirements.read_bytes()).hexdigest()
    stamp = venv.with_name(venv.name + ".stamp")
    if stamp.exists() and stamp.read_text() == wanted and (venv / "bin/python").exists():
        return
    say(f"Installing Flask and Django for Python {python.version} into {venv}")
    stamp.unlink(missing_ok=True)
    venv.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([python.executable, "-m", "venv", "--clear", str(venv)], check=True)
    subprocess.run(
        [str(venv / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(requirements)],
        check=True,
    )
    stamp.write_text(wanted)


def readable_environment(python, venv, root, user):
    """The virtual environment, or a copy where the user cannot read it or its Python."""
    virtual_environment(python, venv)
    if not python.is_readable_by(user):
        home = root / f"python{python.minor}"
        say(f"Copying Python {python.version} to {home}, because user {user.describe()} cannot read {python.prefix}")
        python.copy(home)
    elif user.can(venv / "pyvenv.cfg", os.R_OK):
        return venv
    return pythons.copy_venv(venv, root, python)


def copy_readable(source, target):
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "data"))
    for directory, _, files in os.walk(target):
        os.chmod(directory, 0o755)
        for file in files:
            path = os.path.join(directory, file)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | 0o444)


def prepare_django(project, venv, user, password):
    environment = dict(
        os.environ, DJANGO_SUPERUSER_PASSWORD=password, PYTHONDONTWRITEBYTECODE="1", DJANGO_SETTINGS_MODULE="demo.settings"
    )
    data = project / "data"
    data.mkdir(mode=0o700)
    manage = [str(venv / "bin/python"), str(project / "manage.py")]
    for command in (
        ["migrate", "--verbosity", "0"],
        ["createsuperuser", "--noinput", "--verbosity", "0", "--username", "admin", "--email", "admin@localhost"],
    ):
        subprocess.run(manage + command, check=True, env=environment, stdin=subprocess.DEVNULL)
    user.owns(data)


def configuration(module, applications, mounts, root):
    lines = [
        f'LoadModule wsgi_module "{module}"',
        "LogLevel warn wsgi:info",
        "StartServers 1",
        "ThreadsPerChild 16",
        "MinSpareThreads 8",
        "MaxSpareThreads 48",
        "MaxRequestWorkers 64",
        f'CustomLog "{root}/access.log" "%h %t \\"%r\\" %>s %b %Dus"',
        "AddType text/css .css",
        "AddType text/javascript .js",
        "AddType image/svg+xml .svg",
        f'DocumentRoot "{applications}/htdocs"',
        "DirectoryIndex index.html",
        f'<Directory "{applications}">',
        "    Require all granted",
        "</Directory>",
    ]
    if os.path.exists("/etc/mime.types"):
        lines.insert(0, "TypesConfig /etc/mime.types")
    for mount in mounts:
        lines += mounted(mount, applications)
    return lines


def mounted(mount, applications):
    """The applications at one more place, in one more group."""
    static = next(mount.venv.glob("lib/python3*/site-packages")) / "django/contrib/admin/static"
    if mount.group:
        lines = [f'WSGIDaemonProcess {mount.group} processes=2 threads=8 python-home="{mount.venv}"']
        option = f" process-group={mount.group}"
    else:
        lines = [f'WSGIPythonHome "{mount.venv}"']
        option = ""
    return [
        *lines,
        f'Alias {mount.path}/django/static/admin "{static}/admin"',
        f'<Directory "{static}">',
        "    Require all granted",
        "</Directory>",
        *(f'WSGIScriptAlias {mount.path}/{name} "{applications}/{name}/{name}.wsgi"{option}' for name in APPLICATIONS),
    ]


def start_page(file, mounts):
    """Fills in what is served where, and by which Python."""
    rows = [
        f"<tr><td>{html.escape(mount.place)}</td><td>{html.escape(mount.python.version)}</td>"
        + "".join(f'<td><a href="{mount.path}{page}">{mount.path}{page}</a></td>' for page in PAGES)
        + "</tr>"
        for mount in mounts
    ]
    missing = "" if len(mounts) == 3 else f"<p><strong>{html.escape(NO_SECOND)}</strong></p>"
    page = string.Template(file.read_text()).substitute(rows="\n".join(rows), missing=missing)
    file.write_text(page)


class Terminal:
    """Keeps Ctrl-C from reaching `make` as well, which would then report an error for a clean stop.

    In the foreground of a terminal we become the foreground process group ourselves, as a job of a shell does.
    Everywhere else (a pipe, CI, `timeout`) nothing is changed.
    """

    def __init__(self):
        self.descriptor = None
        try:
            descriptor = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        before = os.getpgrp()
        if os.tcgetpgrp(descriptor) != before or before == os.getpid():
            os.close(descriptor)
            return
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.setpgid(0, 0)
        os.tcsetpgrp(descriptor, os.getpgrp())
        self.descriptor, self.before = descriptor, before

    def restore(self):
        if self.descriptor is not None:
            try:
                os.tcsetpgrp(self.descriptor, self.before)
            except OSError:
                pass


class Stop(Exception):
    """A signal asked us to end."""


def stop(_number, _frame):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stop


def follow(server, starter):
    """Show the error log until httpd ends or our parent is gone."""
    with open(server.error_log, "rb") as log:
        while server.process.poll() is None and os.getppid() == starter:
            text = log.read()
            if text:
                sys.stdout.buffer.write(text)
                sys.stdout.buffer.flush()
            time.sleep(0.2)
    if server.process.poll() is not None:
        raise HttpdError(f"httpd ended:\n{server.log_tail()}")


def mounts_of(python, state, root, user):
    """httpd's children and a group with the Python asked for, and a group with another one."""
    venv = readable_environment(python, state / "venv", root, user)
    mounts = [Mount("", None, python, venv), Mount("/daemon", DAEMON, python, venv)]
    second = pythons.beside(python)
    if second:
        try:
            venv = readable_environment(second, state / f"venv-{second.minor}", root, user)
            mounts.append(Mount("/second", SECOND, second, venv))
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"Python {second.version} at {second.prefix} cannot be used: {error}")
    return mounts


def announce(server, arguments, mounts, password):
    address = f"http://127.0.0.1:{arguments.port}"
    say()
    say(f"Serving, as user {server.user.describe()}, with {arguments.module}")
    say(f"  {address}/  links to everything")
    for mount in mounts:
        say(f"In {mount.place}, Python {mount.python.version}:")
        say(f"  {address}{mount.path}/environ        plain WSGI: shows its environ")
        say(f"  {address}{mount.path}/flask/         Flask: form, upload, streamed page")
        say(f"  {address}{mount.path}/django/        Django: guest book, the same everywhere")
        say(f"  {address}{mount.path}/django/admin/  its admin: user admin, password {password}")
    if len(mounts) < 3:
        say()
        say(f"*** {NO_SECOND}")
        say()
    say(f"Everything lies in {server.root} and is removed at the end. Ctrl-C stops. The error log follows.")
    say()


def serve(arguments, root, starter):
    user = User()
    if not port_is_free(arguments.port):
        raise HttpdError(f"port {arguments.port} is in use; choose another: make serve PORT=8001")
    mounts = mounts_of(pythons.Python(arguments.python), arguments.state.resolve(), root, user)
    applications = root / "examples"
    applications.mkdir()
    for name in ("htdocs", *APPLICATIONS):
        copy_readable(HERE / name, applications / name)
    start_page(applications / "htdocs/index.html", mounts)
    password = secrets.token_urlsafe(9)
    prepare_django(applications / "django", mounts[0].venv, user, password)
    server = pythons.Server(
        root,
        arguments.port,
        configuration(arguments.module, applications, mounts, root),
        modules=("alias", "dir", "mime"),
        user=user,
        copies={mount.python.moved for mount in mounts if mount.python.moved},
    )
    try:
        server.start()
        announce(server, arguments, mounts, password)
        follow(server, starter)
    finally:
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--python", default=sys.executable, help="the Python of the virtual environment")
    parser.add_argument("--state", type=Path, default=HERE.parent / "target/serve", help="where that is kept")
    arguments = parser.parse_args()

    starter = os.getppid()
    os.umask(0o022)
    terminal = Terminal()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    root = temp_root("serve")
    status = 0
    try:
        serve(arguments, root, starter)
    except Stop:
        say("\nStopped.")
    except HttpdError as error:
        say(f"make serve: {error}")
        status = 1
    except subprocess.CalledProcessError as error:
        say(f"make serve: this command ended with status {error.returncode}: {' '.join(map(str, error.cmd))}")
        status = 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
        terminal.restore()
    return status


if __name__ == "__main__":
    sys.exit(main())
