#!/bin/bash
# Run by test-docs.sh in a fresh root: the blocks of the pages that are marked `<!-- root: NAME -->`, in the order in which
# an administrator comes to them, and whether each did what its page says. tests/docs/test_blocks.py holds that none is
# left out. `install` has the network, `use` has systemd and a network of its own.
set -euo pipefail
cd /root/pbs-fast
export HOME=/root LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# lines PAGE MARK: the block behind that mark.
lines() {
    awk -v mark="<!-- $2 -->" '$0 == mark {f = 1; next} f == 1 && /^```/ {f = 2; next} f == 2 && /^```$/ {exit} f == 2' "$1"
}

# block PAGE NAME [WRAPPER...]: runs each line of it; its statuses are to be among $allow, and its output is in $output.
allow=0 output=
block() {
    local page=$1 name=$2 line status
    shift 2
    output=
    while IFS= read -r line; do
        status=0
        output+=$("$@" bash -c "$line" 2>&1 </dev/null) || status=$?
        output+=$'\n'
        case " $allow " in
        *" $status "*) ;;
        *) echo "$page, $name: status $status: $line"; echo "$output"; exit 1 ;;
        esac
    done < <(lines "$page" "root: $name")
    [ -n "${line+set}" ] && [ -n "$output" ] || { echo "$page has no block $name"; exit 1; }
    echo "ok: $page: $name"
}

# says TEXT: the block just run printed it.
says() { grep -qF -- "$1" <<<"$output" || { echo "expected: $1; it printed:"; echo "$output"; exit 1; }; }

# soon COMMAND...: within a minute it succeeds.
soon() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not within a minute: $*"; exit 1; }
        sleep 0.1
    done
}

# login ADDRESS: a line of Dovecot's.
login() {
    echo "$(date +%Y-%m-%dT%H:%M:%S.%6N%:z) mx dovecot: imap-login: Login: user=<anna@example.org>, method=PLAIN," \
        "rip=$1, lip=203.0.113.1, mpid=7, TLS, session=<$RANDOM>" >>/var/log/mail.log
}

# from ADDRESS COMMAND...: runs it on the other machine, which has that address.
from() {
    ip -n other route replace 203.0.113.0/24 dev far src "$1"
    shift
    ip netns exec other "$@"
}

install_part() {
    block README.md venv
    pbs-fast version
}

