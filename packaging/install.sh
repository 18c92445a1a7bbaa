#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Install what `make build` laid out. DESTDIR is put in front of every path.
#
#   packaging/install.sh <target/module> <libexec directory>
set -euo pipefail

built=${1:?} libexec=${2:?}
root=${DESTDIR:-}
here=$(cd "$(dirname "$0")/.." && pwd)
modules=$("${APXS:-apxs}" -q LIBEXECDIR)
id=$("${CARGO:-cargo}" run -q --locked -p wsgi-model --example build_id)
umask 022

put() { # put <file> <place> [<mode>]: whole or not at all, also over a file that is mapped
    install -D -m "${3:-644}" "$1" "$2.new.$$"
    mv -f "$2.new.$$" "$2"
    echo "$2"
}

for runtime in "$built/mod_wsgi_rs.d/$id"/_mod_wsgi_rs.*.so; do
    put "$runtime" "$root$libexec/$id/$(basename "$runtime")"
done
put "$built/mod_wsgi_rs.d/$id/wsgi-supervisor" "$root$libexec/$id/wsgi-supervisor" 755
put "$built/mod_wsgi_rs.so" "$root$modules/mod_wsgi_rs.so"

available=/etc/apache2/mods-available
if [ -d "$root$available" ] || [ -d "$available" ]; then
    sed "s|@LIBEXECDIR@|$modules|" "$here/apxs/wsgi_rs.load" >"$root$modules/.wsgi_rs.load.$$"
    trap 'rm -f "$root$modules/.wsgi_rs.load.$$"' EXIT
    put "$root$modules/.wsgi_rs.load.$$" "$root$available/wsgi_rs.load"
    if [ -e "$root$available/wsgi_rs.conf" ]; then
        echo "$root$available/wsgi_rs.conf kept as it is"
    else
        put "$here/apxs/wsgi_rs.conf" "$root$available/wsgi_rs.conf"
    fi
    echo "Enable it with: a2enmod wsgi_rs && systemctl restart apache2"
else
    echo "Load it with: LoadModule wsgi_module $modules/mod_wsgi_rs.so"
fi
