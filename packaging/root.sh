#!/bin/sh
# Sourced by test-deb.sh, test-fresh.sh and test-debian-python.sh: how they make a Debian root and enter it.

# make_root SUITE DIRECTORY LOG: by debootstrap, with nothing but what Debian itself needs; a daemon is never started.
make_root() {
    command -v debootstrap >/dev/null || apt-get install -y -q debootstrap >/dev/null ||
        { echo "debootstrap is needed: install it and try again" >&2; exit 1; }
    debootstrap --variant=minbase "$1" "$2" >"$3" || { tail -n 20 "$3" >&2; exit 1; }
    cp /etc/resolv.conf "$2/etc/"
    printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
    chmod 755 "$2/usr/sbin/policy-rc.d"
}

# fresh_root SUITE DIRECTORY LOG: with git, make and Debian's own Python besides, as somebody has who has just installed
# it; kept as target/fresh-SUITE.tar, so a second run makes none. It has this machine's way to the network.
fresh_root() {
    keep=$PWD/target/fresh-$1.tar
    mkdir "$2"
    if [ -e "$keep" ]; then
        tar -C "$2" -xf "$keep"
    else
        make_root "$1" "$2" "$3"
        chroot "$2" sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends ca-certificates git make python3 && apt-get clean' \
            >"$3" 2>&1 || { tail -n 20 "$3" >&2; exit 1; }
        tar -C "$2" -cf "$keep.new" .
        mv "$keep.new" "$keep"
    fi
    for each in resolv.conf pip.conf ssl/certs/ca-certificates.crt; do
        [ ! -e "/etc/$each" ] || cp "/etc/$each" "$2/etc/$each"
    done
}

# What of this machine's environment names its way to the network.
network_settings() {
    env | grep -E '^(PIP_(CERT|DEFAULT_TIMEOUT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST)|CARGO_(HTTP|NET)_[A-Z_]*|SSL_CERT_FILE|[a-zA-Z]+_(proxy|PROXY))=' ||
        true
}

# enter SECONDS "UNSHARE OPTIONS" DIRECTORY COMMAND...: runs it there for so long at most, in namespaces of its own. What
# BEHIND names is to be seen there as /opt/behind, and cannot be changed.
# shellcheck disable=SC2016,SC2086  # expanded inside; a list of words
enter() {
    limit=$1 options=$2
    shift 2
    BEHIND=${BEHIND:-} timeout --kill-after=5 "$limit" \
        unshare --mount --pid --fork --ipc --uts --cgroup --kill-child $options sh -euc '
        mount --make-rprivate /
        mount --bind "$1" "$1"
        if [ -n "$BEHIND" ]; then
            mkdir -p "$1/opt/behind"
            mount --bind "$BEHIND" "$1/opt/behind"
            mount -o remount,bind,ro "$1/opt/behind"
        fi
        cd "$1"
        mount -t proc proc proc
        mount -t sysfs sysfs sys
        mount -t cgroup2 cgroup2 sys/fs/cgroup
        mount -t tmpfs -o mode=755 tmpfs dev
        for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
        mkdir dev/shm dev/pts
        mount -t tmpfs -o mode=1777 tmpfs dev/shm
        mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
        ln -s pts/ptmx dev/ptmx
        ln -s /proc/self/fd dev/fd
        mount -t tmpfs -o mode=755 tmpfs run
        mount -t tmpfs -o mode=1777 tmpfs tmp
        mkdir -p old
        pivot_root . old
        umount -l /old
        ip link set lo up 2>/dev/null || true
        shift
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' enter "$@"
}

# begin TARGET: what make TARGET begins with: a fresh root of SUITE (bookworm by default) at $root, below $place, which
# goes with the script, with a clone of this repository in /root/pbs-fast, where no other account comes: some tests
# change to one.
begin() {
    target=$1
    suite=${SUITE:-bookworm}
    [ "$(id -u)" = 0 ] || { echo "make $target: must run as root" >&2; exit 1; }
    mkdir -p target
    place=$(mktemp -d "$PWD/target/$target.XXXXXX")
    trap 'rm -rf "$place"' EXIT
    trap 'exit 1' HUP INT TERM
    root=$place/root
    began=$(date +%s)
    fresh_root "$suite" "$root" "$place/log"
    said "the root is there: $(chroot "$root" python3 --version)"
    git clone --quiet --no-hardlinks . "$root/root/pbs-fast"
    network_settings >"$place/env"
}

# said TEXT: that, and the seconds since it was called before.
said() {
    echo "$target: $suite: $* ($(($(date +%s) - began)) s)"
    began=$(date +%s)
}

# inside SECONDS [NAME=VALUE...] COMMAND...: runs it in the root of `begin`, as root, with this machine's way to the network.
inside() {
    seconds=$1
    shift
    while IFS= read -r each; do set -- "$each" "$@"; done <"$place/env"
    enter "$seconds" "" "$root" HOME=/root LC_ALL=C.UTF-8 "WORKERS=${WORKERS:-2}" "$@"
}
