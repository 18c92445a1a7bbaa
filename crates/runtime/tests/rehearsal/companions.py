# SPDX-License-Identifier: Apache-2.0
"""Packages that lie on the path under the names of built-in modules: requests §10.2, python-api §§1, 2."""

import os
import sys
import tempfile

from host import request, server_log

PATH = tempfile.mkdtemp()
os.mkdir(os.path.join(PATH, "mod_wsgi"))
for name, source in (
    ("mod_wsgi/__init__.py", "version = 'of the package'\n"),
    ("mod_wsgi/server.py", "answer = 42\n"),
    ("apache.py", "import nothing_of_that_name\n"),
):
    with open(os.path.join(PATH, name), "w") as file:
        file.write(source)
sys.path.insert(0, PATH)
SETUP = {"single_process": 1}
STDOUT, STDIN = sys.stdout, sys.stdin


def test_submodules_of_the_companion_can_be_imported():
    answer = request('''
import mod_wsgi
from mod_wsgi.server import answer
def application(environ, start_response):
    start_response("200 OK", [])
    return [repr((mod_wsgi.version, answer)).encode()]
''')
    assert answer.body == b"((6, 1, 1), 42)", answer


def test_a_companion_that_fails_is_reported_and_replaced():
    import apache

    assert apache.mpm_name == "rehearsal"
    lines = [line for _, line in server_log()]
    assert len(lines) == 1 and lines[0].startswith("WSGIRS0115") and "nothing_of_that_name" in lines[0], lines


def test_a_single_process_keeps_its_standard_streams():
    assert sys.stdout is STDOUT and sys.stdin is STDIN and sys.stderr.name == "<stderr>"
