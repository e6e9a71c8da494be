#!/bin/sh
# Builds the Exim of this distribution's sources with LMDB look-ups, for the tests: Debian's and Ubuntu's packages are
# built without. Called as root by install-test-servers.sh, which has installed the compiler's needs. Takes 20 seconds.
#
# The sources come through apt from the mirrors that are configured, by lists of its own, so that /etc/apt stays as it is.
set -eu

place=/opt/pbs-fast-tests/exim-lmdb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 0755 "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts" "$work/source"

for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$list" ] && sed -n 's/^deb /deb-src /p' "$list" >"$work/parts/$(basename "$list" .list).list"
done
for list in /etc/apt/sources.list.d/*.sources; do
    [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/parts/$(basename "$list")"
done
ours() {
    tool=$1
    shift
    "$tool" -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
ours apt-get update || true # a mirror of something else may have no sources
versions=$(ours apt-cache showsrc --only-source exim4 | sed -n 's/^Version: //p' | sort -Vru)
[ -n "$versions" ] || { echo "build-test-exim: apt knows of no source package exim4" >&2; exit 1; }
cd "$work/source"
# A mirror's lists may name a source whose files it does not have (the security archive's own do, for a while after a new
# version). Any version will do: what is wanted of it is that it reads LMDB.
taken=""
for version in $versions; do
    if ours apt-get source --download-only "exim4=$version"; then
        taken=$version
        break
    fi
    rm -rf "$work/source/"*
done
known=$(echo "$versions" | paste -sd' ')
[ -n "$taken" ] || { echo "build-test-exim: could fetch none of the sources of exim4 that apt knows of: $known" >&2; exit 1; }
echo "build-test-exim: building exim4 $taken (apt knows of $known)"
mkdir exim
tar -xJf exim4_*.orig.tar.xz -C exim --strip-components=1
cd exim

mkdir -p Local
cat >Local/Makefile <<LOCAL
BIN_DIRECTORY=$place
CONFIGURE_FILE=$place/configure
SPOOL_DIRECTORY=$place/spool
EXIM_USER=ref:Debian-exim
FIXED_NEVER_USERS=root
LOG_FILE_PATH=syslog
SYSTEM_ALIASES_FILE=/etc/aliases
HAVE_IPV6=yes
ROUTER_ACCEPT=yes
TRANSPORT_APPENDFILE=yes
LOOKUP_LSEARCH=yes
LOOKUP_LMDB=yes
LOOKUP_LIBS=-llmdb
PCRE2_CONFIG=yes
USE_DB=yes
DBMLIB=-ldb
DISABLE_TLS=yes
DISABLE_DKIM=yes
EXICYCLOG_MAX=10
COMPRESS_COMMAND=/bin/gzip
COMPRESS_SUFFIX=gz
ZCAT_COMMAND=/bin/zcat
CHOWN_COMMAND=/bin/chown
CHGRP_COMMAND=/bin/chgrp
CHMOD_COMMAND=/bin/chmod
MV_COMMAND=/bin/mv
RM_COMMAND=/bin/rm
TOUCH_COMMAND=/usr/bin/touch
PERL_COMMAND=/usr/bin/perl
LOCAL
make -j2 >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
install -D -m 0755 build-*/exim "$place/exim"