use_part() {
    mount -o remount,rw / 2>/dev/null || true
    ip link set lo up
    ip netns add other
    ip link add near type veth peer name far netns other
    ip addr add 203.0.113.1/24 dev near
    ip link set near up
    for address in 203.0.113.5 203.0.113.9; do ip -n other addr add $address/24 dev far; done
    ip -n other link set far up
    echo '203.0.113.1 mx.example.org' >>/etc/hosts
    postconf -e myhostname=mx.example.org inet_interfaces=all inet_protocols=ipv4 default_transport=smtp \
        relay_transport=smtp maillog_file=/var/log/postfix.log
    install -m 640 -g adm /dev/null /var/log/mail.log
    cp /var/log/mail.log /var/log/dovecot.log

    block README.md account
    bash -c "$(lines README.md 'test: run')" &
    first=$!
    soon test -s /var/lib/pbs-fast/relay.lmdb
    login 203.0.113.5
    soon grep -q 203.0.113.5 <(pbs-fast list)
    owner=$(stat -c %U /var/lib/pbs-fast/relay.lmdb)
    [ "$owner" = pbs-fast ] || { echo "the table of a daemon started by root belongs to $owner"; exit 1; }
    kill $first
    wait $first
    echo "ok: README.md: run"

    while IFS= read -r line; do bash -ec "$line"; done < <(lines README.md 'test: service')
    echo "ok: README.md: service"
    version=$(systemctl --version | awk 'NR == 1 {print $2}')
    needed=$((version >= 254))
    [ $needed = 0 ] || block docs/OPERATION.md systemd
    block README.md table
    block README.md enable
    soon systemctl is-active pbs-fast
    soon systemctl is-active pbs-fast-reap.timer

    # Debian's line is replaced by the README's, and Postfix started as if it had been running.
    postconf -X smtpd_relay_restrictions
    lines README.md 'test: main.cf' >>/etc/postfix/main.cf
    postfix start
    login 203.0.113.5
    soon postmap -q 203.0.113.5 lmdb:/var/lib/pbs-fast/relay
    block README.md reload
    says ok
    allow=24 block README.md "open relay" from 203.0.113.9
    says "Relay access denied"
    block README.md "open relay" from 203.0.113.5
    says "250 2.1.5 Ok"
    allow="0 24" block docs/MTA-POSTFIX.md relay from 203.0.113.9
    says "Relay access denied"
    says "250 2.1.5 Ok"
    allow="0 3" block docs/MTA-POSTFIX.md check
    says "check_client_access lmdb:/var/lib/pbs-fast/relay"
    block docs/MTA-POSTFIX.md overrides
    block docs/MTA-POSTFIX.md queue

    # The journal's trusted fields say which unit wrote an entry, if logger lives until journald has looked at its process.
    systemd-run --quiet --wait --unit=dovecot.service sh -c \
        "(echo 'imap-login: Login: user=<anna>, method=PLAIN, rip=203.0.113.77, lip=203.0.113.1, mpid=9, session=<x>'
          sleep 2; journalctl --sync) | logger -t dovecot"
    block README.md journal
    says "203.0.113.77"

    allow="0 3" block docs/TROUBLESHOOTING.md trouble
    says "203.0.113.5 may relay"
    block docs/CONTROL.md socat
    says 1
    block docs/REPORT.md report
    test -s report.html
    block docs/CAPS.md month
    block docs/CAPS.md thief

    sed -i 's|^#table = .*|table = ["policy:unix:pbs/policy"]|' /etc/pbs-fast/pbs-fast.toml
    block docs/MTA-POSTFIX.md "policy socket"
    socket=/var/spool/postfix/pbs/policy
    soon test -S $socket
    soon bash -c 'pbs-fast status | grep ready'
    [ "$(stat -c '%a %G' $socket)" = "660 postfix" ]
    asked=$(printf 'request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=203.0.113.9\n\n' | socat -t5 - UNIX:$socket)
    [ "$asked" = action=DUNNO ] || { echo "the policy service said: $asked"; exit 1; }
    systemctl disable --now pbs-fast-policy.socket
    sed -i 's|^table = .*|#table = []|' /etc/pbs-fast/pbs-fast.toml
}

# The same machine with Exim in place of Postfix, whose configuration Debian lays out in two ways.
exim_part() {
    postfix stop
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-download exim4-daemon-light >/dev/null 2>&1
    sed -i 's|^dbfile = |#&|' /etc/pbs-fast/pbs-fast.toml
    systemctl restart pbs-fast
    soon test -s /var/lib/pbs-fast/relay.cdb
    echo "ok: docs/OPERATION.md: without Postfix and with Exim the table is cdb:"
    for split in true false; do
        sed -i "s/^dc_use_split_config=.*/dc_use_split_config='$split'/" /etc/exim4/update-exim4.conf.conf
        if [ $split = true ]; then
            main=conf.d/main/02_pbs-fast acl=conf.d/acl/30_exim4-config_check_rcpt
        else
            main=exim4.conf.localmacros acl=exim4.conf.template
        fi
        grep -qF "/etc/exim4/$main" docs/MTA-EXIM.md
        grep -qF "/etc/exim4/$acl" docs/MTA-EXIM.md
        lines docs/MTA-EXIM.md 'test: main cdb' >"/etc/exim4/$main"
        lines docs/MTA-EXIM.md 'test: acl' >/tmp/acl
        # Before the statement whose message that is.
        at=$(grep -n 'message = relay not permitted' "/etc/exim4/$acl" | cut -d: -f1)
        sed -i "$((at - 2))r /tmp/acl" "/etc/exim4/$acl"
        block docs/MTA-EXIM.md debian
        says "Configuration file is /var/lib/exim4/config.autogenerated"
        block docs/MTA-EXIM.md relay
        says "250 Accepted"
        stranger=$(lines docs/MTA-EXIM.md 'root: relay' | sed 's/203.0.113.5/203.0.113.9/' | bash 2>/dev/null)
        grep -q '^550 relay not permitted' <<<"$stranger" || { echo "a stranger got: $stranger"; exit 1; }
        echo "ok: docs/MTA-EXIM.md: Debian's files, dc_use_split_config='$split'"
    done
}

case $1 in
install) install_part ;;
use) use_part && exim_part ;;
esac
echo proved
