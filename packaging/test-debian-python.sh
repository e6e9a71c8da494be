#!/bin/sh
# make test-debian-python: both backends and what is made of patterns, on the Python that Debian has (SUITE: bookworm by
# default, whose 3.11.2 has faults of its own). As root, on Debian.
#
# Cheaper than make test-fresh: nothing is compiled, for the native module in this checkout serves every CPython from 3.11
# on, and no test is run that does not depend on the interpreter (nor the stub's, which wants mypy).
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
suite=${SUITE:-bookworm}
[ "$(id -u)" = 0 ] || { echo "make test-debian-python: must run as root" >&2; exit 1; }
mkdir -p target
place=$(mktemp -d "$PWD/target/debian-python.XXXXXX")
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
root=$place/root
began=$(date +%s)
said() { echo "test-debian-python: $suite: $* ($(($(date +%s) - began)) s)"; began=$(date +%s); }

fresh_root "$suite" "$root" "$place/log"
said "the root is there: $(chroot "$root" python3 --version)"
git clone --quiet --no-hardlinks . "$root/root/pbs-fast"
.venv/bin/hatchling build --target=wheel --directory="$root/root/dist" >/dev/null
cp python/pbs_fast/_core.abi3.so "$root/root/dist/"
network_settings >"$place/env"
set -- HOME=/root LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive "WORKERS=${WORKERS:-2}"
while IFS= read -r each; do set -- "$@" "$each"; done <"$place/env"
# shellcheck disable=SC2016  # expanded inside
enter 1200 "" "$root" "$@" sh -euc '
    apt-get install -y -q --no-install-recommends python3-venv >/dev/null
    python3 -m venv /root/venv
    cd /root/pbs-fast
    /root/venv/bin/pip install -q -c constraints.txt /root/dist/*.whl pytest pytest-timeout pytest-xdist hypothesis
    cp /root/dist/_core.abi3.so /root/venv/lib/python3*/site-packages/pbs_fast/
    exec /root/venv/bin/pytest -q -n "$WORKERS" --dist loadfile tests/backends tests/formats tests/native tests/rewrite \
        --ignore=tests/native/test_stub.py tests/legacy tests/zones' || { said "FAILED" >&2; exit 1; }
said "passed"
