#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Put a built library where the module is run from, without touching a file that a running httpd has mapped.
#
#   packaging/place.sh <library> <directory>            as <directory>/mod_wsgi_rs.so
#   packaging/place.sh <library> <directory> <name>     as <directory>/mod_wsgi_rs.d/<build id>/<name>
set -euo pipefail

library=${1:?} directory=${2:?} name=${3:-}
umask 022
if [ -n "$name" ]; then
    id=$("${CARGO:-cargo}" run -q --locked -p wsgi-model --example build_id)
    [[ $id =~ ^[A-Za-z0-9][A-Za-z0-9._+-]*$ ]] || { echo "this is no build id: $id" >&2; exit 1; }
    final=$directory/mod_wsgi_rs.d/$id/$name
else
    final=$directory/mod_wsgi_rs.so
fi
mkdir -p "$(dirname "$final")"
if ! cmp -s "$library" "$final"; then
    mode=644
    [ "$name" != wsgi-supervisor ] || mode=755
    install -m "$mode" "$library" "$final.new.$$"
    mv -f "$final.new.$$" "$final"
fi
