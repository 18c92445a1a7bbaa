# SPDX-License-Identifier: Apache-2.0
"""Sub-interpreters and thread states: requests §10, design review R21."""

import threading

from host import rehearsal, request, server_log, write_script

SETUP = {"interpreter_limit": 4}

GROUP = '''
import sys, threading, mod_wsgi
sys.mark = getattr(sys, "mark", 0) + 1
local = threading.local()
def application(environ, start_response):
    local.count = getattr(local, "count", 0) + 1
    assert mod_wsgi.application_group == environ["mod_wsgi.application_group"]
    assert isinstance(environ["wsgi.errors"].write("x"), int)
    start_response("200 OK", [])
    return [repr((mod_wsgi.application_group, sys.mark, local.count, threading.main_thread() is threading.current_thread())).encode()]
'''
SCRIPT = write_script(GROUP)


def ask(group="", worker=0, script=None):
    answer = request(script or SCRIPT, group=group, worker=worker)
    assert answer.kind == "complete", answer
    return eval(answer.body)


def test_each_group_is_an_interpreter_of_its_own():
    assert ask("", 1)[:2] == ("", 1)
    assert ask("one", 1)[:2] == ("one", 1)
    assert ask("two", 1)[:2] == ("two", 1)
    assert ask("one", 2)[:2] == ("one", 1)


def test_threading_local_data_lasts_as_long_as_the_thread():
    assert [ask("one", 3)[2] for _ in range(3)] == [1, 2, 3]
    assert [ask("two", 3)[2] for _ in range(2)] == [1, 2]
    assert [ask("one", 3)[2] for _ in range(2)] == [4, 5]
    rehearsal.retire(3)
    assert ask("one", 3)[2] == 1


def test_no_request_runs_on_the_main_thread():
    assert ask("", 4)[3] is False and ask("one", 4)[3] is False


def test_exceptions_name_their_interpreter():
    answer = request("def application(environ, start_response):\n    raise ValueError('x')\n", group="one")
    assert "in sub-interpreter 'one' raised ValueError: x" in answer.log[0][1], answer


def test_there_is_a_limit():
    assert ask("three", 1)[:2] == ("three", 1)
    answer = request(SCRIPT, group="four")
    assert (answer.kind, answer.refusal, answer.events()) == ("refused", 503, ["WSGIRS0111"]), answer
    assert ask("three", 1)[:2] == ("three", 1)


def test_dying_threads_leave_nothing():
    script = write_script('''
import threading, weakref
class Data:
    pass
alive = weakref.WeakSet()
local = threading.local()
def application(environ, start_response):
    if not hasattr(local, "data"):
        local.data = Data()
        alive.add(local.data)
    start_response("200 OK", [])
    return [str(len(alive)).encode()]
''')
    for group in ("", "one"):
        for worker in range(100, 140):
            assert request(script, group=group, worker=worker).kind == "complete"
            rehearsal.retire(worker)
        for _ in range(200):
            left = int(request(script, group=group, worker=5).body)
            if left == 1:
                break
            threading.Event().wait(0.01)
        assert left == 1, (group, left)


def test_slot_numbers_are_used_again():
    script = write_script("def application(e, s):\n    s('200 OK', [])\n    return [str(e['mod_wsgi.thread_id']).encode()]\n")
    numbers = set()
    for worker in range(200, 230):
        numbers.add(request(script, worker=worker).body)
        assert request(script, worker=worker).body in numbers
        rehearsal.retire(worker)
    assert len(numbers) == 1, numbers


def test_native_code_can_find_its_thread_state_after_a_sweep():
    script = write_script('''
import ctypes
def application(environ, start_response):
    api = ctypes.pythonapi
    callback = ctypes.PYFUNCTYPE(None)(lambda: None)
    # Leaves the interpreter, then comes back through PyGILState_Ensure.
    foreign = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda number: number + 1)
    result = foreign(1)
    start_response("200 OK", [])
    return [str(result).encode()]
''')
    for _ in range(3):
        assert request(script, worker=6).body == b"2"
        request(script, worker=300)
        rehearsal.retire(300)
        threading.Event().wait(0.05)
        assert request(script, worker=6).body == b"2"


def test_threads_work_at_once_in_several_interpreters():
    failures = []

    def work(group, worker):
        try:
            for _ in range(50):
                ask(group, worker)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(group, 20 + number)) for number, group in enumerate(("", "one", "two", "three") * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_file_wrappers_and_exceptions_belong_to_their_interpreter():
    answer = request('''
import mod_wsgi
def application(environ, start_response):
    assert environ["wsgi.file_wrapper"] is mod_wsgi.FileWrapper
    try:
        environ["wsgi.input"].read()
    except mod_wsgi.ClientDisconnected:
        start_response("200 OK", [])
        return [b"mine"]
''', group="two", body_error=1)
    assert answer.body == b"mine", answer
