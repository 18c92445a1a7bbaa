# SPDX-License-Identifier: Apache-2.0
"""What applications in embedded mode hear of the end of their process, and what `mod_wsgi` has for limits of groups."""

import os
import tempfile

from host import request, server_log, write_script

NOTES = os.path.join(tempfile.mkdtemp(), "notes")
SCRIPT = '''
import mod_wsgi, sys
def general(name, **facts):
    note(name, "general", facts)
    return {"added": 1}
def failing(name, **facts):
    sys.exit("as subscribers must not")
def stopping(name, **facts):
    note(name, "stopping", facts)
def note(*words):
    with open(%r, "a") as file:
        print(mod_wsgi.application_group, *words, file=file)
assert mod_wsgi.subscribe_events(general) is general
mod_wsgi.subscribe_events(failing)
assert mod_wsgi.subscribe_shutdown(stopping) is stopping
assert mod_wsgi.event_callbacks == [general, failing] and mod_wsgi.shutdown_callbacks == [stopping]
assert mod_wsgi.subscribe_signals(stopping) is stopping and mod_wsgi.signal_callbacks == []
assert issubclass(mod_wsgi.RequestTimeout, BaseException) and not issubclass(mod_wsgi.RequestTimeout, Exception)
assert mod_wsgi.RequestTimeout.__module__ == "mod_wsgi"
def application(environ, start_response):
    start_response("200 OK", [])
    if environ.get("RAISE"):
        raise mod_wsgi.RequestTimeout()
    return []
''' % NOTES


def test_there_are_subscribers_in_two_interpreters():
    script = write_script(SCRIPT)
    for group in ("", "other"):
        answer = request(script, group=group)
        assert answer.kind == "complete", answer
        ignored = [line for _, line in answer.log if "subscribe_signals() was ignored" in line]
        assert len(ignored) == 1, answer.log
    # An application may raise it itself.
    answer = request(script, environ=[("RAISE", b"1")])
    assert (answer.kind, answer.refusal, answer.events()) == ("refused", 504, []), answer


def after_end():
    with open(NOTES) as file:
        found = sorted(file.read().splitlines())
    reason = "'shutdown_reason': 'shutdown_signal'"
    expected = []
    for group in ("", "other"):
        expected.append("%s process_stopping general {%s}" % (group, reason))
        expected.append("%s process_stopping stopping {%s, 'added': 1}" % (group, reason))
    assert found == sorted(expected), found
    lines = [line for _, line in server_log()]
    assert sum(line == "SystemExit: as subscribers must not" for line in lines) == 2, lines
