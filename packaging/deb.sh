#!/bin/sh
# make deb: the Debian package of this checkout, for the Debian that this runs on, into dist/.
#
# The program goes into a virtual environment of the system's Python at /usr/lib/pbs-fast, made of wheels that are fetched
# and built here with constraints.txt's versions; Debian 12's own typer and rich are too old, and others are missing. So
# this needs the index while it builds, and is no package for Debian's own archive.
set -eu
cd "$(dirname "$0")/.."
top=$PWD place=$PWD/target/deb

need=
for package in debhelper dpkg-dev fakeroot libdb-dev python3-dev python3-venv; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -qx 'install ok installed' || need="$need $package"
done
if [ -n "$need" ]; then
    [ "$(id -u)" = 0 ] || { echo "make deb: install these packages and try again:$need" >&2; exit 1; }
    # shellcheck disable=SC2086  # a list of words
    { apt-get install -y -q $need || { apt-get update -q && apt-get install -y -q $need; }; } >/dev/null
fi

rm -rf "$place"
mkdir -p "$place/wheels" "$place/build/debian" dist
export PIP_DISABLE_PIP_VERSION_CHECK=1
/usr/bin/python3 -m venv "$place/installer"
.venv/bin/maturin build -q --release --locked --interpreter /usr/bin/python3 --out "$place/wheels"
native=$(ls "$place"/wheels/pbs_fast-*.whl)
# Not from pip's cache: what another Python's headers and libraries made may lie there.
"$place/installer/bin/pip" wheel -q --no-cache-dir --wheel-dir "$place/wheels" --constraint constraints.txt "${native}[bdb,metrics,share]"

version=$(basename "$native" | cut -d- -f2)
revision=${DEBIAN_REVISION:-1}
cp -R packaging/debian "$place/build/"
cd "$place/build/debian"
mkdir files.d
cp "$top"/packaging/etc/*.toml files.d/
cp "$top/packaging/sysv/pbs-fast" pbs-fast.init
cp "$top/packaging/logrotate/pbs-fast" pbs-fast.logrotate
cp "$top/packaging/sysusers.d/pbs-fast.conf" pbs-fast.sysusers
cp "$top/packaging/tmpfiles.d/pbs-fast.conf" pbs-fast.tmpfiles
for unit in "$top"/packaging/systemd/pbs-fast*.*; do
    name=$(basename "$unit")
    cp "$unit" "pbs-fast.${name#pbs-fast.}"
done
{
    echo "debian/files.d/*.toml etc/pbs-fast"
    if dpkg --compare-versions "$(dpkg-query -W -f '${Version}' systemd 2>/dev/null || echo 252)" lt 253~; then
        # What is there knows no notify-reload, and would say so at each start.
        sed -i '/^Type=notify-reload$/d' pbs-fast.service
        cp "$top/packaging/systemd/before-253.conf" files.d/
        echo "debian/files.d/before-253.conf lib/systemd/system/pbs-fast.service.d"
    fi
} >pbs-fast.install
for name in README.md SECURITY.md docs/MTA-*.md docs/FORMATS.md docs/JOURNAL.md docs/MIGRATION.md docs/BLOCKING.md docs/CONTROL.md docs/MONITORING.md docs/SHARING.md; do
    # shellcheck disable=SC2086  # patterns
    cp "$top"/$name files.d/
done
(cd files.d && ls ./*.md) | sed 's|^\./|debian/files.d/|' >pbs-fast.docs
for name in blocking.toml block-nft pbs-fast-alarms.service monitoring/alerts.yml monitoring/dashboard.json; do
    cp "$top/examples/$name" files.d/
    echo "debian/files.d/${name##*/}"
done >pbs-fast.examples
cp "$top/CHANGELOG.md" ..
for page in "$top"/packaging/man/*.[1-9]; do
    [ ! -e "$page" ] || { cp "$page" files.d/ && echo "debian/files.d/$(basename "$page")"; }
done >pbs-fast.manpages
"$top/.venv/bin/python" "$top/packaging/licences.py" debian "$place/wheels" >copyright
when=$(cd "$top" && git log -1 --format=%cD 2>/dev/null) || when=$(date -R)
printf 'pbs-fast (%s-%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$version" "$revision" \
    "$(sed -n 's/^Maintainer: //p' control)" "$when" >changelog

cd "$place/build"
WHEELS="$place/wheels" INSTALLER="$place/installer" dpkg-buildpackage -b -us -uc -d >"$place/log" 2>&1 ||
    { cat "$place/log" >&2; exit 1; }
cp "$place"/pbs-fast_*.deb "$top/dist/"
ls -l "$top"/dist/pbs-fast_"$version"-"$revision"_*.deb
