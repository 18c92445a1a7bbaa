# SPDX-License-Identifier: Apache-2.0
"""The environ and the modules mod_wsgi and apache: requests §3, python-api §§1.1, 2."""

import os

from host import request, write_script

SETUP = {"process_group": b""}

SHOW = '''
def application(environ, start_response):
    start_response("200 OK", [])
    return [ascii(%s).encode()]
'''


def show(expression, **options):
    answer = request(SHOW % expression, **options)
    assert answer.kind == "complete", answer
    return eval(answer.body, {})


def test_what_never_changes_is_there():
    for key, value in (
        ("wsgi.version", (1, 0)),
        ("wsgi.url_scheme", "http"),
        ("wsgi.multithread", True),
        ("wsgi.multiprocess", False),
        ("wsgi.run_once", False),
        ("wsgi.input_terminated", True),
        ("mod_wsgi.version", (6, 1, 1)),
        ("apache.version", (2, 4, 71)),
        ("mod_wsgi.process_group", ""),
        ("mod_wsgi.application_group", ""),
        ("mod_wsgi.callable_object", "application"),
        ("mod_wsgi.server_pid", str(os.getpid())),
        ("mod_wsgi.queue_start", 0.0),
        ("mod_wsgi.daemon_start", 0.0),
    ):
        found = show("environ[%r]" % key)
        assert (found, type(found)) == (value, type(value)), (key, found)


def test_https_is_a_url_scheme():
    script = write_script(SHOW % "environ['wsgi.url_scheme']")
    assert request(script, https=1).body == b"'https'"
    assert request(script, https=0).body == b"'http'"


def test_times_and_slots_are_numbers():
    start, begin, slot = show(
        "[environ['mod_wsgi.' + name] for name in ('request_start', 'application_start', 'thread_id')]",
        request_start=1500000000250000,
    )
    assert start == 1500000000.25 and isinstance(begin, float) and begin > 1.6e9, (start, begin)
    assert isinstance(slot, int) and slot >= 1


def test_the_dict_is_a_fresh_exact_dict():
    script = write_script('''
def application(environ, start_response):
    fresh = type(environ) is dict and "MARK" not in environ and environ["wsgi.version"] == (1, 0)
    environ["MARK"] = 1
    environ["wsgi.version"] = None
    start_response("200 OK", [])
    return [str(fresh).encode()]
''')
    assert [request(script).body for _ in range(3)] == [b"True"] * 3


def test_entries_come_as_they_are():
    entries = [
        ("HTTP_HOST", b"h\xe9"),
        ("X-any key", b"v"),
        ("DOCUMENT_ROOT", (1, "/\u20ac".encode())),
        ("SCRIPT_NAME", (1, b"/\xff")),
        ("NOTHING", (2, b"")),
        ("EMPTY", b""),
        ("TWICE", b"1"),
        ("TWICE", b"2"),
        ("wsgi.multithread", b"forged"),
        ("mod_wsgi.application_group", b"forged"),
        ("mod_wsgi.other", b"kept"),
    ]
    found = show("[environ[k] for k in ('HTTP_HOST', 'X-any key', 'DOCUMENT_ROOT', 'SCRIPT_NAME', 'NOTHING', 'EMPTY', 'TWICE', 'wsgi.multithread', 'mod_wsgi.application_group', 'mod_wsgi.other')]", environ=entries)
    assert found == ["h\xe9", "v", "/\u20ac", "/\udcff", None, "", "2", True, "", "kept"], found


def test_keys_are_shared():
    assert show("(lambda k: next(key for key in environ if key == k) is __import__('sys').intern(k))('REQUEST' + '_METHOD')")


def test_the_validator_is_content():
    answer = request('''
import wsgiref.validate
def inner(environ, start_response):
    body = environ["wsgi.input"].read(3) + environ["wsgi.input"].read(10) + environ["wsgi.input"].readline()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
application = wsgiref.validate.validator(inner)
''', body=[b"abcdef"], environ=[("SERVER_NAME", b"h"), ("SERVER_PORT", b"80"), ("SCRIPT_NAME", b""), ("PATH_INFO", b"/"), ("QUERY_STRING", b""), ("CONTENT_LENGTH", b"6"), ("SERVER_PROTOCOL", b"HTTP/1.1")])
    assert (answer.kind, answer.body) == ("complete", b"abcdef"), answer


def test_the_modules_describe_the_server():
    assert show("(lambda m: (m.version, m.process_group, m.application_group, m.maximum_processes, m.threads_per_process))(__import__('mod_wsgi'))") == ((6, 1, 1), "", "", 3, 5)
    assert show("(lambda m: (m.version, m.description, m.mpm_name, m.build_date, m.maximum_processes, m.threads_per_process))(__import__('apache'))") == ((2, 4, 71), "Rehearsal/1", "rehearsal", "today", 3, 5)
    assert show("environ['wsgi.file_wrapper'] is __import__('mod_wsgi').FileWrapper")
    assert show("__import__('sys').argv") == ["mod_wsgi"]


def test_the_callable_can_have_another_name():
    script = write_script("def other(environ, start_response):\n    start_response('200 OK', [])\n    return [environ['mod_wsgi.callable_object'].encode()]\n")
    assert request(script, callable=b"other").body == b"other"
    answer = request(script)
    assert (answer.refusal, answer.events()) == (500, ["WSGIRS0203"]), answer
