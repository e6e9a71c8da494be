#!/bin/sh
# make test-deb: proves the package in dist/ for SUITE (by default this Debian) in a fresh root of it: under systemd, where
# there is none, and under systemd as a node that shares over hubs (WAYS, by default "systemd plain share"). With
# WAYS=upgrade Debian 12 is upgraded to Debian 13 under its package, with the network; it needs both packages. As root.
#
# The root is made by debootstrap (kept as target/proof-root-SUITE.tar: the second run needs no network), with Postfix, a hub
# and what the package depends on. It runs in namespaces of its own, network included, so nothing outside sees or feels
# it; what is done inside is in deb-proof.sh and share-proof.sh.
set -eu
cd "$(dirname "$0")/.."
. packaging/root.sh
# shellcheck source=/dev/null
suite=${SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME:-}")}
case $suite in
    bookworm) built='~deb12' hub=redis ;;
    trixie) built='~deb13' hub=valkey ;;
    *) echo "make test-deb: SUITE is bookworm or trixie, not '$suite'" >&2; exit 2 ;;
esac
keep=$PWD/target/proof-root-$suite.tar
[ "$(id -u)" = 0 ] || { echo "make test-deb: must run as root" >&2; exit 1; }
# shellcheck disable=SC2012  # names we gave
first=$(ls -t dist/pbs-fast_*"$built"_*.deb 2>/dev/null | head -n 1)
[ -n "$first" ] || { echo "make test-deb: there is no dist/pbs-fast_*$built*.deb; run make deb SUITE=$suite" >&2; exit 1; }

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
root=$place/root
mkdir "$root"
began=$(date +%s)
said() { echo "test-deb: $suite: $* ($(($(date +%s) - began)) s)"; }

if [ ! -e "$keep" ]; then
    make_root "$suite" "$root" "$place/log"
    # Postfix asks nothing.
    # shellcheck disable=SC2016  # expanded inside
    chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c '
        echo "postfix postfix/main_mailer_type select Local only" | debconf-set-selections
        apt-get update -q && apt-get install -y -q --no-install-recommends systemd systemd-sysv postfix \
            postfix-lmdb logrotate procps iproute2 openssl "$1-server" &&
        rm -f /etc/systemd/system/*/"$1"-server.service &&
        apt-get satisfy -y -q --no-install-recommends "$0" && apt-get clean' "$(dpkg-deb -f "$first" Depends)" "$hub" \
        >"$place/log" 2>&1 || { tail -n 20 "$place/log" >&2; exit 1; }
    rm "$root/usr/sbin/policy-rc.d"
    tar -C "$root" -cf "$keep" .
    said "made a root of $suite"
else
    tar -C "$root" -xf "$keep"
    said "unpacked the root of an earlier run"
fi

if command -v lintian >/dev/null; then
    lintian --allow-root --profile debian --fail-on error,warning "$first"
    said "lintian has no error and no warning"
else
    said "lintian is not installed: the package was not checked by it"
    [ "${CI:-}" != true ] || exit 1
fi

# The next version differs in nothing but its number.
mkdir "$root/packages" "$root/out"
cp "$first" "$root/packages/first.deb"
dpkg-deb -R "$first" "$place/next"
sed -i 's/^Version: .*/&+next/' "$place/next/DEBIAN/control"
dpkg-deb -b "$place/next" "$root/packages/next.deb" >/dev/null
cp packaging/proof.sh packaging/deb-proof.sh packaging/share-proof.sh packaging/deb-upgrade.sh packaging/installed.py "$root/packages/"
if [ "${WAYS:-}" = upgrade ]; then
    # shellcheck disable=SC2012  # names we gave
    trixie=$(ls -t dist/pbs-fast_*~deb13_*.deb 2>/dev/null | head -n 1)
    [ "$suite" = bookworm ] && [ -n "$trixie" ] ||
        { echo "make test-deb: WAYS=upgrade is for SUITE=bookworm and needs make deb SUITE=trixie" >&2; exit 1; }
    cp "$trixie" "$root/packages/trixie.deb"
fi

judge() { # judge NAME: by what the proof wrote last
    if ! tail -n 1 "$root/out/$1" 2>/dev/null | grep -qx proved; then
        echo "test-deb: $1 failed; what it said:" >&2
        cat "$root/out/$1"* >&2
        exit 1
    fi
    grep '^ok: ' "$root/out/$1" | sed 's/^ok:/ /'
    said "proved $1"
}

boot() { # boot WAY SCRIPT: the root under systemd, which runs that and ends
    cat >"$root/etc/systemd/system/proof.service" <<UNIT
[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket
After=systemd-journald.socket
[Service]
Type=oneshot
ExecStart=/bin/bash -c '/bin/bash /packages/$2 $1; kill -s RTMIN+13 1'
StandardOutput=append:/out/$1
StandardError=append:/out/$1.err
UNIT
    # Credentials reach a service by mounts that are passed on, which systemd leaves to us in a container.
    # shellcheck disable=SC2016  # expanded inside
    enter 600 --net "$root" container=test sh -c 'mount --make-rshared /; exec "$@"' sh \
        /lib/systemd/systemd --system --unit=proof.target --log-target=null --show-status=0 || true
}

printf '[Unit]\nRequires=proof.service\n' >"$root/etc/systemd/system/proof.target"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
mv "$root" "$place/kept"

for way in ${WAYS:-systemd plain share}; do
    cp -a "$place/kept" "$root"
    case $way in
    systemd) boot systemd deb-proof.sh ;;
    share) boot share share-proof.sh ;;
    upgrade)
        cp /etc/resolv.conf "$root/etc/"
        enter 1800 "" "$root" /bin/bash /packages/deb-upgrade.sh >"$root/out/upgrade" 2>"$root/out/upgrade.err" || true
        ;;
    *) enter 600 --net "$root" /bin/bash /packages/deb-proof.sh plain >"$root/out/plain" 2>"$root/out/plain.err" || true ;;
    esac
    judge "$way"
    rm -rf "$root"
done
