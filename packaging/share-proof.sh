#!/bin/bash
# share-proof.sh: run by test-deb.sh inside a fresh Debian root that systemd has booted. Does docs/SHARING.md of the package by
# the book, block by block, on one machine that has the addresses of the guide's two hubs: hubs as the distribution runs
# them, the node `pop1` as our unit with the guide's drop-in, `smtp1` by hand. Each thing that holds is an `ok:` line,
# the last line is `proved`.
set -euo pipefail
way=share
export DEBIAN_FRONTEND=noninteractive
# shellcheck source=packaging/proof.sh
. "$(dirname "$0")/proof.sh"

trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
hub=redis
[ -x /usr/bin/redis-server ] || hub=valkey
guide=/usr/share/doc/pbs-fast/docs/SHARING.md
etc=/etc/pbs-fast
drop_in=/etc/systemd/system/pbs-fast.service.d/override.conf
one=valkeys://pop1@10.0.0.11:6380
two=valkeys://pop1@10.0.0.12:6380

block() { # block NAME: what the guide's block of this mark says
    awk -v mark="<!-- test: $1 -->" '$0 == mark { on = 1; next } on && /^```/ { if (on++ == 2) exit; next } on == 2' "$guide" |
        sed "s/redis/$hub/g"
}
run() { # run NAME [SED]: that block of commands, changed
    block "$1" | sed "${2:-}" >/run/block
    test -s /run/block || fail "the guide has no block $1"
    (cd /root && sh -eu /run/block) || fail "the block $1: $(cat /run/block)"
}
state() { # state URL: what status says of a hub
    pbs-fast status --json >/run/status || true
    "$interpreter" - "$1" <<'PYTHON'
import json, sys
for hub in json.load(open("/run/status"))["hubs"]:
    if hub["url"] == sys.argv[1]:
        print(hub["state"], hub["reason"])
PYTHON
}
says() { # says URL WORDS: it does so within a minute
    local end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do
        [[ "$(state "$1" 2>/dev/null)" != *"$2"* ]] || return 0
        sleep 0.2
    done
    echo "$1: $(state "$1")"
    return 1
}
up() { says "$1" "up None"; }
set_hubs() { # set_hubs URL...: pop1 shares over these
    local urls
    urls=$(printf '"%s", ' "$@")
    sed -i "s|^hubs = .*|hubs = [${urls%, }]|" $etc/pbs-fast.toml
}
in_mirror() { pbs-fast list --dbfile=lmdb:/run/smtp1/relay 2>/dev/null | grep -qw "$1"; }

for each in 10.0.0.11 10.0.0.12; do ip address add $each/32 dev lo; done
systemctl start sysinit.target systemd-journald.service systemd-journal-flush.service
dpkg -i /packages/first.deb >/out/said 2>&1 || { cat /out/said >&2; fail "it does not install"; }
interpreter=$(readlink -f /usr/lib/pbs-fast/bin/python3)
install -m 0640 -g adm /dev/null /var/log/mail.log

