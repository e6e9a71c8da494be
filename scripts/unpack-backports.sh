#!/bin/sh
# Unpacks below /opt/pbs-fast-tests what tests need and this Debian has in its backports only:
# - systemd: one of 253 or later for tests/packages/test_reload.py, where the installed one is older:
#   packaging/systemd/since-254.conf is for 254 and later, and Debian 12 has 252;
# - valkey: a second kind of hub, of the distribution's own packages where it has them (Debian 13, Ubuntu 24.04).
# Nothing is installed, no list of sources of the machine is changed. Running it again is quick and changes nothing.
set -eu

place=/opt/pbs-fast-tests
# shellcheck source=/dev/null
. /etc/os-release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian ${VERSION_CODENAME:-}-backports main" \
    >"$work/sources.list"
apt() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}

# fetch PACKAGE...: of the backports, unpacked into $work/root.
fetch() {
    [ -e "$work/updated" ] || apt update
    touch "$work/updated"
    rm -rf "$work/debs" "$work/root"
    mkdir "$work/debs" "$work/root"
    for package in "$@"; do (cd "$work/debs" && apt download "$package/$VERSION_CODENAME-backports") || return 1; done
    for each in "$work/debs"/*.deb; do dpkg-deb -x "$each" "$work/root"; done
}

installed=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "$installed" -lt 253 ] && [ ! -x "$place/systemd/usr/lib/systemd/systemd" ]; then
    fetch systemd libsystemd-shared libsystemd0
    # Laid over a root whose /lib is a link to /usr/lib, a directory /lib would hide all that is there.
    mkdir -p "$place/systemd/usr"
    for each in bin sbin lib; do
        [ ! -d "$work/root/$each" ] || { mkdir -p "$work/root/usr/$each" && cp -a "$work/root/$each/." "$work/root/usr/$each/"; }
    done
    cp -a "$work/root/usr/." "$place/systemd/usr/"
fi

if [ ! -x "$place/valkey/usr/bin/valkey-server" ] && ! command -v valkey-server >/dev/null; then
    mkdir "$work/own"
    if (cd "$work/own" && apt-get -q -o APT::Sandbox::User=root download valkey-server valkey-tools 2>/dev/null); then
        rm -rf "$work/root"
        for each in "$work/own"/*.deb; do dpkg-deb -x "$each" "$work/root"; done
    elif [ "$ID" != debian ] || ! fetch valkey-server valkey-tools; then
        echo "unpack-backports: $VERSION_CODENAME has no valkey-server, so all hubs of the tests are Redis" >&2
        exit 0
    fi
    # Its libraries are those of Redis, which is installed.
    mkdir -p "$place/valkey"
    cp -a "$work/root/usr" "$place/valkey/"
    "$place/valkey/usr/bin/valkey-server" --version
fi
