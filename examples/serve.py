# SPDX-License-Identifier: Apache-2.0
"""Serve the example applications with a private httpd until Ctrl-C.

What httpd's children read (applications, database, virtual environment) must
be readable by their user even when the checkout is not, so it is copied to a
temporary directory where needed. That directory is removed at the end.
`make serve` calls this. Standard library only, Python 3.9.
"""

import argparse
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))
sys.dont_write_bytecode = True

from httpd import Httpd, HttpdError, User, port_is_free, temp_root  # noqa: E402


def say(text=""):
    print(text, flush=True)


def virtual_environment(python, state):
    """The environment with the pinned packages, made anew when the pins or the Python changed."""
    requirements = HERE / "requirements.txt"
    identity = subprocess.run(
        [python, "-c", "import sys; print(sys.version, sys.base_prefix)"], check=True, stdout=subprocess.PIPE
    ).stdout
    wanted = hashlib.sha256(identity + requirements.read_bytes()).hexdigest()
    venv, stamp = state / "venv", state / "venv.stamp"
    if stamp.exists() and stamp.read_text() == wanted and (venv / "bin/python").exists():
        return venv
    say(f"Installing Flask and Django into {venv}")
    stamp.unlink(missing_ok=True)
    state.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    subprocess.run(
        [str(venv / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(requirements)],
        check=True,
    )
    stamp.write_text(wanted)
    return venv


def copy_readable(source, target):
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "data"))
    for directory, _, files in os.walk(target):
        os.chmod(directory, 0o755)
        for file in files:
            path = os.path.join(directory, file)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | 0o444)


def copy_venv(source, target):
    """A copy works without its scripts being rewritten, because only python and the packages are used."""
    shutil.copytree(source, target, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)


def check_python(venv, user):
    probe = "import os, sys; print(os.path.realpath(sys.executable)); print(os.__file__)"
    done = subprocess.run([str(venv / "bin/python"), "-c", probe], check=True, stdout=subprocess.PIPE, text=True)
    for path in done.stdout.splitlines():
        if not user.can(path, os.R_OK):
            raise HttpdError(
                f"httpd's user {user.describe()} cannot read {path}.\n"
                "Choose a Python that every user can read (make serve PYTHON=/usr/bin/python3), "
                "or run as an ordinary user, not as root."
            )


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


def configuration(module, applications, venv, root):
    packages = next(venv.glob("lib/python3*/site-packages"))
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
        f'Alias /django/static/admin "{packages}/django/contrib/admin/static/admin"',
        f'<Directory "{packages}/django/contrib/admin/static">',
        "    Require all granted",
        "</Directory>",
        f'WSGIPythonHome "{venv}"',
        f'WSGIScriptAlias /environ "{applications}/environ/environ.wsgi"',
        f'WSGIScriptAlias /flask "{applications}/flask/flask.wsgi"',
        f'WSGIScriptAlias /django "{applications}/django/django.wsgi"',
    ]
    if os.path.exists("/etc/mime.types"):
        lines.insert(0, "TypesConfig /etc/mime.types")
    return lines


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


def serve(arguments, root, starter):
    user = User()
    if not port_is_free(arguments.port):
        raise HttpdError(f"port {arguments.port} is in use; choose another: make serve PORT=8001")
    venv = virtual_environment(arguments.python, arguments.state.resolve())
    if not user.can(venv / "pyvenv.cfg", os.R_OK):
        copy_venv(venv, root / "venv")
        venv = root / "venv"
    check_python(venv, user)
    applications = root / "examples"
    applications.mkdir()
    for name in ("htdocs", "environ", "flask", "django"):
        copy_readable(HERE / name, applications / name)
    password = secrets.token_urlsafe(9)
    prepare_django(applications / "django", venv, user, password)
    server = Httpd(
        root,
        arguments.port,
        configuration(arguments.module, applications, venv, root),
        modules=("alias", "dir", "mime"),
        user=user,
    )
    try:
        server.start()
        address = f"http://127.0.0.1:{arguments.port}"
        say()
        say(f"Serving, as user {user.describe()}, with {arguments.module}")
        say(f"  {address}/               links to everything")
        say(f"  {address}/environ        plain WSGI: shows its environ")
        say(f"  {address}/flask/         Flask: form, upload, streamed page")
        say(f"  {address}/django/        Django: guest book")
        say(f"  {address}/django/admin/  its admin: user admin, password {password}")
        say(f"Everything lies in {root} and is removed at the end. Ctrl-C stops. The error log follows.")
        say()
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
