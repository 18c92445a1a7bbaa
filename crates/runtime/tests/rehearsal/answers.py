# SPDX-License-Identifier: Apache-2.0
"""start_response, write, iteration, Content-Length, close: requests §§5 and 6."""

from host import rehearsal, request

HELLO = '''
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello ", b"world!"]
'''


def test_a_list_is_sent_whole_with_its_length():
    answer = request(HELLO)
    assert answer.kind == "complete", answer
    assert answer.head[1:3] == (200, b"OK")
    assert answer.headers == [("Content-Type", "text/plain"), ("Content-Length", "12")]
    assert answer.steps == [b"Hello world!"], answer.steps
    assert answer.log == [], answer.log


def app(body, prelude=""):
    """A script whose application has this body."""
    lines = "\n".join("    " + line for line in body.strip("\n").splitlines())
    return prelude + "\n\ndef application(environ, start_response):\n" + lines + "\n"


def start(status='"200 OK"', headers="[]", rest="return []"):
    return app("start_response(%s, %s)\n%s" % (status, headers, rest))


def refused(source, name, **options):
    """The application fails with this exception before anything is sent."""
    answer = request(source, **options)
    assert (answer.kind, answer.refusal, answer.head) == ("refused", 500, None), answer
    assert answer.events() == ["WSGIRS0204"] and name in answer.log[0][1], answer
    assert answer.log[1][1].startswith("Traceback") or name in answer.log[1][1], answer
    assert all(level == 3 for level, _ in answer.log), answer
    return answer


def test_a_bad_status_is_refused():
    refused(start("b'200 OK'"), "TypeError")
    refused(start("200"), "TypeError")
    refused(start("'200 \\u20ac'"), "UnicodeEncodeError")
    for bad in ("''", "'20'", "'2x0 OK'", "'200OK'", "'200 a\\nb'", "'200 a\\0b'", "'100 Continue'", "'000 x'"):
        refused(start(bad), "ValueError")


def test_a_bad_header_is_refused():
    refused(start(headers="(('A', 'b'),)"), "TypeError")
    refused(start(headers="None"), "TypeError")
    refused(start(headers="[['A', 'b']]"), "TypeError")
    refused(start(headers="[('A', 'b', 'c')]"), "ValueError")
    refused(start(headers="[('A', 1)]"), "TypeError")
    refused(start(headers="[(b'A', 'b')]"), "TypeError")
    refused(start(headers="[('A', '\\u20ac')]"), "UnicodeEncodeError")
    for name in ("''", "'A B'", "'A:B'", "'A\\0'", "'A\\n'"):
        refused(start(headers="[(%s, 'b')]" % name), "ValueError")
    for value in ("'a\\rb'", "'a\\nb'", "'a\\0b'"):
        refused(start(headers="[('A', %s)]" % value), "ValueError")
    refused(start(headers="[('Content-Length', 'x')]"), "ValueError")
    refused(start(headers="[('Content-Length', '-1')]"), "ValueError")


def test_a_list_subclass_and_latin_1_are_fine():
    answer = request(app('''
class Headers(list):
    pass
start_response("200 Gr\\xfc\\xdfe", Headers([("X-A", "\\xe9"), ("X-A", "2")]))
return (b"x",)
'''))
    assert answer.kind == "complete", answer
    assert answer.head[2] == b"Gr\xfc\xdfe"
    assert answer.headers[:2] == [("X-A", "\xe9"), ("X-A", "2")]


def test_arguments_are_positional():
    refused(app("start_response(status='200 OK', headers=[])\nreturn []"), "TypeError")
    refused(app("start_response('200 OK')\nreturn []"), "TypeError")
    refused(app("start_response('200 OK', [], None, 1)\nreturn []"), "TypeError")
    refused(app("start_response('200 OK', [], 1)\nreturn []"), "RuntimeError")


def test_failed_validation_keeps_the_earlier_head():
    answer = request(app('''
start_response("201 First", [("X-A", "1")])
try:
    start_response("202 Second", [("X A", "1")])
except ValueError:
    pass
return [b"x"]
'''))
    assert answer.status == 201 and answer.header("X-A") == "1", answer


