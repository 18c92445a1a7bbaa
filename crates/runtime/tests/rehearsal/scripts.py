# SPDX-License-Identifier: Apache-2.0
"""Loading and reloading of scripts: requests §11."""

import hashlib
import os
import sys
import tempfile
import threading

from host import rehearsal, request, server_log, write_script

ONE, TWO, EXTRA = (tempfile.mkdtemp() for _ in range(3))
with open(os.path.join(ONE, "extra.pth"), "w") as file:
    file.write(EXTRA + "\n")
BEFORE = list(sys.path)
SETUP = {"python_path:0": (":" + TWO + "::" + ONE + ":/nonexistent").encode()}

COUNTING = '''
import sys
sys.loads = getattr(sys, "loads", 0) + 1
here = sys.loads
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % (here, sys.loads)]
'''


def touch(script, seconds):
    status = os.stat(script)
    os.utime(script, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))


def test_a_script_is_a_module_of_its_own():
    script = write_script("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [repr((__name__, __file__)).encode()]\n")
    name = "_mod_wsgi_" + hashlib.md5(script.encode()).hexdigest()
    assert eval(request(script).body) == (name, script)
    module = sys.modules[name]
    assert module.__mtime__ == os.stat(script).st_mtime_ns // 1000
    assert os.path.dirname(script) not in sys.path


def test_a_script_is_loaded_once_until_it_changes():
    script = write_script(COUNTING)
    first = request(script).body
    assert request(script).body == first
    touch(script, 5)
    second = request(script).body
    assert second != first and request(script).body == second
    touch(script, -10)
    assert request(script).body not in (first, second)


def test_a_changed_script_stays_if_reloading_is_off():
    script = write_script(COUNTING)
    first = request(script, reloading=0).body
    touch(script, 5)
    assert request(script, reloading=0).body == first


def test_a_stale_time_of_the_server_loads_nothing():
    script = write_script(COUNTING)
    first = request(script).body
    assert request(script, mtime=12345).body == first


def test_a_script_can_ask_to_be_loaded_again():
    script = write_script(COUNTING + "import os\ndef reload_required(resource):\n    return os.path.basename(resource) == 'again'\n")
    first = request(script, resource=b"/x/other").body
    assert request(script, resource=b"/x/other").body == first
    assert request(script, resource=b"/x/again").body != first


def test_a_failing_reload_hook_means_no():
    script = write_script(COUNTING + "def reload_required(resource):\n    raise ValueError(resource)\n")
    first = request(script)
    second = request(script)
    assert second.body == first.body and second.events() == ["WSGIRS0206"], second


def test_a_broken_script_is_tried_again():
    for source, name in (
        ("def application(:\n    pass\n", "SyntaxError"),
        ("raise KeyError('at import')\n#\n", "KeyError: 'at import'"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("import nonexistent_module\n#\n", "ModuleNotFoundError"),
        ("raise KeyboardInterrupt\n#\n", "KeyboardInterrupt"),
    ):
        script = write_script(source)
        for _ in range(2):
            answer = request(script)
            assert (answer.kind, answer.refusal, answer.events()) == ("refused", 500, ["WSGIRS0202"]), answer
            assert name in answer.log[0][1] and "main interpreter" in answer.log[0][1], answer
            assert "mod_wsgi_rs>" not in answer.text(), answer
            assert all(level == 3 for level, _ in answer.log)
        assert "_mod_wsgi_" + hashlib.md5(script.encode()).hexdigest() not in sys.modules
        with open(script, "w") as file:
            file.write(COUNTING)
        assert request(script).kind == "complete"


def test_a_script_that_broke_is_gone_not_old():
    script = write_script(COUNTING)
    request(script)
    with open(script, "w") as file:
        file.write("broken(\n")
    touch(script, 5)
    assert request(script).refusal == 500


def test_an_unreadable_script_is_reported():
    answer = request("/nonexistent/script.wsgi")
    assert (answer.refusal, answer.events()) == (500, ["WSGIRS0201"]), answer
    assert "No such file" in answer.text()


def test_encodings_are_honoured():
    script = write_script("pass\n#\n")
    with open(script, "wb") as file:
        file.write(b"# -*- coding: latin-1 -*-\ndef application(e, s):\n    s('200 OK', [('X', '\xe9')])\n    return []\n")
    assert request(script).header("X") == "\xe9"


def test_a_path_may_have_any_bytes():
    path = os.path.join(os.path.dirname(write_script("\n\n")).encode(), b"odd \xff name.wsgi")
    with open(path, "w") as file:
        file.write("def application(e, s):\n    s('200 OK', [])\n    return [ascii(__file__).encode()]\n")
    assert b"odd \\udcff name.wsgi" in request(os.fsdecode(path)).body


def test_one_load_serves_all_who_wait():
    script = write_script("import time\ntime.sleep(0.3)\n" + COUNTING)
    other = write_script(COUNTING)
    bodies, threads = [], []
    for worker in range(6):
        threads.append(threading.Thread(target=lambda worker=worker: bodies.append(request(script, worker=worker).body)))
    for thread in threads:
        thread.start()
    assert request(other, worker=50).kind == "complete"
    waited = len(bodies)
    for thread in threads:
        thread.join()
    assert waited == 0, "another script waited for the slow one"
    assert len(set(bodies)) <= 2 and len(bodies) == 6, bodies
    assert len({body.split()[0] for body in bodies}) == 1, bodies


def test_preloading_loads():
    script = write_script("import sys\nsys.preloaded = __name__\nprint('said at preload')\n")
    request(script, preload=1)
    assert sys.preloaded.startswith("_mod_wsgi_")
    assert any(line.endswith("] said at preload") for _, line in server_log()), server_log()
    broken = write_script("raise ValueError('in preload')\n#\n")
    request(broken, preload=1)
    lines = [line for _, line in server_log()]
    assert any(line.startswith("WSGIRS0210") for line in lines) and any(line.startswith("WSGIRS0202") for line in lines), lines


def test_the_python_path_comes_first_and_in_order():
    assert [entry for entry in sys.path if entry != "/nonexistent"] == [TWO, ONE, EXTRA] + BEFORE, sys.path
    answer = request("import sys\ndef application(e, s):\n    s('200 OK', [])\n    return [repr(sys.path[:3]).encode()]\n", group="g")
    assert eval(answer.body) == [TWO, ONE, EXTRA], answer


def test_a_callable_need_not_be_a_function():
    answer = request('''
class App:
    def __init__(self, environ, start_response):
        start_response("200 OK", [])
    def __iter__(self):
        yield b"from a class"
application = App
''')
    assert answer.body == b"from a class", answer
    answer = request("application = 42\n#\n")
    assert (answer.refusal, answer.events()) == (500, ["WSGIRS0204"]) and "TypeError" in answer.text(), answer
