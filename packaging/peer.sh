#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Build mod_wsgi, which this project is compared with, into a virtual environment of its own.
#
#   packaging/peer.sh <python> <venv>
#
# Without it the differential tests are skipped, and say so; the benchmark needs it.
set -euo pipefail

python=${1:?} venv=${2:?} version=6.1.1
wanted="$version $("$python" -c 'import sys; print(sys.version.split()[0], sys.base_prefix)')"
if [ -f "$venv/peer.stamp" ] && [ "$(cat "$venv/peer.stamp")" = "$wanted" ]; then
    exit 0
fi
echo "Building mod_wsgi $version for $python in $venv" >&2
mkdir -p "$(dirname "$venv")"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
if "$python" -m venv --clear "$venv" >"$log" 2>&1 &&
    "$venv/bin/python" -m pip install -q --disable-pip-version-check "mod_wsgi==$version" >>"$log" 2>&1; then
    echo "$wanted" >"$venv/peer.stamp"
else
    tail -n 20 "$log" >&2
    echo "mod_wsgi $version could not be built: comparisons with it will be skipped" >&2
fi
