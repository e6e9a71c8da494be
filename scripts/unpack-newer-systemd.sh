#!/bin/sh
# Unpacks a systemd of 253 or later below /opt/pbs-fast-tests/systemd for tests/packages/test_reload.py, where the
# installed one is older: packaging/systemd/since-254.conf is for 254 and later, and Debian 12 has 252 and the newer one in its backports.
# Nothing is installed, no list of sources of the machine is changed. Running it again is quick and changes nothing.
set -eu

into=/opt/pbs-fast-tests/systemd
installed=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
if [ "$installed" -ge 253 ] || [ -x "$into/usr/lib/systemd/systemd" ]; then
    exit 0
fi
# shellcheck source=/dev/null
. /etc/os-release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/root"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $VERSION_CODENAME-backports main" \
    >"$work/sources.list"
apt() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
apt update
cd "$work/debs"
for package in systemd libsystemd-shared libsystemd0; do
    apt download "$package/$VERSION_CODENAME-backports"
done
for each in *.deb; do dpkg-deb -x "$each" "$work/root"; done
# Laid over a root whose /lib is a link to /usr/lib, a directory /lib would hide all that is there.
mkdir -p "$into/usr"
for each in bin sbin lib; do
    [ ! -d "$work/root/$each" ] || { mkdir -p "$work/root/usr/$each" && cp -a "$work/root/$each/." "$work/root/usr/$each/"; }
done
cp -a "$work/root/usr/." "$into/usr/"
