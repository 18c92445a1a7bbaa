# SPDX-License-Identifier: Apache-2.0
"""Tells one interpreter from another: counters, names, thread-locals, sys.path."""

import os
import sys
import threading

COUNT = [0]
LOCAL = threading.local()


def application(environ, start_response):
    COUNT[0] += 1
    LOCAL.count = getattr(LOCAL, "count", 0) + 1
    sys.shared = getattr(sys, "shared", 0) + 1
    facts = {
        "count": COUNT[0],
        "local": LOCAL.count,
        "shared": sys.shared,
        "group": environ["mod_wsgi.application_group"],
        "pid": os.getpid(),
        "ident": threading.get_ident(),
        "version": "%d.%d" % sys.version_info[:2],
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "path": ":".join(sys.path),
        "name": __name__,
        "file": __file__,
        "main_thread": threading.current_thread() is threading.main_thread(),
        "registered": sys.modules.get(__name__) is not None and vars(sys.modules[__name__]) is globals(),
        "fsencoding": sys.getfilesystemencoding(),
        "executable": sys.executable,
        "extension": extension(),
    }
    body = "\n".join("%s=%s" % item for item in facts.items()).encode("utf-8", "surrogateescape")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


def extension():
    """Standard extension modules work here."""
    import _datetime
    import _json
    import hashlib

    return "%s %s %s" % (_json.__name__, _datetime.__name__, hashlib.sha256(b"x").hexdigest()[:8])
