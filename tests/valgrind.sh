#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The functional applications under valgrind. MOD_WSGI_RS_VALGRIND_REPORT=<file> keeps the whole report.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind > /dev/null || { echo "valgrind is not installed" >&2; exit 1; }
exec "${CARGO:-cargo}" test --locked --test valgrind -- --include-ignored --nocapture "$@"
