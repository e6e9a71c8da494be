#!/bin/sh
# Makes .venv with everything pbs-fast needs and builds the native core into it.
# Called by the Makefile when something it depends on has changed. What is missing from the system is
# installed with apt-get when run as root on Debian; otherwise one sentence says what to install.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=.venv

can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_install() {
    echo "setup: installing $* with apt-get" >&2
    { DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" ||
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@"; }; } >/dev/null
}

need() { # need COMMAND PACKAGE SENTENCE
    command -v "$1" >/dev/null 2>&1 && return
    if can_apt; then apt_install "$2"; else echo "setup: $3" >&2; exit 1; fi
}

need "$PYTHON" python3 "Python 3.11 or later is needed: install python3 and try again."
need cc gcc "a C compiler is needed: install gcc and try again."
command -v cargo >/dev/null 2>&1 || { echo "setup: Rust (cargo) is needed: see https://rustup.rs and try again." >&2; exit 1; }
# With an older one cargo complains of an edition, and says nothing of a newer compiler.
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml) rust=$(cargo --version | cut -d' ' -f2)
[ "$(printf '%s\n' "$oldest" "$rust" | sort -V | head -n 1)" = "$oldest" ] ||
    { echo "setup: Rust $oldest or later is needed, cargo is $rust: see https://rustup.rs and try again." >&2; exit 1; }
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "setup: Python 3.11 or later is needed, $PYTHON is older: set PYTHON=... and try again." >&2; exit 1; }

if ! [ -x $VENV/bin/pip ]; then
    if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        if can_apt; then apt_install python3-venv; else echo "setup: python3-venv is needed: install it and try again." >&2; exit 1; fi
    fi
    "$PYTHON" -m venv --clear $VENV
fi

has_db() { printf '#include <db.h>\n' | cc -E - >/dev/null 2>&1; }
has_python_h() {
    printf '#include <Python.h>\n' |
        cc -E "-I$($VENV/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')" - >/dev/null 2>&1
}

EXTRAS=bdb,metrics,share
if ! { has_db && has_python_h; } && ! $VENV/bin/python -c 'import berkeleydb' 2>/dev/null; then
    if can_apt; then
        has_db || apt_install libdb-dev
        has_python_h || apt_install python3-dev
    else
        echo "setup: hash: and btree: tables are left out, because berkeleydb needs the headers of Berkeley DB and Python: install libdb-dev and python3-dev and run make again." >&2
        EXTRAS=metrics,share
    fi
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1
$VENV/bin/pip install -q --upgrade 'pip>=25.1'
$VENV/bin/pip install -q -c constraints.txt --group dev
PIP_QUIET=1 PIP_CONSTRAINT=constraints.txt $VENV/bin/maturin develop -q --release --locked --extras "$EXTRAS"
touch $VENV/.ready
