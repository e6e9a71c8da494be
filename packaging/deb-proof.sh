#!/bin/bash
# deb-proof.sh systemd|plain: run by test-deb.sh inside a fresh Debian root. Installs, uses, upgrades, removes and purges
# the package; each thing that holds is an `ok:` line, the last line is `proved`. The first that does not ends it.
set -euo pipefail
way=$1
client=198.51.100.77
export DEBIAN_FRONTEND=noninteractive

# shellcheck source=packaging/proof.sh
. "$(dirname "$0")/proof.sh"
# As the mail server's own unit: the journal source accepts no other. logger must live until journald has looked at its
# process, or journald does not learn the unit; it ends with its standard input.
to_journal() {
    printf '[Service]\nType=oneshot\nExecStart=/bin/sh -c "(echo %s; sleep 2; journalctl --sync) | logger -t dovecot"\n' "'$(line "$1")'" \
        >/run/systemd/system/dovecot.service
    systemctl daemon-reload
    systemctl start dovecot
}
in_table() { [ "$(postmap -q "$1" hash:/var/lib/pbs-fast/relay)" = ok ]; }
rcpt() { # rcpt ADDRESS: what Postfix answers a client of that address that wants to relay
    "$interpreter" - "$1" <<'PYTHON'
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, timeout=30) as smtp:
    smtp.ehlo("client.example")
    smtp.docmd(f"XCLIENT ADDR={sys.argv[1]} NAME=client.example")
    smtp.ehlo("client.example")
    smtp.mail("a@example.org")
    print(smtp.rcpt("b@example.net")[0])
PYTHON
}
# Whatever the maintainer's scripts leave must be seen; caches and dpkg's own books are its affair.
everything() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /out -o -path /packages \
        -o -path /var/lib/dpkg -o -path /var/log/journal -o -path /var/spool/postfix -o -path /var/lib/postfix \
        -o -path '*/__pycache__' \) -prune -o -print | sort
}

# Postfix as the package's README.Debian says; XCLIENT lets the test stand elsewhere on the Internet.
postconf -e 'inet_interfaces = loopback-only' 'inet_protocols = ipv4' 'mynetworks = 127.0.0.0/8' 'mydestination =' \
    'smtpd_authorized_xclient_hosts = 127.0.0.1' 'default_database_type = hash' \
    'default_transport = smtp' 'relay_transport = smtp' \
    'smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, permit_auth_destination, check_client_access hash:/var/lib/pbs-fast/relay, reject_unauth_destination'
# As at a boot: the files that systemd's first one makes are no package's. It empties /tmp, too.
[ "$way" = plain ] || systemctl start sysinit.target
everything >/out/before

if [ "$way" = plain ]; then
    # An admin who has a mail log and no systemd; without a runlevel invoke-rc.d starts nothing.
    rm -f /sbin/runlevel
    printf '#!/bin/sh\necho N 2\n' >/sbin/runlevel
    chmod 755 /sbin/runlevel
    install -m 0640 -g adm /dev/null /var/log/mail.log
    login=to_file
    runs() { /etc/init.d/pbs-fast status; }
    logs=adm
else
    # As at a boot: the journal goes to the disk before services start.
    systemctl start systemd-journald.service systemd-journal-flush.service
    login=to_journal
    runs() { systemctl is-active --quiet pbs-fast.service; }
    # LogsDirectory= gives the directory to the unit's own group.
    logs=pbs-fast
fi

# As the old program's package leaves it.
mkdir /var/lib/pop-before-smtp
echo "a row" >/var/lib/pop-before-smtp/hosts.db
begun=$(date +%s%N)
dpkg -i /packages/first.deb 2>/out/said || { cat /out/said >&2; fail "it does not install"; }
ok "installs ($((($(date +%s%N) - begun) / 1000000)) ms, $(dpkg-query -W -f '${Installed-Size}' pbs-fast) KiB)"
holds "the old program's table is named" grep -q 'pbs-fast clear hash:/var/lib/pop-before-smtp/hosts' /out/said
rm -r /var/lib/pop-before-smtp
holds "the daemon runs after the installation" soon runs
holds "the account is there, without a shell" grep -q '^pbs-fast:.*:/var/lib/pbs-fast:.*nologin$' /etc/passwd
holds "the directories are as they should be" is "$(stat -c '%a %U %G' /var/lib/pbs-fast /var/log/pbs-fast | tr '\n' ' ')" \
    "755 pbs-fast pbs-fast 750 pbs-fast $logs "
holds "it runs as its account" is "$(ps -o user= -C pbs-fast | sort -u)" pbs-fast
holds "nothing but its configuration is in /etc" is "$(cd /etc/pbs-fast && echo *)" "deny.toml pbs-fast.toml"
for document in README.md SECURITY.md docs/OPERATION.md docs/MTA-POSTFIX.md docs/MIGRATION.md examples/blocking.toml; do
    holds "$document is there" test -s "/usr/share/doc/pbs-fast/$document"
