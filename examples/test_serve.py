# SPDX-License-Identifier: Apache-2.0
"""Start `make serve` as people do, use every page, stop it with Ctrl-C, and look for what is left.

In a terminal of its own through make; then, when we are root, once more as an
ordinary user from a copy (no make there: that user need not have cargo). Every
application is used in httpd's children, in a group, and in the group with
another Python, if this user finds one; else the loud remark is looked for.
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

from httpd import free_port, stat_fields  # noqa: E402
from pythons import MINORS  # noqa: E402

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

    def wait_for(self, text, deadline, times=1):
        end = time.monotonic() + deadline
        while self.text.count(text) < times:
            expect(self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.text}")
            expect(time.monotonic() < end, f"not {times} times '{text}' within {deadline:.0f} s:\n{self.text}")
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


def streamed(port, path):
    """The seconds between the first and the last line of the streamed page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"{path}/flask/stream?lines=4")
    response = connection.getresponse()
    times = []
    for line in iter(response.readline, b""):
        expect(line.startswith(b"line "), f"streamed {line!r}")
        times.append(time.monotonic())
    connection.close()
    expect(len(times) == 4, f"{len(times)} lines")
    return times[-1] - times[0]


def use(port, path, password):
    """Every page that the applications have below `path`."""
    site = Site(port)
    expect(f'href="{path}/django/admin/"' in site.get("/"), f"the index has no links below {path}/")
    page = site.get(f"{path}/environ/a%20path?name=%3Cb%3E", headers={"X-Probe": "<script>"})
    for text in ("&lt;script&gt;", "HTTP_X_PROBE", "wsgi.input", "/a path", "name=%3Cb%3E"):
        expect(text in page, f"no {text} in {path}/environ")
    expect("<script>" not in page, "/environ does not escape")
    expect("hello=again" in site.get(f"{path}/environ", b"hello=again"), "/environ shows the body")
    expect("upload" in site.get(f"{path}/flask/"), "Flask's index")
    expect("Hello, Ada &amp; co." in site.form(f"{path}/flask/form", name="Ada & co."), "Flask's form")
    content = os.urandom(3_000_000)
    body, kind = multipart("three-megabytes.bin", content)
    page = site.get(f"{path}/flask/upload", body, {"Content-Type": kind})
    expect(hashlib.sha256(content).hexdigest() in page and "3000000" in page, "Flask's upload")
    expect(streamed(port, path) > 0.4, "the streamed page came in one piece")
    site.get(f"{path}/flask/error", status=500)
    site.get(f"{path}/flask/nothing", status=404)
    entry = f"written at {path or 'the root'}"
    expect(entry in site.form(f"{path}/django/", name="Ada", text=entry), "Django's guest book")
    expect(entry in site.get("/django/"), "the guest book is the same everywhere")
    admin = f"{path}/django/admin"
    page = site.form(f"{admin}/login/", username="admin", password=password, next=f"{admin}/")
    expect("Site administration" in page, "the admin lets us in")
    expect(entry in site.get(f"{admin}/guestbook/entry/"), "the admin lists the entry")
    expect("--primary" in site.get(f"{path}/django/static/admin/css/base.css"), "the admin's style sheet")


def who_answers(port, path):
    """The Python, the process and the group that the page with the environ shows."""
    page = Site(port).get(f"{path}/environ")
    version, pid = re.search(r"<p>Python (\S+), process (\d+),", page).groups()
    group = re.search(r"<th>mod_wsgi.process_group</th><td class=type>str</td><td>([^<]*)</td>", page).group(1)
    return version, int(pid), group


def places(port, text, second):
    """Whether every place is what the output and the start page say it is; gives the paths."""
    paths = {"": "", "/daemon": "daemon", **({"/second": "second"} if second else {})}
    index = Site(port).get("/")
    told = re.findall(r"^In (?:httpd's children|the group '(\w+)'), Python (\S+):", text.replace("\r", ""), re.MULTILINE)
    expect([group for group, _ in told] == list(paths.values()), f"{told} is announced")
    seen = {}
    for (group, announced), path in zip(told, paths):
        version, seen[path], answered = who_answers(port, path)
        expect((answered, version) == (group, announced), f"{path}/ is {answered} with {version}, not {group} with {announced}")
        expect(re.search(rf"<td>{re.escape(version)}</td><td><a href=\"{path}/environ\">", index), f"no {version} in the index")
    expect(len(set(seen.values())) == len(seen), f"places share processes: {seen}")
    for page in (index, text):
        expect(("NO SECOND PYTHON" in page) == (not second), f"whether there is a second Python ({second}) is not told:\n{page}")
    if second:
        expect(told[2][1] == second and told[1][1] != second, f"{told}: not two versions")
    return list(paths)


