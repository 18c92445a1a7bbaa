# SPDX-License-Identifier: Apache-2.0
"""wsgi.input: requests §4."""

from host import request

GONE, TIMED_OUT, TOO_LARGE, MALFORMED, FAILED = 1, 2, 3, 4, 5


def evaluate(expression, **options):
    """Evaluates an expression over `input` in an application and answers its repr's value."""
    answer = request('''
import mod_wsgi
def application(environ, start_response):
    input = environ["wsgi.input"]
    def error(function, *arguments):
        try:
            return function(*arguments)
        except Exception as raised:
            return type(raised).__name__, str(raised)
    result = %s
    start_response("200 OK", [])
    return [repr(result).encode()]
''' % expression, **options)
    assert answer.kind == "complete", answer
    return eval(answer.body, {})


BODY = [b"one\ntwo", b"\n", b"\nthree"]
ALL = b"".join(BODY)


def test_read_takes_everything():
    for size in ("", "-1", "None", "-5"):
        assert evaluate("(input.read(%s), input.read(), input.read(5))" % size, body=BODY) == (ALL, b"", b""), size


def test_read_takes_exactly_as_much_as_asked_for():
    assert evaluate("[input.read(n) for n in (1, 0, 4, 100, 1)]", body=BODY) == [b"o", b"", b"ne\nt", b"wo\n\nthree", b""]
    assert evaluate("[input.read(True), input.read(2)]", body=BODY) == [b"o", b"ne"]


def test_sizes_must_be_numbers():
    for size in ("1.5", "'1'", "[]"):
        assert evaluate("error(input.read, %s)[0]" % size, body=BODY) == "TypeError"
        assert evaluate("error(input.readline, %s)[0]" % size, body=BODY) == "TypeError"
    assert evaluate("error(input.read, 1, 2)[0]", body=BODY) == "TypeError"


def test_large_sizes_cost_nothing_until_the_data_is_there():
    assert evaluate("input.read(10 ** 12)", body=BODY) == ALL
    assert evaluate("input.read(10 ** 30)", body=BODY) == ALL
    assert evaluate("input.readline(10 ** 30)", body=BODY) == b"one\n"


def test_large_bodies_arrive_whole():
    body = [bytes([number % 251]) * 7919 for number in range(300)]
    total = b"".join(body)
    for expression in (
        "input.read()",
        "input.read(3000000)",
        "b''.join(iter(lambda: input.read(65536), b''))",
        "b''.join(iter(lambda: input.read(1000), b''))",
        "b''.join(input)",
    ):
        assert evaluate("(lambda data: (len(data), hash(data) == hash(data), __import__('hashlib').md5(data).hexdigest()))(%s)" % expression, body=list(body)) == (
            len(total),
            True,
            __import__("hashlib").md5(total).hexdigest(),
        ), expression


def test_readline_takes_one_line():
    assert evaluate("[input.readline() for _ in range(5)]", body=BODY) == [b"one\n", b"two\n", b"\n", b"three", b""]
    assert evaluate("[input.readline(n) for n in (2, 0, 10, -1, None)]", body=BODY) == [b"on", b"", b"e\n", b"two\n", b"\n"]


def test_lines_longer_than_any_buffer_stay_whole():
    line = b"x" * 100000 + b"\n"
    body = [line + line[:50000], line[50000:] + b"end"]
    assert evaluate("[len(line) for line in input]", body=body) == [100001, 100001, 3]
    assert evaluate("(input.read(1), len(input.readline()), len(input.readline(70000)), len(input.readline()))", body=body) == (b"x", 100000, 70000, 30001)


def test_readlines_stops_after_the_hint():
    assert evaluate("input.readlines()", body=BODY) == [b"one\n", b"two\n", b"\n", b"three"]
    assert evaluate("input.readlines(0)", body=BODY) == [b"one\n", b"two\n", b"\n", b"three"]
    assert evaluate("(input.readlines(5), input.read())", body=BODY) == ([b"one\n", b"two\n"], b"\nthree")


def test_iteration_yields_lines():
    assert evaluate("(list(input), next(input, 'end'), iter(input) is input)", body=BODY) == ([b"one\n", b"two\n", b"\n", b"three"], "end", True)


def test_readinto_fills_a_buffer():
    assert evaluate("(lambda b: (input.readinto(b), bytes(b)))(bytearray(6))", body=BODY) == (6, b"one\ntw")
    assert evaluate("(lambda b: (input.readinto(memoryview(b)[2:4]), bytes(b)))(bytearray(6))", body=BODY) == (2, b"\0\0on\0\0")
    assert evaluate("input.readinto(bytearray(0))", body=BODY) == 0
    assert evaluate("error(input.readinto, b'abc')[0]", body=BODY) in ("BufferError", "TypeError")
    assert evaluate("error(input.readinto)[0]", body=BODY) == "TypeError"


