# SPDX-License-Identifier: Apache-2.0
"""Start `make serve` as people do, use every page, stop it with Ctrl-C, and look for what is left.

In a terminal of its own through make; then, when we are root, once more as an
ordinary user from a copy (no make there: that user need not have cargo).
Standard library only, Python 3.9. `make test` calls this.
"""

import argparse
import hashlib
import http.client
import os
import pty
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))
sys.dont_write_bytecode = True

from httpd import free_port  # noqa: E402

START_DEADLINE = 900.0  # it may have to build and to download first
STOP_DEADLINE = 30.0


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


class Session:
    """A terminal in which one command runs, and everything it has written."""

    def __init__(self, command, **options):
        self.text = ""
        self.process, self.terminal = self.spawn(command, **options)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    @staticmethod
    def spawn(command, **options):
        master, slave = pty.openpty()
        # The child leads a session whose controlling terminal is ours; only then does ^C become a signal.
        starter = [sys.executable, "-c", TERMINAL, *command]
        process = subprocess.Popen(starter, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, **options)
        os.close(slave)
        return process, master

    def read(self):
        while True:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                return
            if not data:
                return
            self.text += data.decode("utf-8", "replace")

    def wait_for(self, text, deadline):
        end = time.monotonic() + deadline
        while text not in self.text:
            expect(self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.text}")
            expect(time.monotonic() < end, f"no '{text}' within {deadline:.0f} s:\n{self.text}")
            time.sleep(0.1)

    def interrupt(self):
        os.write(self.terminal, b"\x03")
        try:
            return self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"Ctrl-C did not end it:\n{self.text}") from None

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.reader.join(5)
        os.close(self.terminal)


TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Site:
    """A visitor with cookies."""

    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}"
        self.open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        ).open

    def get(self, path, data=None, headers=None, status=200):
        request = urllib.request.Request(self.address + path, data=data, headers=headers or {})
        try:
            with self.open(request, timeout=60) as response:
                found, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            found, text = error.code, error.read().decode()
        expect(found == status, f"{path} answered {found}, not {status}:\n{text[:2000]}")
        return text

    def form(self, path, **fields):
        token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', self.get(path))
        if token:
            fields["csrfmiddlewaretoken"] = token.group(1)
        return self.get(path, urllib.parse.urlencode(fields).encode())


def multipart(name, content):
    boundary = "b" + hashlib.sha256(content).hexdigest()[:20]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def streamed(port):
    """The seconds between the first and the last line of the streamed page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/flask/stream?lines=4")
    response = connection.getresponse()
    times = []
    for line in iter(response.readline, b""):
        expect(line.startswith(b"line "), f"streamed {line!r}")
        times.append(time.monotonic())
    connection.close()
    expect(len(times) == 4, f"{len(times)} lines")
    return times[-1] - times[0]


def use(port, password):
    """Every page that the examples have."""
    site = Site(port)
    expect('href="/django/admin/"' in site.get("/"), "the index has its links")
    page = site.get("/environ/a%20path?name=%3Cb%3E", headers={"X-Probe": "<script>"})
    for text in ("&lt;script&gt;", "HTTP_X_PROBE", "wsgi.input", "/a path", "name=%3Cb%3E"):
        expect(text in page, f"no {text} in /environ")
    expect("<script>" not in page, "/environ does not escape")
    expect("hello=again" in site.get("/environ", b"hello=again"), "/environ shows the body")
    expect("upload" in site.get("/flask/"), "Flask's index")
    expect("Hello, Ada &amp; co." in site.form("/flask/form", name="Ada & co."), "Flask's form")
    content = os.urandom(3_000_000)
    body, kind = multipart("three-megabytes.bin", content)
    page = site.get("/flask/upload", body, {"Content-Type": kind})
    expect(hashlib.sha256(content).hexdigest() in page and "3000000" in page, "Flask's upload")
    expect(streamed(port) > 0.4, "the streamed page came in one piece")
    site.get("/flask/error", status=500)
    site.get("/flask/nothing", status=404)
    expect("a first entry" in site.form("/django/", name="Ada", text="a first entry"), "Django's guest book")
    page = site.form("/django/admin/login/", username="admin", password=password, next="/django/admin/")
    expect("Site administration" in page, "the admin lets us in")
    expect("a first entry" in site.get("/django/admin/guestbook/entry/"), "the admin lists the entry")
    expect("--primary" in site.get("/django/static/admin/css/base.css"), "the admin's style sheet")


def left_over(mark):
    """Processes whose command line holds `mark`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if mark in line:
            found.append(f"{pid} {line}")
    return found


def whole(title, command, port, **options):
    print(f"make serve, {title}", flush=True)
    session = Session(command, **options)
    try:
        session.wait_for("The error log follows.", START_DEADLINE)
        root = re.search(r"Everything lies in (\S+)", session.text).group(1)
        use(port, re.search(r"user admin, password (\S+)", session.text).group(1))
        session.wait_for("this page raises on purpose", 10)
        status = session.interrupt()
        expect(status == 0, f"it ended with {status}:\n{session.text}")
        expect(not os.path.exists(root), f"{root} was left behind")
        expect(not left_over(root), f"left behind: {left_over(root)}")
    finally:
        session.close()


def port_in_use(command, port, **options):
    """A second server on the same port says so and leaves."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **options)
    expect(done.returncode == 1 and "is in use" in done.stdout, f"status {done.returncode}:\n{done.stdout}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", required=True, type=lambda text: Path(text).resolve(), help="mod_wsgi_rs.so")
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()

    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    port = free_port()
    command = ["make", "--no-print-directory", "-C", str(HERE.parent), "serve", f"PORT={port}", f"PYTHON={arguments.python}"]
    whole(f"as {pwd.getpwuid(os.geteuid()).pw_name}", command, port, env=environment)
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        copy = Path(tempfile.mkdtemp(prefix="mod_wsgi_rs-test-serve."))
        try:
            for name in ("examples", "tools"):
                shutil.copytree(HERE.parent / name, copy / name)
            shutil.copytree(arguments.module.parent, copy / "module")
            (copy / "home").mkdir()
            for directory, _, files in os.walk(copy):
                os.chmod(directory, 0o755)
                for file in files:
                    os.chmod(os.path.join(directory, file), 0o644)
            os.chmod(copy, 0o755)
            os.chown(copy / "home", user.pw_uid, user.pw_gid)
            port = free_port()
            command = [
                "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
                arguments.python, str(copy / "examples/serve.py"), "--module", str(copy / "module" / arguments.module.name),
                "--python", arguments.python, "--port", str(port), "--state", str(copy / "home/serve"),
            ]  # fmt: skip
            environment["HOME"] = str(copy / "home")
            environment.pop("TMPDIR", None)
            whole("as nobody", command, port, env=environment, cwd=str(copy))
            port_in_use(command, port, env=environment, cwd=str(copy))
        finally:
            shutil.rmtree(copy)
    print("make serve: everything answered and nothing is left")


if __name__ == "__main__":
    sys.exit(main())