def second_python(python, examples, prefix=(), **options):
    """The version of the other Python that this user can have; empty when there is none."""
    ask = "import pythons, sys; found = pythons.beside(pythons.Python(sys.argv[1])); print(found.version if found else '')"
    options["env"] = dict(options["env"], PYTHONPATH=str(examples), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([*prefix, python, "-c", ask, python], check=True, stdout=subprocess.PIPE, text=True, **options)
    second = done.stdout.strip()
    if not second:
        versions = ", ".join(f"3.{minor}" for minor in MINORS)
        print(f"make serve: SKIPPED the group with another Python: none of {versions} besides {python}", flush=True)
    return second


def family(leader):
    """The processes below `leader`, each with the moment it started, so that a number that is used again is another."""
    every = {int(pid): stat_fields(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    found = {leader}
    while True:
        more = {pid for pid, fields in every.items() if fields and int(fields[1]) in found} - found
        if not more:
            return {(pid, every[pid][19]) for pid in found if every.get(pid)}
        found |= more


def left_over(processes):
    """Those that still live when the deadline is over."""
    end = time.monotonic() + STOP_DEADLINE
    while True:
        now = {pid: stat_fields(pid) for pid, _ in processes}
        alive = [pid for pid, start in processes if now[pid] and now[pid][19] == start]
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.1)


def whole(title, command, port, second, **options):
    print(f"make serve, {title}", flush=True)
    session = Session(command, **options)
    try:
        session.wait_for("The error log follows.", START_DEADLINE)
        root = re.search(r"Everything lies in (\S+)", session.text).group(1)
        password = re.search(r"user admin, password (\S+)", session.text).group(1)
        paths = places(port, session.text, second)
        for path in paths:
            use(port, path, password)
        session.wait_for("RuntimeError: this page raises on purpose", 10, len(paths))
        processes = family(session.process.pid)
        # Ourselves, httpd, a child, the supervisor, and two workers of each group.
        expect(len(processes) >= 4 + 2 * (len(paths) - 1), f"too few processes: {processes}")
        status = session.interrupt()
        expect(status == 0, f"it ended with {status}:\n{session.text}")
        expect(not os.path.exists(root), f"{root} was left behind")
        alive = left_over(processes)
        expect(not alive, f"left behind: {alive}")
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
    second = second_python(arguments.python, HERE, env=environment)
    whole(f"as {pwd.getpwuid(os.geteuid()).pw_name}", command, port, second, env=environment)
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        copy = Path(tempfile.mkdtemp(prefix="mod_wsgi_rs-test-serve."))
        try:
            for name in ("examples", "tools"):
                shutil.copytree(HERE.parent / name, copy / name)
            shutil.copytree(arguments.module.parent, copy / "module")
            (copy / "home").mkdir()
            subprocess.run(["chmod", "-R", "a+rX", str(copy)], check=True)
            os.chown(copy / "home", user.pw_uid, user.pw_gid)
            port = free_port()
            become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            command = [
                *become, arguments.python, str(copy / "examples/serve.py"),
                "--module", str(copy / "module" / arguments.module.name),
                "--python", arguments.python, "--port", str(port), "--state", str(copy / "home/serve"),
            ]  # fmt: skip
            environment["HOME"] = str(copy / "home")
            for name in ("TMPDIR", "PYENV_ROOT"):
                environment.pop(name, None)
            options = {"env": environment, "cwd": str(copy)}
            whole("as nobody", command, port, second_python(arguments.python, copy / "examples", become, **options), **options)
            port_in_use(command, port, **options)
        finally:
            shutil.rmtree(copy)
    print("make serve: everything answered and nothing is left")


if __name__ == "__main__":
    sys.exit(main())
