# SPDX-License-Identifier: Apache-2.0
"""Runs a file of tests under a rehearsal: `python host.py <directory of the modules> <file of tests>`.

The main thread is occupied by `_mod_wsgi_rs`, as in httpd; the tests run in a thread beside it and make requests,
which run on threads of the rehearsal. A file may set SETUP, and END, how the main thread is expected to come back.
"""

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import threading
import time
import traceback

DIRECTORY, FILE = sys.argv[1:3]


def load(name):
    specification = importlib.machinery.PathFinder.find_spec(name, [DIRECTORY])
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


runtime = load("_mod_wsgi_rs")
rehearsal = load("rehearsal")
KINDS = ["complete", "refused", "truncated", "client gone"]
SCRIPTS = tempfile.mkdtemp()
_count = [0]


class Answer:
    """What the server was told during a request."""

    def __init__(self, answer):
        kind, self.refusal, self.told, log = answer
        self.kind = KINDS[kind]
        self.log = [(level, line.decode("utf-8", "replace")) for level, line in log]
        heads = [one for one in self.told if one[0] == "head"]
        assert len(heads) <= 1, heads
        self.head = heads[0] if heads else None
        self.status = self.head[1] if heads else self.refusal
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.head[3]] if heads else []
        self.body = b"".join(one[1] for one in self.told if one[0] == "data")
        self.steps = [one[0] if one[0] != "data" else one[1] for one in self.told if one[0] not in ("head", "read")]

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def events(self):
        return [line.split(":")[0] for _, line in self.log if line.startswith("WSGIRS")]

    def text(self):
        return "\n".join(line for _, line in self.log)

    def __repr__(self):
        return "<%s %s %r %r %r>" % (self.kind, self.status, self.headers, self.body[:2000], self.log)


def write_script(source, name=None):
    _count[0] += 1
    path = os.path.join(SCRIPTS, name or "script%d.wsgi" % _count[0])
    with open(path, "w", encoding="utf-8") as file:
        file.write(source)
    return path


def mtime(path):
    try:
        return os.stat(path).st_mtime_ns // 1000
    except OSError:
        return 0


def request(script, **options):
    """One request to a script file; `script` may also be its source."""
    if "\n" in script:
        script = write_script(script)
    wanted = {
        "application_group": b"",
        "script": os.fsencode(script),
        "mtime": mtime(script),
        "callable": b"application",
        "reloading": 1,
        "resource": os.fsencode(script),
        "environ": [("REQUEST_METHOD", 0, b"GET"), ("SCRIPT_FILENAME", 1, os.fsencode(script))],
        "body": [],
    }
    environ = options.pop("environ", [])
    wanted["environ"] += [(name, 0, value) if not isinstance(value, tuple) else (name,) + value for name, value in environ]
    body = options.pop("body", [])
    wanted["body"] = [body] if isinstance(body, bytes) else body
    group = options.pop("group", "")
    wanted["application_group"] = group.encode()
    wanted.update(options)
    return Answer(rehearsal.request(wanted))


def server_log():
    return [(level, line.decode("utf-8", "replace")) for level, line in rehearsal.log()]


def run_tests(module, failures):
    while not rehearsal.is_ready():
        time.sleep(0.005)
    tests = [(name, value) for name, value in vars(module).items() if name.startswith("test_")]
    for name, test in tests:
        try:
            test()
        except BaseException:
            failures.append("%s\n%s" % (name, traceback.format_exc()))
    print("%d tests in %s" % (len(tests), os.path.basename(FILE)), file=real_stdout)
    rehearsal.stop()


real_stdout, real_stderr = os.fdopen(os.dup(1), "w", 1), os.fdopen(os.dup(2), "w", 1)
sys.path.insert(0, os.path.dirname(os.path.abspath(FILE)))
sys.modules["host"] = sys.modules["__main__"]
tests = importlib.import_module(os.path.splitext(os.path.basename(FILE))[0])
failures = []
threading.Thread(target=run_tests, args=(tests, failures), daemon=True).start()
setup = {"interpreter_limit": 8, "shutdown_milliseconds": 5000, "destroy_interpreters": 1, "case_sensitive": 1, "restrict_signal": 1}
setup.update(getattr(tests, "SETUP", {}))
end = rehearsal.main(runtime.embedded, setup)
expected = getattr(tests, "END", "finalise")
if end != expected:
    failures.append("main() ended with %r, not %r; log: %r" % (end, expected, server_log()))
check = getattr(tests, "after_end", None)
if check is not None:
    try:
        check()
    except BaseException:
        failures.append(traceback.format_exc())
for failure in failures:
    print("FAILED", failure, file=real_stderr)
code = 1 if failures else 0
if end == "leave alone" or code:
    os._exit(code)
# Otherwise Python is finalised now, as httpd's child would do.
