#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Make sure that what a make target needs is installed.
#
#   packaging/prerequisites.sh build|serve|test|bench|callgrind|valgrind|fuzz [python]
#
# As root on Debian and its derivatives, missing packages are installed. Otherwise
# the one command that would install them is printed and the status is 1.
# On other systems only the programs are checked.
set -euo pipefail

purpose=${1:?which target?}
python=${2:-python3}
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

wants() { # wants <target>...: is ours among them?
    local target
    for target in "$@"; do
        [ "$target" != "$purpose" ] || return 0
    done
    return 1
}

if ! command -v cargo >/dev/null; then
    echo "A Rust toolchain (cargo, rustc 1.85 or later) is needed first: see https://www.rust-lang.org/tools/install" >&2
    exit 1
fi

if ! command -v dpkg-query >/dev/null; then
    missing=()
    for program in cc apxs "$python"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    command -v apache2 >/dev/null || command -v httpd >/dev/null || missing+=(httpd)
    if [ ${#missing[@]} -gt 0 ]; then
        echo "Missing programs: ${missing[*]}. Install httpd with its development files, libclang and Python." >&2
        exit 1
    fi
    exit 0
fi

installed() {
    [ "$(dpkg-query -W -f='${Status}' "$1" 2>/dev/null || true)" = "install ok installed" ]
}

# The minor version of Debian's python3, installed or about to be.
debian_python() {
    if [ -x /usr/bin/python3 ]; then
        /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])'
    else
        apt-cache policy python3 | sed -n 's/^ *Candidate: \([0-9]*\.[0-9]*\).*/\1/p'
    fi
}

packages=(apache2-bin apache2-dev)
if wants fuzz; then
    # libFuzzer is C++; the rules that are fuzzed need nothing of httpd.
    packages=()
    command -v c++ >/dev/null || packages+=(g++)
elif [ -z "${MOD_WSGI_RS_BINDINGS:-}" ]; then
    packages+=(libclang-dev)
fi
command -v cc >/dev/null || packages+=(gcc libc6-dev)
if wants serve test bench callgrind valgrind soak; then
    packages+=(media-types)
    case $python in
    python3 | /usr/bin/python3)
        minor=$(debian_python)
        if [ -z "$minor" ] && [ "$(id -u)" -eq 0 ]; then
            apt-get update -qq
            minor=$(debian_python)
        fi
        packages+=(python3 python3-venv "libpython${minor:-3.11}")
        ;;
    *)
        command -v "$python" >/dev/null || { echo "PYTHON=$python does not exist" >&2; exit 1; }
        ;;
    esac
fi
if wants test; then
    # httxt2dbm, which makes the databases of one test, is in the utilities.
    packages+=(curl apache2-utils openssl)
    # The older peer of the differential tests. Where a system web server is installed, this package would enable
    # itself in it, which is not ours to decide; the tests that need it are then skipped, and say so.
    installed apache2 || packages+=(libapache2-mod-wsgi-py3)
fi
if wants test bench callgrind; then
    # Debian's Python needs its headers for the reference module to be built against.
    case $python in python3 | /usr/bin/python3) packages+=(python3-dev) ;; esac
fi
if wants bench soak; then packages+=(wrk); fi
if wants callgrind valgrind; then packages+=(valgrind); fi

missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    {
        echo "Some packages are missing. This installs them:"
        echo
        echo "    sudo apt-get install -y --no-install-recommends ${missing[*]}"
        echo
    } >&2
    exit 1
fi

echo "Installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    # Perhaps only the lists of packages are missing or old.
    if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        cat "$log" >&2
        echo "Could not install: ${missing[*]}" >&2
        exit 1
    fi
fi
