#!/bin/sh
# Boots this system's own systemd as process 1 of a private machine: all namespaces but the network's, the root file
# system under an overlay in memory, so nothing outside changes. To be run by:
#
#   unshare --mount --pid --fork --cgroup --ipc --uts sh boot.sh PLACE OUT PACKAGING PYTHON PACKAGE SITE SCRIPT
#
# PLACE: an empty directory; OUT: is /out inside; PYTHON: prefix of the interpreter; PACKAGE: the directory that holds
# pbs_fast; SITE: its libraries; SCRIPT: what a service of the machine does, ending it with `kill -s RTMIN+13 1`.
# With $NEWER in the environment, the files below that directory lie over this system's: another systemd, unpacked.
set -eu
place=$1 out=$2 packaging=$3 python=$4 package=$5 site=$6 script=$7

mount --make-rprivate /
mount -t tmpfs tmpfs "$place"
cd "$place"
mkdir upper work root
# A copy, because two layers of an overlay may not lie one in the other.
[ -z "${NEWER:-}" ] || cp -a "$NEWER" newer
mount -t overlay overlay -o lowerdir="${NEWER:+newer:}/",upperdir=upper,workdir=work root
cd root
bind() {
    mkdir -p ".$2"
    mount --bind "$1" ".$2"
}
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 tmpfs run
bind "$out" /out
bind "$packaging" /opt/packaging
bind "$python" /opt/python
bind "$package" /opt/package
bind "$site" /opt/site
# After the binds, whose sources may lie in /tmp.
mount -t tmpfs -o mode=1777 tmpfs tmp

cat >usr/local/bin/pbs-fast <<'PROGRAM'
#!/opt/python/bin/python3
import sys
sys.path[:0] = ["/opt/package", "/opt/site"]
from pbs_fast.cli import main
sys.exit(main())
PROGRAM
chmod 755 usr/local/bin/pbs-fast
cp "$script" script
cp opt/packaging/systemd/pbs-fast*.* etc/systemd/system/
systemd-sysusers --root="$PWD" "$PWD/opt/packaging/sysusers.d/pbs-fast.conf"
cp opt/packaging/tmpfiles.d/pbs-fast.conf etc/tmpfiles.d/
mkdir -p etc/pbs-fast
cp opt/packaging/etc/pbs-fast.toml etc/pbs-fast/
[ -s etc/machine-id ] || echo 0123456789abcdef0123456789abcdef >etc/machine-id
cat >etc/systemd/system/test.service <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket
After=systemd-journald.socket
[Service]
Type=oneshot
ExecStart=/bin/bash /script
StandardOutput=append:/out/said
StandardError=append:/out/said
UNIT
printf '[Unit]\nRequires=test.service\n' >etc/systemd/system/test.target
mkdir old
pivot_root . old
umount -l /old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=test.target \
    --log-target=journal --show-status=0
