#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Build the runtime exactly for one interpreter; Python prefers it to the stable-ABI one that lies beside it.
#
#   packaging/runtime.sh <python> <target directory>
set -euo pipefail

python=$(command -v "${1:?which Python?}") target=${2:?}
soabi=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))')
[[ $soabi == cpython-* ]] || { echo "$python is not a CPython: SOABI is $soabi" >&2; exit 1; }
PYO3_PYTHON=$python "${CARGO:-cargo}" build --release --locked -p wsgi-runtime --no-default-features \
    --target-dir "$target/exact/$soabi"
"$(dirname "$0")/place.sh" "$target/exact/$soabi/release/lib_mod_wsgi_rs.so" "$target/module" "_mod_wsgi_rs.$soabi.so"
echo "$target/module: added _mod_wsgi_rs.$soabi.so"
