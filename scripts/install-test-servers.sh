#!/bin/sh
# Installs the real servers that the tests play against (Debian, Ubuntu): Postfix with lmdb and cdb, Dovecot with IMAP and
# POP3, the tools of systemd and logrotate, loggers of supervisors (s6, runit, daemontools, socklog), and the headers that
# the `berkeleydb` module is built with. Beside them lie
# further POP and IMAP servers: Courier, Cyrus, Mailutils (with inetd and tcpd), Perdition, popa3d, solid-pop3d, imapproxy and
# the mail proxy of nginx. Prometheus scrapes our metrics; its promtool checks them. Redis and
# Valkey are hubs over which nodes share grants. Chromium shows the page of `pbs-fast report`.
#
# The tests run private instances from directories of their own, so no daemon of the packages may start here: a
# policy-rc.d that answers 101 ("action forbidden by policy") stands while apt works, and one that was there before
# comes back afterwards. Running it again is quick and changes nothing.
#
# Exim, Sendmail and Courier conflict with Postfix as packages, the two builds of ucspi-tcp and the POP and IMAP servers
# with each other, so they are never installed: each is unpacked into a directory of its own, with the libraries it needs
# installed. One that this Debian no longer has, or whose sources are gone from the archive for now, is left out and said:
# its tests are skipped with a reason. For Exim the account is made that Debian's build looks for; a second one, with LMDB look-ups, is built from the same sources by
# build-test-exim.sh. The logging daemons are unpacked by unpack-log-daemons.sh.
#
# With `pop-imap` only what tests/servers plays against: Dovecot and $mail_servers (packaging/test-servers.sh).
set -eu

packages="postfix postfix-cdb postfix-lmdb dovecot-imapd dovecot-pop3d libdb-dev systemd systemd-journal-remote logrotate"
packages="$packages s6 runit daemontools socklog"
packages="$packages ripgrep prometheus redis-server openssl gcc make xz-utils liblmdb-dev libpcre2-dev m4 iproute2 nftables man-db groff-base perl chromium"
place=/opt/pbs-fast-tests
exim=$place/exim
exim_lmdb=$place/exim-lmdb/exim
beside="exim, sendmail, courier, ucspi-tcp, ucspi-tcp-ipv6"
mail_servers="courier-imap cyrus mailutils perdition popa3d solid-pop3d imapproxy nginx"
# What they log is tested with Debian's builds; elsewhere some do not exist, or are of other versions.
grep -q '^ID=debian$' /etc/os-release || mail_servers=""
only=${1:-all}
case $only in
all) ;;
pop-imap)
    packages="dovecot-imapd dovecot-pop3d iproute2 nftables openssl procps"
    beside="no MTA"
    ;;
*) echo "install-test-servers: knows only pop-imap, not $only" >&2; exit 2 ;;
esac
here=$(dirname "$0")
policy=/usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive

installed() {
    for package in $packages; do
        status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || return 1
        [ "$status" = "install ok installed" ] || return 1
    done
    for each in $mail_servers; do
        [ -e "$place/$each/.complete" ] || return 1
    done
    [ "$only" = all ] || return 0
    [ -x "$exim/usr/sbin/exim4" ] && [ -x "$exim_lmdb" ] && getent passwd Debian-exim >/dev/null || return 1
    [ -x "$place/sendmail/usr/libexec/sendmail/sendmail" ] && [ -x "$place/courier/usr/bin/makedat" ] || return 1
    [ -x "$place/ucspi-tcp/usr/bin/tcpserver" ] && [ -x "$place/ucspi-tcp-ipv6/usr/bin/tcpserver" ] || return 1
}

# The packages of one of $mail_servers.
packages_of() {
    case $1 in
    courier-imap) echo courier-imap courier-pop courier-base courier-authlib courier-authdaemon courier-authlib-userdb ;;
    cyrus) echo cyrus-imapd cyrus-pop3d cyrus-common sasl2-bin ;;
    mailutils) echo mailutils-pop3d mailutils-imap4d mailutils-common openbsd-inetd tcpd ;;
    nginx) echo nginx nginx-common libnginx-mod-mail ;;
    *) echo "$1" ;;
    esac
}

