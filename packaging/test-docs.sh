#!/bin/sh
# make test-docs: runs the commands of README.md and docs/ as an administrator would, on a fresh Debian without our package:
# SUITE is bookworm (default) or trixie. As root, on Debian.
#
# The root has Postfix, systemd and what the pages tell the reader to install. The program comes from a wheel of this
# checkout, by the README's own lines. What needs the network runs first; then systemd boots in a network of its own, and
# docs-proof.sh runs the blocks marked `root` one after the other.
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
begin test-docs
.venv/bin/maturin build -q --release --locked --out "$root/root/pbs-fast/dist"
# What is not committed yet is to be proved too.
cp -R README.md docs packaging "$root/root/pbs-fast/"

# Postfix asks nothing.
inside 900 sh -euc '
    echo "postfix postfix/main_mailer_type select Local only" | debconf-set-selections
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -y -q --no-install-recommends systemd systemd-sysv dbus postfix postfix-lmdb swaks libnet-ssleay-perl \
        python3-venv iproute2 procps socat jq
    # For later, when there is no network: it takes the place of Postfix.
    apt-get install -y -q --download-only exim4-daemon-light' >"$place/log" 2>&1 || { tail -n 20 "$place/log" >&2; exit 1; }
rm -f "$root/usr/sbin/policy-rc.d"
inside 900 bash /root/pbs-fast/packaging/docs-proof.sh install >"$place/log" 2>&1 || { tail -n 20 "$place/log" >&2; exit 1; }
said "installed"

cat >"$root/etc/systemd/system/proof.service" <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket dbus.socket
After=systemd-journald.socket dbus.socket
[Service]
Type=oneshot
ExecStart=/bin/bash -c '/bin/bash /root/pbs-fast/packaging/docs-proof.sh use; kill -s RTMIN+13 1'
StandardOutput=append:/out
StandardError=append:/out
UNIT
printf '[Unit]\nRequires=proof.service\n' >"$root/etc/systemd/system/proof.target"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
enter 600 --net "$root" container=test /lib/systemd/systemd --system --unit=proof.target --log-target=null --show-status=0 ||
    true
tail -n 1 "$root/out" 2>/dev/null | grep -qx proved ||
    { cp "$root/out" target/test-docs.out; cat "$root/out" >&2; said "FAILED; see target/test-docs.out" >&2; exit 1; }
grep '^ok: ' "$root/out" | sed 's/^ok:/ /'
said "proved"