def test_a_second_start_response_replaces_the_head_until_it_is_sent():
    answer = request(app('start_response("200 OK", [("X-A", "1")])\nstart_response("404 No", [])\nreturn [b"x"]'))
    assert answer.status == 404 and answer.header("X-A") is None, answer
    answer = request(app('''
start_response("200 OK", [])
yield b"x"
start_response("404 No", [])
'''))
    assert answer.kind == "truncated" and "RuntimeError" in answer.log[0][1], answer


def test_exc_info_replaces_the_head_or_raises_again():
    source = '''
import sys
def fail():
    try:
        raise KeyError("inner")
    except KeyError:
        return sys.exc_info()
'''
    answer = request(app('start_response("200 OK", [])\nstart_response("500 Oops", [], fail())\nreturn [b"x"]', source))
    assert (answer.kind, answer.status) == ("complete", 500), answer
    answer = request(app('start_response("200 OK", [])\nyield b"x"\nstart_response("500 Oops", [], fail())', source))
    assert answer.kind == "truncated" and "KeyError: 'inner'" in answer.log[0][1], answer
    assert any("in fail" in line for _, line in answer.log), answer
    answer = request(app('start_response("200 OK", [])\nyield b"x"\nstart_response("500 O", [], (1, 2))', source))
    assert "TypeError" in answer.log[0][1], answer
    answer = request(app('start_response("200 OK", [])\nyield b"x"\nstart_response("500 O", [], (1, 2, 3))', source))
    assert "TypeError" in answer.log[0][1], answer


def test_output_without_start_response_is_an_error():
    for body in ("return [b'x']", "return []", "yield b'x'", "if False: yield", "return iter([])"):
        refused(app(body), "RuntimeError")


def test_start_response_during_iteration_is_fine():
    answer = request(app('yield b""\nstart_response("200 OK", [])\nyield b"x"'))
    assert (answer.kind, answer.body) == ("complete", b"x"), answer


def test_write_sends_at_once():
    answer = request(app('''
write = start_response("200 OK", [])
write(b"one")
write(b"two")
return [b"three"]
'''))
    assert answer.kind == "complete", answer
    assert answer.steps == [b"one", "flush", b"two", "flush", b"three"], answer.steps
    assert answer.header("Content-Length") is None


def test_write_takes_bytes_only():
    for data in ("'text'", "bytearray(b'x')", "memoryview(b'x')", "None"):
        refused(app('start_response("200 OK", [])(%s)\nreturn []' % data), "TypeError")


def test_an_empty_write_commits_the_head():
    answer = request(app('''
start_response("200 OK", [])(b"")
try:
    start_response("404 No", [])
except RuntimeError as error:
    return [b"refused"]
'''))
    assert (answer.status, answer.body) == (200, b"refused"), answer


def test_a_failure_after_write_is_a_truncated_answer():
    answer = request(app('start_response("200 OK", [])(b"x")\nraise ValueError("late")'))
    assert (answer.kind, answer.body) == ("truncated", b"x"), answer
    assert answer.events() == ["WSGIRS0204"], answer


def test_blocks_are_sent_before_the_next_is_asked_for():
    answer = request(app('''
start_response("200 OK", [])
for block in (b"a", b"", b"b"):
    yield block
'''))
    assert answer.steps == [b"a", "flush", b"b", "flush"], answer.steps
    assert answer.header("Content-Length") is None


def test_no_flush_once_the_promised_length_is_reached():
    answer = request(app('start_response("200 OK", [("Content-Length", "2")])\nyield b"a"\nyield b"b"'))
    assert answer.steps == [b"a", "flush", b"b"], answer.steps


def test_an_empty_iterator_has_length_zero():
    answer = request(app('start_response("200 OK", [])\nreturn iter([])'))
    assert (answer.kind, answer.header("Content-Length")) == ("complete", "0"), answer


def test_items_must_be_bytes():
    for item in ("'text'", "1", "None", "bytearray(b'x')"):
        refused(start(rest="return [b'a', %s]" % item), "TypeError")
        refused(start(rest="return iter([%s])" % item), "TypeError")
    refused(start(rest="return None"), "TypeError")
    refused(start(rest="return 'text'"), "TypeError")
    answer = request(start(rest="return iter([b'a', 'b'])"))
    assert (answer.kind, answer.body) == ("truncated", b"a"), answer


def test_bytes_subclasses_are_bytes():
    answer = request(app('class B(bytes):\n    pass\nstart_response("200 OK", [])\nreturn [B(b"x"), B(b"y")]'))
    assert answer.body == b"xy", answer