def test_it_works_under_buffered_readers():
    assert evaluate("(input.readable(), input.closed, input.close(), input.read(3))", body=BODY) == (True, False, None, b"one")


def test_mixed_reading_loses_nothing():
    body = [b"aaa\nbbb\nccc", b"\nddd\n" + b"e" * 20000, b"\nf"]
    assert evaluate(
        "(input.readline(), input.read(2), input.readline(), input.read(1), next(input), input.readlines(4), len(input.read()))",
        body=body,
    ) == (b"aaa\n", b"bb", b"b\n", b"c", b"cc\n", [b"ddd\n"], 20002)


def test_errors_have_classes_of_their_own():
    for number, name in (
        (GONE, "ClientDisconnected"),
        (TIMED_OUT, "RequestDataTimeout"),
        (TOO_LARGE, "RequestDataTooLarge"),
        (MALFORMED, "RequestDataError"),
        (FAILED, "RequestDataError"),
    ):
        for method in ("input.read", "input.readline", "input.readlines", "input.__next__"):
            kind, text = evaluate("error(%s)" % method, body=[b"abc"], body_error=number)
            assert kind == name and text.startswith("mod_wsgi request data read error: "), (kind, text)
    assert evaluate("issubclass(mod_wsgi.ClientDisconnected, mod_wsgi.RequestDataError) and issubclass(mod_wsgi.RequestDataError, OSError)")
    assert evaluate("mod_wsgi.RequestDataTimeout.__module__") == "mod_wsgi"


def test_after_an_error_every_read_fails():
    again = ("RequestDataError", "mod_wsgi request data read error: input is already in error state")
    found = evaluate("[error(input.read), error(input.read), error(input.readline, 1), error(next, input)]", body=[b"abc"], body_error=GONE)
    assert found[1:] == [again] * 3, found


def fails(**options):
    return request('''
def application(environ, start_response):
    data = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [data]
''', **options)


def test_an_application_that_fails_for_want_of_the_body_answers_for_the_client():
    answer = fails(body=[b"abc"], body_error=TOO_LARGE)
    assert (answer.kind, answer.refusal, answer.events()) == ("refused", 413, ["WSGIRS0309"]), answer
    answer = fails(body=[b"abc"], body_error=TIMED_OUT)
    assert (answer.kind, answer.refusal, answer.events()) == ("refused", 408, []), answer
    answer = fails(body=[b"abc"], body_error=GONE)
    assert (answer.kind, answer.events()) == ("client gone", []), answer
    answer = fails(body=[b"abc"], body_error=MALFORMED)
    assert (answer.kind, answer.refusal, answer.events()) == ("refused", 500, ["WSGIRS0204"]), answer


def test_an_application_that_copes_answers_itself():
    assert evaluate("error(input.read)[0]", body=[b"abc"], body_error=TOO_LARGE) == "RequestDataTooLarge"


def test_nothing_is_read_unless_the_application_reads():
    answer = request("def application(environ, start_response):\n    start_response('200 OK', [])\n    return []\n", body=[b"abc"])
    assert not any(step[0] == "read" for step in answer.told), answer.told


def test_it_is_over_after_the_request():
    from host import write_script
    script = write_script('''
kept = None
def application(environ, start_response):
    global kept
    start_response("200 OK", [])
    if kept is None:
        kept = environ["wsgi.input"]
        return [kept.read(1)]
    results = []
    for name in ("read", "readline", "readlines", "close", "__next__"):
        try:
            getattr(kept, name)()
        except RuntimeError as error:
            results.append(str(error))
    return ["\\n".join(results).encode()]
''')
    request(script, body=BODY)
    assert request(script, body=BODY).body.decode().split("\n") == [
        name + "() called on wsgi.input after request completed" for name in ("read", "readline", "readlines", "close")
    ] + ["iteration of wsgi.input attempted after request completed"]


def test_two_threads_can_read_one_body():
    body = [b"%05d\n" % number for number in range(2000)]
    answer = request('''
import threading
def application(environ, start_response):
    lines = []
    def read():
        for line in environ["wsgi.input"]:
            lines.append(line)
    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    start_response("200 OK", [])
    return [b"".join(sorted(lines))]
''', body=body)
    assert answer.body == b"".join(body), (answer.kind, len(answer.body))


def test_a_thread_that_still_reads_at_the_end_does_no_harm():
    answer = request('''
import threading
def application(environ, start_response):
    def read():
        try:
            while environ["wsgi.input"].read(3): pass
        except RuntimeError: pass
    threading.Thread(target=read).start()
    start_response("200 OK", [])
    return [b"x"]
''', body=[b"abc"] * 50, read_delay=2)
    assert answer.kind == "complete", answer
