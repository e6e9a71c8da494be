#!/bin/sh
# make test-servers SUITE=trixie: what `match` says of the lines of that Debian's POP and IMAP servers, played for real
# in a fresh root, with the native module of this checkout. As root, on Debian.
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
suite=${SUITE:-trixie}
[ "$(id -u)" = 0 ] || { echo "make test-servers SUITE=$suite: must run as root" >&2; exit 1; }
mkdir -p target
place=$(mktemp -d "$PWD/target/servers.XXXXXX")
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
root=$place/root
began=$(date +%s)
said() { echo "test-servers: $suite: $* ($(($(date +%s) - began)) s)"; began=$(date +%s); }

fresh_root "$suite" "$root" "$place/log"
said "the root is there"
network_settings >"$place/env"
set -- HOME=/root LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive "CI=${CI:-}"
while IFS= read -r each; do set -- "$@" "$each"; done <"$place/env"

git clone --quiet --no-hardlinks . "$root/root/pbs-fast"
.venv/bin/hatchling build --target=wheel --directory="$root/root/dist" >/dev/null
cp python/pbs_fast/_core.abi3.so "$root/root/dist/"
enter 1200 "" "$root" "$@" sh -euc '
    cd /root/pbs-fast
    scripts/install-test-servers.sh pop-imap
    apt-get install -y -q --no-install-recommends python3-venv
    python3 -m venv /root/venv
    /root/venv/bin/pip install -q -c constraints.txt /root/dist/*.whl pytest pytest-timeout pytest-xdist hypothesis
    cp /root/dist/_core.abi3.so /root/venv/lib/python3*/site-packages/pbs_fast/' >"$place/log" 2>&1 ||
    { tail -n 30 "$place/log" >&2; said "no servers" >&2; exit 1; }
said "the servers are there"
# The logging daemons of both suites are tested where their roots are: tests/servers/test_log_daemons.py.
enter 1200 "" "$root" "$@" sh -euc '
    cd /root/pbs-fast
    exec /root/venv/bin/pytest -q tests/servers --ignore=tests/servers/test_log_daemons.py' ||
    { said "FAILED" >&2; exit 1; }
said "passed"
