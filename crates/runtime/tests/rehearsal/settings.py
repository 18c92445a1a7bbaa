# SPDX-License-Identifier: Apache-2.0
"""What the configuration says about interpreters: requests §§9.5, 10.2, 11; configuration §9.3."""

import os
import sys
import tempfile

from host import request, server_log, write_script

ROOT = os.path.realpath(tempfile.mkdtemp())
SETUP = {
    "python_path:0": (ROOT + "/base").encode(),
    "python_path:1:layered": (ROOT + "/one:" + ROOT + "/two").encode(),
    "python_path:2:layered": (":" + ROOT + "/three:").encode(),
    "python_eggs": b"/eggs",
    "case_sensitive": 0,
    "restrict_stdin:strict": 1,
    "restrict_stdout:strict": 1,
    "restrict_signal:free": 0,
    "switch_interval": 250000,
    "switch_interval:named": 500000,
    "switch_interval_by_name:named": 1,
    "switch_interval:own": 500000,
    "switch_interval_by_name:own": 1,
    "own_gil:own": 1,
    "own_gil:": 1,
}
for name in ("base", "one", "two", "three"):
    os.mkdir(os.path.join(ROOT, name))

SHOW = '''
import os, signal, sys, threading
KEPT = []
def application(environ, start_response):
    start_response("200 OK", [])
    result = None
    try:
        result = %s
    except Exception as failure:
        result = type(failure).__name__ + ": " + str(failure)
    return [ascii(result).encode()]
'''


def show(expression, group="", **options):
    answer = request(SHOW % expression, group=group, **options)
    assert answer.kind == "complete", answer
    return eval(answer.body, {})


def paths(group):
    return [os.path.basename(path) for path in show("sys.path", group) if path.startswith(ROOT)]


def test_each_layer_is_put_before_the_earlier_ones():
    assert paths("") == paths("x") == ["base"]
    assert paths("layered") == ["three", "one", "two", "base"]


def test_eggs_have_their_place():
    for group in ("", "x", "own"):
        assert show("os.environ['PYTHON_EGG_CACHE']", group) == "/eggs", group


def test_streams_can_be_forbidden():
    assert show("sys.stdin.fileno", "strict") == "OSError: sys.stdin access restricted by mod_wsgi"
    assert show("print('x')", "strict") == "OSError: sys.stdout access restricted by mod_wsgi"
    assert show("sys.stdout.__dict__", "strict") == "OSError: sys.stdout access restricted by mod_wsgi"
    assert show("print('x')", "x") is None


def test_signals_can_be_left_to_applications():
    assert show("int(signal.signal(signal.SIGUSR1, signal.SIG_IGN))", "x") == 1
    assert show("signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "free").startswith("ValueError: signal only works in")


def test_capital_letters_need_not_count():
    source = "COUNT = [0]\ndef application(e, s):\n    COUNT[0] += 1\n    s('200 OK', [])\n    return [b'%d' % COUNT[0]]\n"
    first, second = write_script(source, "Letters.wsgi"), write_script(source, "LETTERS.wsgi")
    assert [request(path).body for path in (first, second, first)] == [b"1", b"2", b"3"]


def test_intervals_belong_to_locks():
    ask = "sys.getswitchinterval()"
    assert show(ask, "named") == 0.25
    told = [line for level, line in server_log() if level == 4 and line.startswith("WSGIRS0120")]
    told = [line for line in told if "'own'" not in line]
    assert len(told) == 1 and "0.5 s" in told[0] and "'named'" in told[0], told
    own = 0.5 if sys.version_info >= (3, 12) else 0.25
    assert [show(ask, group) for group in ("own", "", "x", "own")] == [own, 0.25, 0.25, own]


def test_the_record_is_shown_on_demand():
    names = "[(type(v).__name__, repr(v).split(' at ')[0]) for k, v in environ.items() if k == 'apache.request_rec']"
    for group in ("", "x", "own"):
        assert show(names, group) == []
        assert show(names, group, record=4096) == [("PyCapsule", "<capsule object NULL")], show(names, group, record=4096)
        assert show(names, group, environ=[("apache.request_rec", b"forged")]) == []


def test_a_kept_record_is_void_after_its_request():
    script = write_script(SHOW % "(KEPT.append(environ['apache.request_rec']) if 'apache.request_rec' in environ else repr(KEPT[0]))")
    assert request(script, record=4096).body == b"None"
    assert b"<capsule object \"the record of a request that is over\"" in request(script).body


def test_interpreters_with_locks_work():
    if sys.version_info < (3, 12):
        return
    for worker in range(4):
        assert show("len({n: str(n) for n in range(10000)})", "own", worker=worker) == 10000
    answer = request("def application(e, s):\n    raise ValueError('x')\n", group="own")
    assert "in sub-interpreter 'own' raised ValueError: x" in answer.log[0][1], answer
    answer = request("def application(e, s):\n    s('200 OK', [])\n    yield e['wsgi.input'].read()\n", group="own", body=[b"a", b"b"])
    assert answer.body == b"ab", answer


def after_end():
    assert [line for level, line in server_log() if level <= 4 and "WSGIRS0120" not in line] in ([], ["x"]), server_log()
