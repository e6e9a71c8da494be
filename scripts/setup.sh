#!/bin/sh
# Makes .venv with what `make run` and `make test` need and builds the native core into it; other targets add a group of
# pyproject.toml's to it when they are first called (see the Makefile).
#
# Called by the Makefile when something it depends on has changed. It first looks for everything that the system must
# have. As root on Debian it installs what is missing; otherwise it names all of it in one line, and changes nothing.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=.venv
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

has() { command -v "$1" >/dev/null 2>&1; }
# at_least WANTED FOUND
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }
can_apt() { [ "$(id -u)" = 0 ] && has apt-get; }

apt_install() {
    echo "setup: installing $* with apt-get" >&2
    { DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" ||
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@"; }; } >/dev/null
}

# Whether this Debian's own Rust is new enough: Debian 13's is.
debian_has_rust() {
    apt-cache show rustc >/dev/null 2>&1 || apt-get update -q >/dev/null 2>&1 || return 1
    found=$(apt-cache show rustc 2>/dev/null | sed -n 's/^Version: \([0-9.]*\).*/\1/p' | sort -V | tail -n 1)
    [ -n "$found" ] && at_least "$oldest" "$found"
}

has_db() { printf '#include <db.h>\n' | cc -E - >/dev/null 2>&1; }
has_python_h() {
    printf '#include <Python.h>\n' |
        cc -E "-I$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')" - >/dev/null 2>&1
}

packages='' words='' others=''
lacks() { # lacks PACKAGE WORDS: what apt can install, and what it is
    packages="$packages $1" words="$words, $2"
}
if ! has "$PYTHON"; then
    lacks "python3 python3-venv" "Python 3.11 or later with venv"
elif ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    others="$others, Python 3.11 or later ($PYTHON is $("$PYTHON" -c 'import platform; print(platform.python_version())'); set PYTHON=...)"
elif ! [ -x $VENV/bin/pip ] && ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    lacks python3-venv "Python's venv"
fi
has cc || lacks "gcc libc6-dev" "a C compiler"
if has cargo; then
    # With an older one cargo complains of an edition, and says nothing of a newer compiler.
    rust=$(cargo --version | cut -d' ' -f2)
    at_least "$oldest" "$rust" || others="$others, Rust $oldest or later (cargo is $rust; see https://rustup.rs)"
elif can_apt && debian_has_rust; then
    lacks cargo "Rust"
else
    others="$others, Rust $oldest or later (Debian 13: package cargo; elsewhere see https://rustup.rs)"
fi
# For hash: and btree: tables. Without a compiler they cannot be looked for, and there will hardly be any.
headers=
if ! $VENV/bin/python -c 'import berkeleydb' 2>/dev/null; then
    has cc && has_db || headers="$headers libdb-dev"
    has cc && has "$PYTHON" && has_python_h || headers="$headers python3-dev"
fi

if [ -n "$others" ] || { [ -n "$packages" ] && ! can_apt; }; then
    missing=$words
    [ -z "$packages" ] || missing="$missing (Debian:$packages)"
    missing="$missing$others"
    also=
    [ -z "$headers" ] || also=", and for hash: and btree: tables$headers"
    echo "setup: missing: ${missing#, }$also: install it and run make again." >&2
    exit 1
fi
EXTRAS=bdb,metrics,share
if [ -n "$headers" ] && ! can_apt; then
    echo "setup: hash: and btree: tables are left out, because berkeleydb needs headers: install$headers and run make again." >&2
    EXTRAS=metrics,share headers=
fi
# shellcheck disable=SC2086  # lists of words
[ -z "$packages$headers" ] || apt_install $packages $headers

[ -x $VENV/bin/pip ] || "$PYTHON" -m venv --clear $VENV
export PIP_DISABLE_PIP_VERSION_CHECK=1
$VENV/bin/pip install -q --upgrade 'pip>=25.1'
$VENV/bin/pip install -q -c constraints.txt --group build --group test
PIP_QUIET=1 PIP_CONSTRAINT=constraints.txt $VENV/bin/maturin develop -q --release --locked --extras "$EXTRAS"
touch $VENV/.ready