def test_lists_that_are_subclasses_are_iterated():
    answer = request(app('''
class L(list):
    def __iter__(self):
        return iter([b"other"])
start_response("200 OK", [])
return L([b"x"])
'''))
    assert answer.body == b"other", answer


def test_no_length_is_added_where_none_belongs():
    for status in ("204 No Content", "205 Reset", "304 Not Modified"):
        answer = request(start("'%s'" % status))
        assert (answer.kind, answer.headers, answer.body) == ("complete", [], b""), answer
    answer = request(start(rest="return []"), head=1)
    assert answer.header("Content-Length") is None, answer
    answer = request(start(rest="return [b'abc']"), head=1)
    assert answer.header("Content-Length") == "3", answer
    answer = request(start(rest="return []"))
    assert answer.header("Content-Length") == "0", answer


def test_a_bodiless_status_sends_no_body():
    answer = request(start("'304 Not Modified'", rest="return [b'abc']"))
    assert (answer.kind, answer.body) == ("complete", b""), answer


def test_too_much_is_cut_and_reported():
    for rest in ("return [b'abc', b'def']", "return iter([b'abc', b'def'])"):
        answer = request(start(headers="[('Content-Length', '4')]", rest=rest))
        assert (answer.kind, answer.body, answer.events()) == ("complete", b"abcd", ["WSGIRS0208"]), answer
        assert answer.log[0][0] == 4


def test_too_little_is_a_truncated_answer():
    for rest in ("return [b'abc']", "return iter([b'abc'])"):
        answer = request(start(headers="[('Content-Length', '4')]", rest=rest))
        assert (answer.kind, answer.body, answer.events()) == ("truncated", b"abc", ["WSGIRS0207"]), answer
        answer = request(start(headers="[('Content-Length', '4')]", rest=rest), head=1)
        assert (answer.kind, answer.events()) == ("complete", []), answer
    answer = request(start("'304 X'", headers="[('Content-Length', '4')]"))
    assert (answer.kind, answer.events()) == ("complete", []), answer


def test_the_last_content_length_counts():
    answer = request(start(headers="[('Content-Length', '9'), ('X', 'y'), ('content-length', ' +2')]", rest="return [b'ab']"))
    assert answer.kind == "complete", answer
    assert [name.lower() for name, _ in answer.headers] == ["x", "content-length"], answer


def test_large_lists_are_sent_piece_by_piece():
    answer = request(start(rest="return [b'a' * 50000, b'', b'b' * 50000]"))
    assert answer.header("Content-Length") == "100000", answer.headers
    assert answer.steps == [b"a" * 50000, b"b" * 50000]


def test_transfer_encoding_is_left_out_and_said_once():
    from host import write_script
    script = write_script(start(headers="[('Transfer-Encoding', 'chunked'), ('X', 'y')]", rest="return [b'ab']"))
    answer = request(script)
    assert answer.headers == [("X", "y"), ("Content-Length", "2")], answer
    assert answer.events() == ["WSGIRS0209"], answer
    assert request(script).events() == []


CLOSING = '''
closed = []
class Result:
    def __init__(self, items, fail=None):
        self.items, self.fail = iter(items), fail
    def __iter__(self):
        return self
    def __next__(self):
        item = next(self.items)
        if isinstance(item, BaseException):
            raise item
        return item
    def close(self):
        print("closed")
        if self.fail:
            raise self.fail
'''


def closes(body, **options):
    answer = request(app(body, CLOSING), **options)
    assert sum(line.endswith("] closed") for _, line in answer.log) == 1, answer
    return answer


def test_close_is_called_whatever_happens():
    ok = 'start_response("200 OK", [])\n'
    assert closes(ok + "return Result([b'a', b'b'])").kind == "complete"
    assert closes(ok + "return Result([b'a', ValueError()])").kind == "truncated"
    assert closes(ok + "return Result([ValueError()])").refusal == 500
    assert closes(ok + "return Result(['a'])").refusal == 500
    assert closes("return Result([b'a'])").refusal == 500
    assert closes(ok + "return Result([b'a', b'b', b'c'])", gone_after=2).kind == "client gone"
    assert closes(ok + "return Result([b'a', SystemExit(3)])").kind == "truncated"


def test_close_comes_after_the_answer():
    answer = closes('start_response("200 OK", [])\nreturn Result([b"a"], KeyError("in close"))')
    assert answer.kind == "complete" and answer.events() == ["WSGIRS0205"], answer
    assert "KeyError: 'in close'" in answer.text()


