#!/bin/sh
# make deb: the Debian package of this checkout, for the Debian that this runs on, into dist/; with SUITE (bookworm or
# trixie; as root) for that one, in a fresh root, from what is committed.
#
# The program goes into a virtual environment of the system's Python at /usr/lib/pbs-fast, made of wheels that are fetched
# and built here with constraints.txt's versions; Debian 12's own typer and rich are too old, and others are missing. So
# this needs the index while it builds, and is no package for Debian's own archive.
set -eu
cd "$(dirname "$0")/.."
if [ -n "${SUITE:-}" ]; then
    . packaging/root.sh
    command -v rustc >/dev/null || { echo "make deb: needs rustc on the PATH: see https://rustup.rs" >&2; exit 1; }
    BEHIND=$(rustc --print sysroot)
    begin deb
    # shellcheck disable=SC2016  # expanded inside
    inside 3600 PATH=/opt/behind/bin:/usr/sbin:/usr/bin:/sbin:/bin "DEBIAN_REVISION=${DEBIAN_REVISION:-}" \
        sh -c 'cd /root/pbs-fast && make deb' || { said "FAILED" >&2; exit 1; }
    mkdir -p dist
    cp "$root"/root/pbs-fast/dist/pbs-fast_*.deb dist/
    said "built"
    exit
fi
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
# The next Debian's package is the newer one of the same version.
# shellcheck source=/dev/null
revision=${DEBIAN_REVISION:-1$(. /etc/os-release && echo "${VERSION_ID:+~${ID%ian}$VERSION_ID}")}
cp -R packaging/debian "$place/build/"
cd "$place/build/debian"
mkdir files.d
mkdir files.d/etc
cp "$top"/packaging/etc/*.toml files.d/etc/
cp "$top/packaging/sysv/pbs-fast" pbs-fast.init
cp "$top/packaging/logrotate/pbs-fast" pbs-fast.logrotate
cp "$top/packaging/sysusers.d/pbs-fast.conf" pbs-fast.sysusers
cp "$top/packaging/tmpfiles.d/pbs-fast.conf" pbs-fast.tmpfiles
for unit in "$top"/packaging/systemd/pbs-fast*.*; do
    name=$(basename "$unit")
    cp "$unit" "pbs-fast.${name#pbs-fast.}"
done
{
    echo "debian/files.d/etc/*.toml etc/pbs-fast"
    # The systemd of this Debian, whether it is installed or not.
    systemd=$(apt-cache show systemd 2>/dev/null | sed -n 's/^Version: //p' | sort -V | tail -n 1)
    if dpkg --compare-versions "${systemd:-0}" ge 254~; then
        cp "$top/packaging/systemd/since-254.conf" files.d/
        echo "debian/files.d/since-254.conf usr/lib/systemd/system/pbs-fast.service.d"
    fi
    # Each shell finds them by these names.
    for shell in bash zsh fish; do
        case $shell in
            bash) file=share/bash-completion/completions/pbs-fast ;;
            zsh) file=share/zsh/vendor-completions/_pbs-fast ;;
            fish) file=share/fish/vendor_completions.d/pbs-fast.fish ;;
        esac
        mkdir -p "files.d/$shell"
        # An empty line before #compdef would hide it.
        env "_PBS_FAST_COMPLETE=source_$shell" "$top/.venv/bin/pbs-fast" | sed '/./,$!d' >"files.d/$shell/${file##*/}"
        [ -s "files.d/$shell/${file##*/}" ] || { echo "make deb: no completion for $shell" >&2; exit 1; }
        echo "debian/files.d/$shell/${file##*/} usr/${file%/*}"
    done
} >pbs-fast.install
# In the tree's own order, so that the links between them hold.
cp "$top/README.md" "$top/SECURITY.md" files.d/
(cd "$top" && find docs -name '*.md' -o -name '*.html' -o -name '*.json') | while IFS= read -r file; do
    mkdir -p "files.d/${file%/*}"
    cp "$top/$file" "files.d/$file"
done
printf 'debian/files.d/%s\n' README.md SECURITY.md docs >pbs-fast.docs
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