# unpack NAME PACKAGE...: the files of these packages below $place/NAME. Fails where one of them cannot be fetched.
unpack() {
    into=$place/$1
    shift
    libraries=$(apt-cache depends "$@" | awk '$1 ~ /^[|]?Depends:$/ && $2 ~ /^lib/ { print $2 }' | sort -u) || return 1
    # shellcheck disable=SC2086  # a list of words
    apt-get install -q -y --no-install-recommends $libraries || return 1
    fetched=$(mktemp -d)
    if (cd "$fetched" && apt-get download -q "$@"); then
        mkdir -p "$into"
        for each in "$fetched"/*.deb; do dpkg-deb -x "$each" "$into" || return 1; done
        rm -rf "$fetched"
    else
        rm -rf "$fetched"
        return 1
    fi
}

left_out=""
without() { left_out="$left_out $1"; }

more() {
    [ "$only" = all ] || return 0
    "$here/unpack-backports.sh"
    [ -z "$mail_servers" ] || "$here/unpack-log-daemons.sh"
}

if installed; then
    more
    echo "install-test-servers: $packages, $beside, $mail_servers: all there"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "install-test-servers: needs apt-get; elsewhere install by hand: $packages" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "install-test-servers: must run as root (no sudo here)" >&2; exit 1; }
    exec sudo "$0" "$@"
fi

restore() {
    rm -f "$policy"
    if [ -e "$policy.pbs-saved" ] || [ -L "$policy.pbs-saved" ]; then
        mv -f "$policy.pbs-saved" "$policy"
    fi
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
    mv -f "$policy" "$policy.pbs-saved"
fi
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 0755 "$policy"

debconf-set-selections <<'ANSWERS'
postfix postfix/main_mailer_type select Local only
postfix postfix/mailname string localhost.localdomain
ANSWERS
apt-get update -q
# shellcheck disable=SC2086  # a list of words
apt-get install -q -y --no-install-recommends $packages

if [ "$only" = all ]; then
    [ -x "$exim/usr/sbin/exim4" ] || unpack exim exim4-daemon-light || without exim
    getent passwd Debian-exim >/dev/null ||
        useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin Debian-exim
    [ -x "$exim_lmdb" ] || "$here/build-test-exim.sh" || without exim-lmdb
    [ -x "$place/sendmail/usr/libexec/sendmail/sendmail" ] ||
        unpack sendmail sendmail-bin sendmail-base sendmail-cf || without sendmail
    [ -x "$place/courier/usr/bin/makedat" ] || {
        # The link is what installing the package makes.
        unpack courier courier-mta courier-base courier-authlib &&
            ln -sf makedat.courier "$place/courier/usr/bin/makedat"
    } || without courier
    for each in ucspi-tcp ucspi-tcp-ipv6; do
        [ -x "$place/$each/usr/bin/tcpserver" ] || unpack "$each" "$each" || without "$each"
    done
fi
for server in $mail_servers; do
    [ ! -e "$place/$server/.complete" ] || continue
    # shellcheck disable=SC2046  # a list of words
    if unpack "$server" $(packages_of "$server"); then
        [ "$server" != courier-imap ] || ln -sf makedat.courier "$place/$server/usr/bin/makedat"
        touch "$place/$server/.complete"
    else
        without "$server"
    fi
done
more

# With `policy-rc.d` nothing was started now; units that are enabled would start at the next boot.
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
    systemctl disable --now postfix dovecot prometheus redis-server 2>/dev/null || true
fi
echo "install-test-servers: installed $packages, unpacked $beside, $mail_servers; no daemon was started"
if [ -n "$left_out" ]; then
    echo "install-test-servers: could not get, so tests that need them are skipped:$left_out" >&2
elif ! installed; then
    echo "install-test-servers: apt-get finished but not all of it is there" >&2
    exit 1
fi