def test_a_generator_is_closed():
    answer = request(app('''
start_response("200 OK", [])
try:
    yield b"a"
    yield b"b"
finally:
    print("finally")
'''), gone_after=1)
    assert answer.kind == "client gone" and "finally" in answer.text(), answer


def test_a_close_attribute_that_fails_is_reported():
    answer = request(app('''
class R(list):
    @property
    def close(self):
        raise ValueError("no")
start_response("200 OK", [])
return R([b"x"])
'''))
    assert answer.kind == "complete" and answer.events() == ["WSGIRS0205"], answer


def test_a_client_that_goes_is_not_an_error():
    ok = 'start_response("200 OK", [])\n'
    for rest in ("return [b'a']", "return iter([b'a'])", "return [b'a' * 100000]"):
        answer = request(app(ok + rest), gone_after=1)
        assert (answer.kind, answer.log) == ("client gone", []), answer
    answer = request(app('''
import mod_wsgi
write = start_response("200 OK", [])
try:
    write(b"a")
except OSError as error:
    assert isinstance(error, mod_wsgi.ClientDisconnected), error
    raise
'''), gone_after=1)
    assert answer.kind == "client gone", answer
    assert all(level > 4 for level, _ in answer.log), answer


def test_an_endless_answer_that_nobody_sees_ends_with_the_client():
    endless = "import itertools\nstart_response(%s)\nreturn itertools.repeat(b'abc')"
    for arguments in ("'204 No', []", "'200 OK', [('Content-Length', '4')]"):
        answer = request(app(endless % arguments), aborted_after=10)
        assert (answer.kind, answer.log) == ("client gone", []), answer


def test_every_exception_is_only_an_exception():
    for kind in ("SystemExit(15)", "KeyboardInterrupt()", "GeneratorExit()", "BaseException('b')", "MemoryError()"):
        refused(app("raise %s" % kind), kind.split("(")[0])
        refused(app("start_response('200 OK', [])\nraise %s\nyield" % kind), kind.split("(")[0])
    answer = refused(app("import sys\nsys.exit('good bye')"), "SystemExit")
    assert "good bye" in answer.text()


def test_deep_recursion_is_an_error_like_any_other():
    refused(app("def f(): return f()\nf()"), "RecursionError")
    refused(app("x = []\nfor _ in range(100000): x = [x]\nrepr(x)"), "RecursionError")


def test_an_exception_with_a_broken_message_is_reported():
    refused(app("class E(Exception):\n    def __str__(self): raise ValueError\nraise E()"), "E")


def test_an_exception_message_of_many_lines_and_odd_characters_is_reported():
    answer = refused(app("raise ValueError('one\\ntwo\\0 \\udc80 \\xe9')"), "ValueError")
    assert "raised ValueError: one two" in answer.log[0][1], answer
    assert "main interpreter" in answer.log[0][1]


def test_what_is_kept_is_over_after_the_request():
    from host import write_script
    script = write_script(app('''
global kept
if environ.get("SECOND"):
    results = []
    for function, arguments in ((kept[0], ("200 OK", [])), (kept[1], (b"x",))):
        try:
            function(*arguments)
        except RuntimeError as error:
            results.append(str(error))
    start_response("200 OK", [])
    return ["; ".join(results).encode()]
kept = start_response, start_response("200 OK", [])
return []
'''))
    request(script)
    answer = request(script, environ=[("SECOND", b"1")])
    assert answer.body == (
        b"start_response() called after request completed; write() called after request completed"
    ), answer


def test_the_objects_of_a_request_cannot_be_made_or_subclassed():
    answer = request(app('''
for thing in (type(environ["wsgi.input"]), type(start_response.__self__), type(environ["wsgi.errors"].buffer)):
    for attempt in (lambda: thing(), lambda: thing.__new__(thing), lambda: type("S", (thing,), {})):
        try:
            attempt()
        except TypeError:
            continue
        raise AssertionError(thing)
start_response("200 OK", [])
return [b"fine"]
'''))
    assert answer.body == b"fine", answer


def test_a_defect_of_ours_is_an_exception_for_the_application():
    for _ in range(2):
        try:
            rehearsal.panic()
        except RuntimeError as error:
            assert "mod_wsgi_rs" in str(error)
        else:
            raise AssertionError