# The hubs. The second one is another instance of the distribution's unit, with files of its own.
cp -a /etc/$hub /etc/${hub}2
run authority
for number in 1 2; do
    place=/etc/$hub${number#1}
    run certificate "s/10\.0\.0\.11/10.0.0.1$number/"
    { block users; } >/root/users.acl
    run "hub files" "s|/etc/$hub/|$place/|"
    block hub | sed "s/10\.0\.0\.11/10.0.0.1$number/; s|/etc/$hub/|$place/|" >>"$place/$hub.conf"
done
sed -i "s|^pidfile .*|pidfile /run/second/pid|; s|^logfile .*|logfile \"\"|" /etc/${hub}2/$hub.conf
printf '\nunixsocket /run/second/hub.sock\nunixsocketperm 777\n' >>/etc/${hub}2/$hub.conf
sed "s|/etc/$hub|/etc/${hub}2|g; /^Alias=/d; /^PIDFile=/d; /^RuntimeDirectoryMode=/d; s/^RuntimeDirectory=.*/RuntimeDirectory=second/" \
    /lib/systemd/system/$hub-server.service >/etc/systemd/system/second.service
systemctl daemon-reload
systemctl start $hub-server second || { journalctl --no-pager -n 30 -u $hub-server -u second; fail "the hubs do not start"; }
ok "two hubs run as $hub-server of the distribution and as the guide configures them: $($hub-server --version | cut -d' ' -f1-3)"

# A node, step by step, and what it says while steps are missing.
run secrets
block pop1 | grep -v '^\[share\]$' >/run/keys
sed -i '/^\[share\]$/r /run/keys' $etc/pbs-fast.toml
systemctl restart pbs-fast 2>/dev/null && fail "it starts without its secret"
holds "without the credentials it does not start, and says why" \
    grep -q "share.secret: Permission denied; make its owner the daemon's account" <(journalctl -u pbs-fast -o cat)
mkdir -p ${drop_in%/*}
block unit | grep -v '^IPAddressAllow=' >$drop_in
systemctl daemon-reload
systemctl restart pbs-fast
holds "without IPAddressAllow= the sandbox keeps the hubs away, and status says what is missing" \
    says $one "the sandbox of our unit; systemctl edit pbs-fast: [Service] and IPAddressAllow=10.0.0.11"
pbs-fast doctor >/out/doctor || true
holds "and doctor" grep -q "IPAddressDeny keeps us from the hub 10.0.0.11:6380" <(tr -s ' \n' ' ' </out/doctor)
block unit >$drop_in
systemctl daemon-reload
systemctl restart pbs-fast
holds "with the guide's drop-in hub 1 is reached by TLS, with the secret and the password as credentials" up $one
holds "and hub 2" up $two
holds "the account of the daemon cannot read the files of the secrets" \
    not runuser -u pbs-fast -- cat $etc/share.secret $etc/hub.password
pbs-fast doctor >/out/doctor || true
for url in $one $two; do
    holds "doctor finds $url in order" grep -q "$url serves this node, and lets it write its own stream only" <(tr -s ' \n' ' ' </out/doctor)
done

# Another node, by hand, which only receives.
mkdir /etc/smtp1 /run/smtp1
chmod 0700 /etc/smtp1
cp $etc/share.secret $etc/hub-ca.pem /etc/smtp1/
echo PASSWORD-OF-SMTP1 >/etc/smtp1/hub.password
chmod 0600 /etc/smtp1/*
{
    printf 'control.directory = "/run/smtp1/control"\nstate_directory = "/run/smtp1"\ndbfile = "lmdb:/run/smtp1/relay"\nlogto = "/run/smtp1/log"\n'
    block smtp1 | sed "s|$etc|/etc/smtp1|"
} >/etc/smtp1/pbs-fast.toml
chown -R pbs-fast /etc/smtp1 /run/smtp1
runuser -u pbs-fast -- pbs-fast run --config=/etc/smtp1/pbs-fast.toml >/out/smtp1 2>&1 &
soon grep -q "ready: " /run/smtp1/log || { cat /out/smtp1 /run/smtp1/log; fail "smtp1 does not start"; }
to_file 198.51.100.1
holds "a login at pop1 opens the relay at smtp1" soon in_mirror 198.51.100.1
systemctl stop second
holds "hub 2 is stopped: status says so" says $two "down"
to_file 198.51.100.2
holds "and the other one is enough" soon in_mirror 198.51.100.2
systemctl start second
holds "it is used again when it is back" up $two

# Other ways to a hub.
sed -i "s/^port 0/port 6379/" /etc/${hub}2/$hub.conf
systemctl restart second
set_hubs $one valkey://pop1@10.0.0.12:6379 unix://pop1@/run/second/hub.sock
systemctl restart pbs-fast
holds "a hub without TLS is reached" up valkey://pop1@10.0.0.12:6379
holds "and one by its Unix socket, from within the sandbox" up unix://pop1@/run/second/hub.sock

# What changes while it runs.
sed -i 's/^from = .*/from = ["pop1"]/' $etc/pbs-fast.toml
systemctl reload pbs-fast
holds "a reload takes over share.from" soon sh -c 'pbs-fast status --json | tr -d " \n" | grep -q "\"name\":\"smtp1\",\"trusted\":false"'
holds "and does not end the connections" up $one
for place in /etc/$hub /etc/${hub}2; do sed -i 's/>PASSWORD-OF-POP1 /&>ANOTHER /' "$place/users.acl"; done
sed -i 's/ >PASSWORD-OF-POP1 / /' /etc/$hub/users.acl
systemctl restart $hub-server second
holds "a hub that does not take the old password any more is down" says $one WRONGPASS
echo ANOTHER >$etc/hub.password
systemctl restart pbs-fast
holds "a restart hands over the new password" up $one
holds "which the other hub takes already" up unix://pop1@/run/second/hub.sock
openssl rand -hex 32 >/root/NEW
for round in first second third; do
    run "$round round"
    systemctl restart pbs-fast
    holds "the $round round of a change of the secret: it is up" up $one
done
to_file 198.51.100.3
holds "afterwards smtp1, which has the old one, is not told" soon sh -c 'pbs-fast status --config=/etc/smtp1/pbs-fast.toml --json | tr -d " \n" | grep -q "\"refused\":{[^}]*\"signature\":[1-9]"'
holds "and lets nobody relay by it" not in_mirror 198.51.100.3
echo proved
