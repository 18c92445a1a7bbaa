# SPDX-License-Identifier: Apache-2.0
"""A page that shows the environ it was called with.

Plain WSGI (PEP 3333), no package needed. Everything shown comes from the
client or the configuration, so everything is escaped.
"""

import html
import sys
import time

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>WSGI environ</title>
<style>
 body {{ font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }}
 table {{ border-collapse: collapse; width: 100% }}
 th, td {{ border-bottom: 1px solid #ddd; padding: .25em .6em; text-align: left; vertical-align: top }}
 th, td {{ font: 14px/1.5 monospace; overflow-wrap: anywhere }}
 th {{ width: 24em }}
 td.type {{ color: #777; width: 8em }}
</style>
</head>
<body>
<p><a href="/">Examples</a></p>
<h1>The environ of this request</h1>
<p>Python {python}, process {pid}, {count} keys, rendered at {now}.</p>
<p>Try <a href="{script}/some/path?name=value&amp;x=%3Cb%3E">a path and a query string</a>,
or post a body:</p>
<form method="post" action="{script}">
<input name="text" value="hello"> <button>Post</button>
</form>
{body}
<table>
{rows}
</table>
</body>
</html>
"""

BODY_LIMIT = 4096


def table(environ):
    for key in sorted(environ):
        value = environ[key]
        yield "<tr><th>{}</th><td class=type>{}</td><td>{}</td></tr>".format(
            html.escape(key),
            html.escape(type(value).__name__),
            html.escape(value if isinstance(value, str) else repr(value)),
        )


def request_body(environ):
    if environ["REQUEST_METHOD"] not in ("POST", "PUT"):
        return ""
    data = environ["wsgi.input"].read(BODY_LIMIT)
    return "<p>The first {} bytes of the body: <code>{}</code></p>".format(
        len(data), html.escape(repr(data))
    )


def application(environ, start_response):
    page = PAGE.format(
        python=html.escape(sys.version.split()[0]),
        pid=html.escape(environ.get("mod_wsgi.server_pid", "unknown")),
        count=len(environ),
        now=time.strftime("%H:%M:%S"),
        script=html.escape(environ["SCRIPT_NAME"]),
        body=request_body(environ),
        rows="\n".join(table(environ)),
    ).encode("utf-8", "replace")
    start_response(
        "200 OK",
        [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Cache-Control", "no-store"),
        ],
    )
    return [page]
