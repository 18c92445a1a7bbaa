# SPDX-License-Identifier: Apache-2.0
"""One answer per path: start_response, write, Content-Length, exceptions at each stage."""

import sys

import journal

PLAIN = [("Content-Type", "text/plain")]


def start_then(items, headers=PLAIN, status="200 OK"):
    def run(environ, start_response):
        start_response(status, list(headers))
        return items() if callable(items) else items

    return run


def length(number, items):
    return start_then(items, PLAIN + [("Content-Length", str(number))])


def failing_after(*items):
    def generate():
        yield from items
        raise ValueError("in the middle")

    return generate


def never_starts(environ, start_response):
    return [b"x"]


def never_starts_and_is_empty(environ, start_response):
    return []


def returns_none(environ, start_response):
    start_response("200 OK", PLAIN)


def raises(environ, start_response):
    raise ValueError("before anything")


def raises_after_start(environ, start_response):
    start_response("200 OK", PLAIN + [("X-Lost", "1")])
    raise ValueError("after start_response")


def raises_after_write(environ, start_response):
    start_response("200 OK", PLAIN)(b"written ")
    raise ValueError("after write")


def writes(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"one ")
    write(b"")
    write(b"two ")
    return [b"three"]


def write_empty_then_restart(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"")
    try:
        start_response("201 Created", PLAIN)
    except BaseException as error:
        return [type(error).__name__.encode()]
    return [b"accepted"]


