#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The functional applications under valgrind: httpd with Python in it, then the worker and the supervisor of process groups.
# MOD_WSGI_RS_VALGRIND_REPORT=<file> keeps the whole reports as <file>.httpd, <file>.worker and <file>.supervisor.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind > /dev/null || { echo "valgrind is not installed" >&2; exit 1; }
exec "${CARGO:-cargo}" test --locked --test valgrind -- --include-ignored --nocapture --test-threads=1 "$@"
