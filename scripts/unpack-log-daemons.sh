#!/bin/sh
# Unpacks the logging daemons of Debian 12 and 13 below /opt/pbs-fast-tests/log-daemons/SUITE, each suite with the
# libraries of its own, for tests/servers/test_log_daemons.py. They conflict with each other as packages, and a machine
# has one logging daemon at most, so none is installed and none is started. No list of sources of the machine is changed.
# Running it again is quick and changes nothing.
set -eu

place=/opt/pbs-fast-tests/log-daemons
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# inetutils and BusyBox bring a program of the same name, so of BusyBox only the program itself. Debian has no metalog.
daemons="rsyslog syslog-ng-core inetutils-syslogd busybox socklog-run systemd dash coreutils"
suites="bookworm trixie"

for suite in $suites; do
    into=$place/$suite
    [ ! -e "$into/.complete" ] || continue
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    : >"$work/status"
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" >"$work/sources.list"
    # With an empty list of installed packages, apt fetches all that a package needs, libc included.
    apt() {
        apt-get -q -y --no-install-recommends -o Dir::Etc::sourcelist="$work/sources.list" \
            -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
            -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
    }
    apt update
    rm -rf "$into"
    mkdir -p "$into/usr"
    # dpkg-deb makes directories where a system has these links, so they are made afterwards.
    for daemon in $daemons; do
        apt install --download-only "$daemon"
    done
    for each in "$work/cache/archives"/*.deb; do dpkg-deb -x "$each" "$work/root"; done
    cp -a "$work/root/." "$into/"
    for each in bin sbin lib lib64; do
        if [ -d "$into/$each" ] && [ ! -L "$into/$each" ]; then
            mkdir -p "$into/usr/$each"
            cp -a "$into/$each/." "$into/usr/$each/"
            rm -rf "${into:?}/$each"
        fi
        ln -sfn "usr/$each" "$into/$each"
    done
    ln -sf dash "$into/usr/bin/sh" # which is made when the package is configured
    # What was unpacked, in one line a package: name and version.
    for each in "$work/cache/archives"/*.deb; do
        # shellcheck disable=SC2016  # fields of dpkg-deb, not of the shell
        dpkg-deb -W --showformat='${Package} ${Version}\n' "$each"
    done >"$into/.complete"
    rm -rf "$work"
    trap - EXIT
done