done
complete() { # complete WORD: what bash offers behind `pbs-fast WORD`
    bash -c 'source /usr/share/bash-completion/completions/pbs-fast; COMP_WORDS=(pbs-fast "$0"); COMP_CWORD=1
        _pbs_fast_completion pbs-fast; echo "${COMPREPLY[@]}"' "$1"
}
told=$(pbs-fast bench --plot=/tmp/x.svg /dev/null 2>&1 || true)
holds "a missing library is nothing for pip: [$told]" not grep -q pip <<<"$told"
holds "bash completes commands" is "$(complete stat)" status
holds "zsh takes its file for a completion" is "$(head -n 1 /usr/share/zsh/vendor-completions/_pbs-fast)" "#compdef pbs-fast"
holds "fish has one" grep -q pbs-fast /usr/share/fish/vendor_completions.d/pbs-fast.fish
python=/usr/lib/pbs-fast/bin/python3
# The one that it needs stays when it is removed.
interpreter=$(readlink -f "$python")
holds "the program works, in Rust, with hash:" runuser -u pbs-fast -- "$python" -I /packages/installed.py /usr/bin/pbs-fast --core=rust --bdb
for page in $(dpkg -L pbs-fast | grep '^/usr/share/man/.*gz$' || true); do
    holds "man page $(basename "$page")" test -s "$page"
done

postfix start
holds "before a login Postfix refuses to relay" is "$(rcpt $client)" 554
$login $client
holds "a login opens the table" soon in_table $client
holds "and Postfix relays" is "$(rcpt $client)" 250
holds "and for nobody else" is "$(rcpt 198.51.100.78)" 554
if [ "$way" = systemd ]; then
    complaints=$(systemd-analyze verify --man=no pbs-fast.service pbs-fast-reap.service pbs-fast-reap.timer 2>&1 |
        grep pbs-fast || true)
    holds "systemd has nothing to say about the units: [$complaints]" test -z "$complaints"
    kind=notify
    [ "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')" -lt 254 ] || kind=notify-reload
    holds "its type is what this systemd knows" is "$(systemctl show -P Type pbs-fast)" $kind
    holds "the reaper's timer runs" systemctl is-active --quiet pbs-fast-reap.timer
    holds "and finds a daemon" systemctl start pbs-fast-reap.service
    holds "it is enabled" systemctl is-enabled --quiet pbs-fast.service pbs-fast-reap.timer
    holds "it reloads" systemctl reload pbs-fast
    # It is sent each two seconds.
    holds "the status tells the number of addresses" \
        soon sh -c 'systemctl show -P StatusText pbs-fast | grep -q "^1 "'
    install -m 0640 -g adm /dev/null /var/log/mail.log
    login=to_file
    for _ in $(seq 25); do systemctl restart pbs-fast || fail "it is not restarted any more"; done
    ok "restarts by an administrator are not counted"
fi

echo 'grace = 1700' >>/out/head && cat /etc/pbs-fast/pbs-fast.toml >>/out/head && cp /out/head /etc/pbs-fast/pbs-fast.toml
$login 198.51.100.80
holds "with a mail log there, it follows that" soon in_table 198.51.100.80
first=$(pgrep -o -u pbs-fast pbs-fast)
dpkg -i --force-confold /packages/next.deb
ok "upgrades"
holds "the daemon runs after the upgrade" soon runs
holds "it is another process" not is "$(pgrep -o -u pbs-fast pbs-fast)" "$first"
holds "the row was not lost" in_table 198.51.100.80
holds "the admin's configuration was kept" grep -qx 'grace = 1700' /etc/pbs-fast/pbs-fast.toml
$login 198.51.100.81
holds "logins are seen again" soon in_table 198.51.100.81

dpkg -r pbs-fast
ok "is removed"
holds "no process is left" not pgrep -u pbs-fast
holds "the table is empty, so Postfix refuses and does not defer" is "$(rcpt 198.51.100.81)" 554
holds "the program is gone" not test -e /usr/lib/pbs-fast -o -e /usr/bin/pbs-fast
holds "the configuration stays" test -e /etc/pbs-fast/pbs-fast.toml
dpkg -i /packages/next.deb
holds "it comes back with its configuration" soon runs
postconf -X smtpd_relay_restrictions
dpkg -P pbs-fast
postfix stop || true
everything >/out/after
# What stays: the account (its number must not go to another), and the old versions of these files.
test -s /out/before
left=$(diff /out/before /out/after | grep '^[<>]' |
    grep -v -e ' /etc/passwd-$' -e ' /etc/group-$' -e ' /etc/shadow-$' -e ' /etc/gshadow-$' -e ' /var/log/mail.log$' \
        -e ' /var/lib/systemd/' -e ' /etc/.pwd.lock$' -e ' /var/lib/systemd$' || true)
holds "purged, nothing of it is left: [$left]" test -z "$left"
echo proved
