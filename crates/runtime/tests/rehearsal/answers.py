# SPDX-License-Identifier: Apache-2.0
"""start_response, write, iteration, Content-Length, close: requests §§5 and 6."""

from host import request

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
