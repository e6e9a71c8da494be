#!/bin/sh
# make test-fresh: what a newcomer does on a fresh machine: clone, make run, make test. As root, on Debian.
#
# The machine is a root of SUITE (bookworm by default, or trixie) with Debian's own Python, git, make and the Rust that is
# on this machine's PATH: no mail server, no perl package, no compiler; what is missing setup installs. The root is kept
# as target/fresh-SUITE.tar, so the second run makes none. WHAT is what is made in it (by default "run test"): with
# "test-python-version" it is a cheap look at the Python backend only.
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
suite=${SUITE:-bookworm} what=${WHAT:-run test} keep=$PWD/target/fresh-${SUITE:-bookworm}.tar
[ "$(id -u)" = 0 ] || { echo "make test-fresh: must run as root" >&2; exit 1; }
command -v rustc >/dev/null || { echo "make test-fresh: needs rustc on the PATH: see https://rustup.rs" >&2; exit 1; }
BEHIND=$(rustc --print sysroot)
mkdir -p target
place=$(mktemp -d "$PWD/target/fresh.XXXXXX")
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
root=$place/root
mkdir "$root"
began=$(date +%s)
said() { echo "test-fresh: $* ($(($(date +%s) - began)) s)"; }

if [ ! -e "$keep" ]; then
    make_root "$suite" "$root" "$place/log"
    chroot "$root" sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends ca-certificates git make python3 && apt-get clean' \
        >"$place/log" 2>&1 || { tail -n 20 "$place/log" >&2; exit 1; }
    tar -C "$root" -cf "$place/tar" .
    mv "$place/tar" "$keep"
    said "made a root of $suite"
else
    tar -C "$root" -xf "$keep"
    said "unpacked the root of an earlier run"
fi

# Below /root, where no other account comes: some tests change to one. What names this machine's way out goes along.
git clone --quiet --no-hardlinks . "$root/root/pbs-fast"
cp /etc/resolv.conf "$root/etc/"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
env | grep -E '^(PIP_(CERT|DEFAULT_TIMEOUT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST)|CARGO_(HTTP|NET)_[A-Z_]*|[a-zA-Z]+_(proxy|PROXY)|SSL_CERT_FILE|WORKERS|PYTEST_ADDOPTS)=' >"$place/env" || true
set --
while IFS= read -r each; do set -- "$@" "$each"; done <"$place/env"

for target in $what; do
    # shellcheck disable=SC2016  # expanded inside
    enter 3600 "" "$root" "$@" HOME=/root PATH=/opt/behind/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        sh -c 'cd /root/pbs-fast && make "$1"' sh "$target" || { said "$suite: make $target FAILED"; exit 1; }
    said "$suite: make $target passed"
done
said "$suite: .venv and target are $(du -smc "$root/root/pbs-fast/.venv" "$root/root/pbs-fast/target" | tail -n 1 | cut -f 1) MB"
