#!/bin/sh
# make test-fresh: what a newcomer does on a fresh machine: clone, make run, make test. As root, on Debian.
#
# The machine is a root of SUITE (bookworm by default, or trixie) with Debian's own Python, git, make and the Rust that is
# on this machine's PATH: no mail server, no compiler (but perl, which git needs); what is missing setup installs. It has
# namespaces of its own, but this machine's network.
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
suite=${SUITE:-bookworm}
[ "$(id -u)" = 0 ] || { echo "make test-fresh: must run as root" >&2; exit 1; }
command -v rustc >/dev/null || { echo "make test-fresh: needs rustc on the PATH: see https://rustup.rs" >&2; exit 1; }
BEHIND=$(rustc --print sysroot)
mkdir -p target
place=$(mktemp -d "$PWD/target/fresh.XXXXXX")
trap 'rm -rf "$place"' EXIT
trap 'exit 1' HUP INT TERM
root=$place/root
began=$(date +%s)
said() { echo "test-fresh: $suite: $* ($(($(date +%s) - began)) s)"; began=$(date +%s); }

fresh_root "$suite" "$root" "$place/log"
said "the root is there: $(chroot "$root" python3 --version), $(rustc --version | cut -d' ' -f1,2)"
# Below /root, where no other account comes: some tests change to one.
git clone --quiet --no-hardlinks . "$root/root/pbs-fast"
network_settings >"$place/env"
set -- HOME=/root PATH=/opt/behind/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "WORKERS=${WORKERS:-2}"
while IFS= read -r each; do set -- "$@" "$each"; done <"$place/env"
for target in run test; do
    # shellcheck disable=SC2016  # expanded inside
    enter 3600 "" "$root" "$@" sh -c 'cd /root/pbs-fast && make "$1"' sh "$target" ||
        { said "make $target FAILED" >&2; exit 1; }
    said "make $target passed"
done
said ".venv and target hold $(du -smc "$root/root/pbs-fast/.venv" "$root/root/pbs-fast/target" | tail -n 1 | cut -f 1) MB"
