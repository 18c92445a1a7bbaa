# SPDX-License-Identifier: Apache-2.0
"""wsgi.file_wrapper: requests §8."""

from host import request

MAKE = '''
import io, os, tempfile, mod_wsgi
def make(data, offset=0):
    file = tempfile.TemporaryFile()
    file.write(data)
    file.flush()
    file.seek(offset)
    return file
class Plain:
    """A file that is none."""
    def __init__(self, *blocks):
        self.blocks, self.closed = list(blocks), False
    def read(self, size):
        return self.blocks.pop(0) if self.blocks else b""
    def close(self):
        print("closed")
        raise ValueError("swallowed")
'''


def wrapped(file, headers="[]", status="200 OK", **options):
    return request(MAKE + '''
def application(environ, start_response):
    start_response(%r, %s)
    return environ["wsgi.file_wrapper"](%s)
''' % (status, headers, file), **options)


def test_a_regular_file_is_sent_by_the_server():
    answer = wrapped("make(b'0123456789')")
    assert (answer.kind, answer.header("Content-Length")) == ("complete", "10"), answer
    assert answer.told[-2:] == (("file", 0, 10), ("flush",)), answer.told


def test_it_begins_where_the_file_stands():
    assert wrapped("make(b'0123456789', 4)").told[-2] == ("file", 4, 6)
    answer = wrapped("make(b'0123456789', 40)")
    assert (answer.kind, answer.header("Content-Length")) == ("complete", "0"), answer


def test_a_content_length_limits_it():
    answer = wrapped("make(b'0123456789', 2)", "[('Content-Length', '3')]")
    assert answer.kind == "complete" and answer.told[-2] == ("file", 2, 3) and answer.events() == [], answer


def test_a_content_length_beyond_the_file_is_a_truncated_answer():
    answer = wrapped("make(b'0123456789', 2)", "[('Content-Length', '30')]")
    assert answer.kind == "truncated" and answer.told[-2] == ("file", 2, 8), answer
    assert answer.events() == ["WSGIRS0207"], answer


def test_what_is_no_regular_file_is_read():
    answer = wrapped("Plain(b'one', b'two')")
    assert (answer.kind, answer.steps, answer.header("Content-Length")) == ("complete", [b"one", "flush", b"two", "flush"], None), answer
    assert sum("closed" in line for _, line in answer.log) == 1 and answer.events() == [], answer
    assert wrapped("io.BytesIO(b'x' * 20000)").body == b"x" * 20000
    assert wrapped("io.BytesIO(b'abcdef'), 4").steps == [b"abcd", "flush", b"ef", "flush"]
    assert wrapped("open('/dev/null', 'rb')").body == b""


def test_a_file_that_decompresses_is_read():
    answer = wrapped("__import__('gzip').GzipFile(fileobj=make(__import__('gzip').compress(b'plain')))")
    assert (answer.kind, answer.body) == ("complete", b"plain"), answer
    answer = wrapped("io.TextIOWrapper(make(b'text'))")
    assert (answer.refusal, answer.events()) == (500, ["WSGIRS0204"]), answer


def test_a_subclass_that_iterates_itself_is_iterated():
    answer = request(MAKE + '''
class Mine(mod_wsgi.FileWrapper):
    def __iter__(self):
        yield b"mine"
class Same(mod_wsgi.FileWrapper):
    pass
def application(environ, start_response):
    start_response("200 OK", [])
    return (Same if environ.get("SAME") else Mine)(make(b"0123"))
''')
    assert answer.body == b"mine", answer


def test_nothing_is_sent_as_a_file_after_write():
    answer = request(MAKE + '''
def application(environ, start_response):
    start_response("200 OK", [])(b"first")
    return environ["wsgi.file_wrapper"](make(b"0123"))
''')
    assert answer.body == b"first0123", answer


def test_the_object_behaves_as_documented():
    answer = request(MAKE + '''
def application(environ, start_response):
    Wrapper = environ["wsgi.file_wrapper"]
    wrapper = Wrapper(filelike=io.BytesIO(b"abc"), blksize=2)
    assert (wrapper.blksize, wrapper.filelike.read(1)) == (2, b"a")
    assert iter(wrapper) is wrapper and list(wrapper) == [b"bc"]
    for name in ("filelike", "blksize"):
        try:
            setattr(wrapper, name, 1)
        except AttributeError:
            continue
        raise AssertionError(name)
    wrapper.close()
    wrapper.close()
    for use in (lambda: wrapper.filelike, lambda: next(wrapper), lambda: iter(wrapper)):
        try:
            use()
        except ValueError as error:
            assert str(error) == "I/O operation on closed file"
            continue
        raise AssertionError
    try:
        Wrapper(None, -1)
    except ValueError:
        pass
    else:
        raise AssertionError
    start_response("200 OK", [])
    return [b"fine"]
''')
    assert answer.body == b"fine", answer


def test_start_response_is_needed():
    answer = request(MAKE + "def application(environ, start_response):\n    return environ['wsgi.file_wrapper'](make(b'0'))\n")
    assert (answer.refusal, answer.events()) == (500, ["WSGIRS0204"]), answer


def test_a_bodiless_answer_sends_nothing():
    answer = wrapped("make(b'0123')", status="304 Not Modified")
    assert (answer.kind, answer.headers) == ("complete", []), answer
    assert all(step[2] == 0 for step in answer.told if step[0] == "file"), answer.told


def test_a_client_that_goes_is_not_an_error():
    answer = wrapped("make(b'0123')", gone_after=1)
    assert (answer.kind, answer.log) == ("client gone", []), answer


def test_a_descriptor_that_lies_is_read():
    answer = request(MAKE + '''
class Lying(Plain):
    def fileno(self): return "x"
    def tell(self): raise OSError
def application(environ, start_response):
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](Lying(b"one"))
''')
    assert answer.body == b"one", answer


def test_the_position_of_the_file_is_kept():
    answer = request(MAKE + '''
class Watching(mod_wsgi.FileWrapper):
    def close(self):
        print("at", self.filelike.tell(), os.lseek(self.filelike.fileno(), 0, os.SEEK_CUR))
        super().close()
def application(environ, start_response):
    start_response("200 OK", [])
    return Watching(make(b"0123456789", 4))
''')
    assert answer.told[-2] == ("file", 4, 6) and "] at 4 4" in answer.text(), answer
