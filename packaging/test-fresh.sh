#!/bin/sh
# make test-fresh: what a newcomer does on a fresh machine: clone, make run, make test. As root, on Debian.
#
# The machine is a root of SUITE (bookworm by default, or trixie) with Debian's own Python, git and make: no mail server,
# no compiler (but perl, which git needs); what is missing setup installs, also Debian 13's own Rust. Debian 12's is too
# old: there it is the one on this machine's PATH. GOALS are "run test", or fewer. The root has namespaces of its own, but
# this machine's network.
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
if [ "${SUITE:-bookworm}" = bookworm ]; then
    command -v rustc >/dev/null || { echo "make test-fresh: needs rustc on the PATH: see https://rustup.rs" >&2; exit 1; }
    BEHIND=$(rustc --print sysroot)
fi
size() { du -sm "$root/root/pbs-fast/$1" | cut -f 1; }
begin test-fresh
for goal in ${GOALS:-run test}; do
    # shellcheck disable=SC2016  # expanded inside
    inside 3600 PATH=/opt/behind/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh -c 'cd /root/pbs-fast && make "$1"' sh "$goal" || { said "make $goal FAILED" >&2; exit 1; }
    said "make $goal passed"
    said "MB: .venv $(size .venv), target $(size target)"
done