def replaced_with_exc_info(environ, start_response):
    start_response("200 OK", PLAIN + [("X-First", "1")])
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("503 Service Unavailable", PLAIN + [("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


def replaced_plainly(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("202 Accepted", PLAIN)
    return [b"replaced"]


def restarted_after_output(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"first ")
    try:
        start_response("500 Oops", PLAIN)
    except BaseException as error:
        return [type(error).__name__.encode()]
    return [b"accepted"]


def exc_info_after_output(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"first ")
    try:
        raise KeyError("original")
    except KeyError:
        try:
            start_response("500 Oops", PLAIN, sys.exc_info())
        except KeyError as error:
            return [b"raised again: " + str(error).encode()]
    return [b"accepted"]


def bad_writes(environ, start_response):
    write = start_response("200 OK", PLAIN)
    names = []
    for data in ("text", bytearray(b"x"), memoryview(b"x"), None, 1):
        try:
            write(data)
            names.append("accepted")
        except BaseException as error:
            names.append(type(error).__name__)
    return [" ".join(names).encode()]


KEPT = {}


def keeps(environ, start_response):
    KEPT["start"] = start_response
    KEPT["write"] = start_response("200 OK", PLAIN)
    KEPT["errors"] = environ["wsgi.errors"]
    return [b"kept"]


def uses_kept(environ, start_response):
    names = []
    calls = (
        lambda: KEPT["start"]("200 OK", PLAIN),
        lambda: KEPT["write"](b"x"),
        lambda: KEPT["errors"].write("x"),
        lambda: KEPT["errors"].writelines(["x"]),
        lambda: KEPT["errors"].flush(),
    )
    for call in calls:
        try:
            names.append(repr(call()))
        except BaseException as error:
            names.append(type(error).__name__)
    start_response("200 OK", PLAIN)
    return [" ".join(names).encode()]


def exits(environ, start_response):
    sys.exit(3)


def exits_while_iterating(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"some "
    sys.exit(3)


def interrupted(environ, start_response):
    raise KeyboardInterrupt


def recursion(environ, start_response):
    return recursion(environ, start_response)


def close_fails(environ, start_response):
    class Broken(journal.Result):
        def close(self):
            journal.note("closing broken")
            raise ValueError("in close")

    start_response("200 OK", PLAIN)
    return Broken("broken", [b"whole"])


def noted(name, items, headers=PLAIN):
    def run(environ, start_response):
        start_response("200 OK", list(headers))
        return journal.Result(name, items() if callable(items) else items)

    return run


def closed_though_never_started(environ, start_response):
    return journal.Result("unstarted", [b"x"])


def lazily_started(environ, start_response):
    def generate():
        start_response("200 OK", PLAIN)
        yield b"late"

    return generate()


class NoLen:
    def __iter__(self):
        return iter([b"a", b"b"])


class BytesLike(bytes):
    pass


PATHS = {
    "/hello": start_then([b"Hello, world\n"]),
    "/many": start_then([b"ab", b"", b"cd"]),
    "/tuple": start_then((b"ab", b"cd")),
    "/generator": start_then(lambda: iter([b"ab", b"", b"cd"])),
    "/iterable": start_then(NoLen),
    "/bytes": start_then(b"abc"),
    "/subclass": start_then([BytesLike(b"sub")]),
    "/empty": start_then([]),
    "/empty-item": start_then([b""]),
    "/empty-generator": start_then(lambda: iter([])),
    "/text-item": start_then(["text"]),
    "/bytearray-item": start_then([bytearray(b"x")]),
    "/text-later": start_then(lambda: iter([b"good ", "bad"])),
    "/exact": length(5, [b"12345"]),
    "/long": length(5, [b"123", b"45678"]),
    "/short": length(10, [b"12345"]),
    "/short-generator": length(10, lambda: iter([b"123", b"45"])),
    "/short-empty": length(10, []),
    "/zero": length(0, []),
    "/zero-with-body": length(0, [b"x"]),
    "/no-content": start_then([], [], "204 No Content"),
    "/no-content-with-body": start_then([b"x"], [], "204 No Content"),
    "/not-modified": start_then([], [("ETag", '"a"')], "304 Not Modified"),
    "/not-modified-with-body": start_then([b"x"], PLAIN, "304 Not Modified"),
    "/no-type": start_then([b"x"], []),
    "/teapot": start_then([b"x"], PLAIN, "418 I'm a teapot"),
    "/own-404": start_then([b"mine"], PLAIN, "404 Not Here"),
    "/bare-code": start_then([b"x"], PLAIN, "200"),
    "/duplicates": start_then(
        [b"x"],
        PLAIN + [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-D", "1"), ("X-D", "2"), ("WWW-Authenticate", "Basic")],
    ),
    "/latin": start_then([b"x"], PLAIN + [("X-Latin", "caf\xe9")]),
    "/date": start_then([b"x"], PLAIN + [("Date", "yesterday"), ("Server", "mine")]),
    "/location": start_then([b"x"], PLAIN + [("Location", "/elsewhere")]),
    "/hop": start_then([b"x"], PLAIN + [("Transfer-Encoding", "chunked")]),
    "/fail-generator": start_then(failing_after(b"part ")),
    "/fail-generator-at-once": start_then(failing_after()),
    "/fail-with-length": start_then(failing_after(b"part "), PLAIN + [("Content-Length", "100")]),
    "/fail-after-all": start_then(failing_after(b"12345"), PLAIN + [("Content-Length", "5")]),
    "/noted": noted("whole", [b"whole"]),
    "/noted-failing": noted("failing", failing_after(b"part ")),
    "/noted-failing-at-once": noted("failing at once", failing_after()),
    "/noted-long": noted("long", [b"1234567"], PLAIN + [("Content-Length", "3")]),
    "/noted-short": noted("short", [b"1"], PLAIN + [("Content-Length", "3")]),
}
PATHS.update(
    ("/" + function.__name__.replace("_", "-"), function)
    for function in (
        never_starts, never_starts_and_is_empty, returns_none, raises, raises_after_start, raises_after_write, writes,
        write_empty_then_restart, replaced_with_exc_info, replaced_plainly, restarted_after_output,
        exc_info_after_output, bad_writes, keeps, uses_kept, exits, exits_while_iterating, interrupted, recursion,
        close_fails, closed_though_never_started, lazily_started,
    )
)  # fmt: skip


def application(environ, start_response):
    return PATHS[environ["PATH_INFO"]](environ, start_response)
