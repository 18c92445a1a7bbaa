# SPDX-License-Identifier: Apache-2.0
"""Prints what proxies may change, a line for each key. The server's own port is shown as OWN."""

KEYS = (
    "REMOTE_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "SCRIPT_NAME",
    "PATH_INFO",
    "REQUEST_SCHEME",
    "HTTPS",
    "mod_wsgi.script_name",
    "mod_wsgi.mount_point",
    "wsgi.url_scheme",
)


def application(environ, start_response):
    own = environ["mod_wsgi.listener_port"]
    shown = sorted(key for key in environ if key in KEYS or key.startswith("HTTP_"))
    lines = ["%s = %r\n" % (key, environ[key].replace(own, "OWN")) for key in shown]
    body = "".join(lines).encode("ascii")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
