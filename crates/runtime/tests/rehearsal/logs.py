# SPDX-License-Identifier: Apache-2.0
"""wsgi.errors, sys.stderr, sys.stdout, signals: requests §9."""

from host import request, server_log, write_script


def printed(code, **options):
    script = write_script('''
import sys, threading, io
def application(environ, start_response):
    errors = environ["wsgi.errors"]
%s
    start_response("200 OK", [])
    return []
''' % "\n".join("    " + line for line in code.strip().splitlines()))
    answer = request(script, **options)
    assert answer.kind == "complete", answer
    prefix = "[script %s] " % script
    assert all(level == 3 and line.startswith(prefix) for level, line in answer.log), answer
    return [line[len(prefix):] for _, line in answer.log]


def test_each_line_is_one_record():
    assert printed("errors.write('one\\ntwo\\n')") == ["one", "two"]
    assert printed("print('a', 'b', file=errors)") == ["a b"]
    assert printed("errors.writelines(['x\\n', 'y', 'z\\n'])") == ["x", "yz"]
    assert printed("errors.write('\\n')") == [""]


def test_an_unfinished_line_waits_for_its_end_or_a_flush():
    assert printed("errors.write('a')\nerrors.write('b\\n')") == ["ab"]
    assert printed("errors.write('a')\nerrors.flush()\nerrors.write('b\\n')") == ["a", "b"]
    assert printed("errors.write('end of request')") == ["end of request"]


def test_standard_streams_of_the_request_s_thread_go_to_its_log():
    assert printed("print('out')\nprint('err', file=sys.stderr)\nerrors.write('log\\n')") == ["out", "err", "log"]
    assert printed("sys.stderr.write('x')") == ["x"]


def test_text_is_utf_8_and_never_fails():
    assert printed("errors.write('\\xe9\\u20ac\\n')") == ["\xe9\u20ac"]
    assert printed("errors.write('\\udc80\\n')") == ["?"]


def test_nul_is_written_out_and_long_lines_are_split():
    assert printed("errors.write('a\\0b\\n')") == ["a\\x00b"]
    lines = printed("errors.write('x' * 20000 + '\\n')")
    assert "".join(lines) == "x" * 20000 and len(lines) in (3, 4), [len(line) for line in lines]
    assert "".join(printed("errors.write('y' * 100000)")) == "y" * 100000


def test_the_raw_stream_has_the_attributes_of_one():
    assert printed('''
raw = errors.buffer
assert (raw.name, raw.closed, raw.encoding, raw.errors, errors.name) == ("<wsgi.errors>", False, "utf-8", "replace", "<wsgi.errors>")
assert (raw.isatty(), raw.readable(), raw.seekable(), raw.writable()) == (False, False, False, True)
assert (sys.stderr.name, sys.stdout.name, sys.stderr.encoding) == ("<stderr>", "<stdout>", "utf-8")
try:
    errors.fileno()
except OSError:
    pass
else:
    raise AssertionError
assert raw.write(b"bytes\\n") == 6
raw.write(bytearray(b"array\\n"))
raw.write(memoryview(b"view\\n"))
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    raw.write("text\\n")
    raw.write("text\\n")
assert len(caught) <= 1
try:
    raw.write(1)
except TypeError:
    pass
else:
    raise AssertionError
errors.close()
assert not errors.closed
''') == ["bytes", "array", "view", "text", "text"]


def test_a_closed_stream_can_still_be_written_to():
    assert printed("errors.close()\nerrors.buffer.write(b'after\\n')") == ["after"]


def test_logging_works():
    assert printed('''
import logging
handler = logging.StreamHandler(errors)
logging.getLogger("rehearsal").addHandler(handler)
logging.getLogger("rehearsal").warning("careful")
logging.getLogger("rehearsal").removeHandler(handler)
''') == ["careful"]


def test_other_threads_write_to_the_server_s_log():
    assert printed("t = threading.Thread(target=lambda: print('from a thread'))\nt.start()\nt.join()") == []
    assert (3, "from a thread") in server_log()


def test_a_thread_may_use_the_request_s_own_stream():
    assert printed("t = threading.Thread(target=lambda: errors.write('mine\\n'))\nt.start()\nt.join()") == ["mine"]


def test_it_is_over_after_the_request():
    script = write_script('''
kept = None
def application(environ, start_response):
    global kept
    start_response("200 OK", [])
    if kept is None:
        kept = environ["wsgi.errors"]
        return [b"first"]
    results = []
    for function, argument in ((kept.write, "x\\n"), (kept.writelines, ["x\\n"])):
        try:
            function(argument)
        except RuntimeError as error:
            results.append(str(error))
    kept.flush()
    kept.close()
    results.append(str(kept.closed))
    results.append(str(environ["wsgi.errors"] is kept))
    return ["\\n".join(results).encode()]
''')
    request(script)
    answer = request(script)
    assert answer.body.decode().split("\n") == ["write() called on wsgi.errors after request completed"] * 2 + ["False", "False"], answer
    assert answer.log == [], answer


def test_an_unused_stream_serves_the_next_request():
    script = write_script('''
def application(environ, start_response):
    if environ.get("SAY"):
        environ["wsgi.errors"].write("say\\n")
    start_response("200 OK", [])
    return [str(id(environ["wsgi.errors"])).encode()]
''')
    first, second = request(script).body, request(script).body
    assert first == second
    assert [line for _, line in request(script, environ=[("SAY", b"1")]).log] == ["[script %s] say" % script]
    assert [line for _, line in request(script, environ=[("SAY", b"1")]).log] == ["[script %s] say" % script]


def test_import_time_output_goes_to_the_request_that_loads():
    answer = request("print('loading')\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    return []\n")
    assert answer.log[0][1].endswith("] loading"), answer


def test_signals_belong_to_the_server():
    answer = request('''
import signal
def application(environ, start_response):
    before = signal.getsignal(signal.SIGTERM)
    def handler(*arguments): pass
    returned = signal.signal(signal.SIGTERM, handler)
    start_response("200 OK", [])
    return [repr((returned is handler, signal.getsignal(signal.SIGTERM) == before)).encode()]
''')
    assert answer.body == b"(True, True)", answer
    assert answer.log and all(level == 6 for level, _ in answer.log), answer
    assert "signal.signal(" in answer.log[0][1] and any("in application" in line for _, line in answer.log), answer


def test_output_of_a_finaliser_belongs_to_the_request():
    answer = request('''
class Noisy:
    def __del__(self):
        print("gone")
def application(environ, start_response):
    environ["noisy"] = Noisy()
    start_response("200 OK", [])
    return []
''')
    assert "gone" in answer.text(), answer
