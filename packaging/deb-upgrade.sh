#!/bin/bash
# deb-upgrade.sh: run by test-deb.sh inside a fresh root of Debian 12, with the network. Upgrades that to Debian 13 under a
# running package of Debian 12, then installs that of Debian 13; no row is lost. Speaks like deb-proof.sh.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

ok() { echo "ok: $*"; }
holds() { # holds SENTENCE COMMAND...
    local sentence=$1
    shift
    "$@" >/dev/null || { echo "FAILED: $sentence: $*"; exit 1; }
    ok "$sentence"
}
soon() { # soon COMMAND...: within a minute
    for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    return 1
}
has_row() { pbs-fast list --dbfile=hash:/var/lib/pbs-fast/relay | grep -qw "$1"; }
login() { # login ADDRESS
    echo "$(date +%Y-%m-%dT%H:%M:%S%:z) hub dovecot: imap-login: Login: user=<ann>, method=PLAIN, rip=$1," \
        "lip=192.0.2.10, mpid=71, TLS, session=<9mVjWnQ7pQDLAHEF>" >>/var/log/mail.log
}
runs() { /etc/init.d/pbs-fast status; }
series() { readlink -f /usr/lib/pbs-fast/bin/python3; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]; }
not() { ! "$@"; }

# No systemd runs here; of all services only ours is to be started, for the ports are this machine's.
printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel
# shellcheck disable=SC2016  # expanded when it runs
printf '#!/bin/sh\n[ "$1" = pbs-fast ] || exit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /sbin/runlevel /usr/sbin/policy-rc.d
install -m 0640 -g adm /dev/null /var/log/mail.log
postconf -e 'default_database_type = hash'
# As where apt itself brings it; for the test it was asked for.
apt-mark auto python3.11

dpkg -i /packages/first.deb
holds "the daemon runs on Debian 12" soon runs
login 198.51.100.77
holds "a login opens the table" soon has_row 198.51.100.77

sed -i 's/bookworm/trixie/g' /etc/apt/sources.list
apt-get update -q
apt-get -y -q full-upgrade
ok "Debian is upgraded: $(cat /etc/debian_version)"
holds "the package is still there" installed pbs-fast
holds "with its Python" test "$(series)" = /usr/bin/python3.11
holds "which works" pbs-fast version
holds "the row is there" has_row 198.51.100.77
/etc/init.d/pbs-fast restart
holds "the daemon starts again" soon runs
login 198.51.100.78
holds "and sees logins" soon has_row 198.51.100.78

apt-get -y -q install /packages/trixie.deb
holds "the next Debian's package is the newer one" test "$(series)" = /usr/bin/python3.13
holds "the daemon runs with it" soon runs
holds "no row was lost" has_row 198.51.100.77
login 198.51.100.79
holds "and logins are seen" soon has_row 198.51.100.79
apt-get -y -q autoremove
holds "the old Python goes" not installed python3.11
/etc/init.d/pbs-fast stop
echo proved
