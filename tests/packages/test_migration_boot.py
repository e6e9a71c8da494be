"""docs/MIGRATION.md step by step on a machine that boots: an old installation with rows in its table, our own unit.

Its two blocks are run as they are there. Afterwards a login is granted, the old rows end, and no table is left alone.
"""

from __future__ import annotations

import shlex
import shutil

import pytest

from mta import unavailable
from mta.guide import blocks
from packages.test_boot import SINCE_254, Machine, boot
from packages.test_units import version

_SCRIPT = r"""
exec 9>>/out/said; BASH_XTRACEFD=9; set -x
until_listed() { for _ in $(seq 600); do pbs-fast list | grep -qw "$1" && return; sleep 0.1; done; }
until_gone() { for _ in $(seq 800); do pbs-fast list | grep -qw "$1" || return; sleep 0.1; done; }
step() { bash -c "$1" >>/out/steps.said 2>&1; echo "$? $1" >>/out/steps; }
rows() { postmap -s "$1" >/out/$2; }

systemctl start systemd-journald.service
# The old installation.
: >/var/log/mail.log; chown root:adm /var/log/mail.log; chmod 0640 /var/log/mail.log
cat >/etc/postfix/main.cf <<'END'
compatibility_level = 3.6
smtpd_relay_restrictions = permit_mynetworks, permit_auth_destination,
    check_client_access hash:/etc/postfix/pop-before-smtp, reject_unauth_destination
END
mkdir -p /etc/pop-before-smtp
cat >/etc/pop-before-smtp/pop-before-smtp.conf <<'END'
use strict;
use vars qw($pat $grace $logto $PID_pat $IP_pat $OK_pat);
$pat = '^[LOGTIME] \S+ dovecot: (?:imap|pop3)-login: Login: user=<[^>]*>, method=\S+, rip=(\d+\.\d+\.\d+\.\d+),';
$grace = 15;
$logto = '/var/log/pop-before-smtp';
if (defined($PID_pat) && defined($IP_pat) && defined($OK_pat)) { eval 'sub custom_match { () }'; }
1;
END
perl -MDB_File -MFcntl -e 'tie my %db, "DB_File", "/etc/postfix/pop-before-smtp.db", O_CREAT|O_RDWR, 0644, $DB_HASH;
    $db{$_} = "ok" for "203.0.113.7", "203.0.113.8"'
printf '[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n' \
    >/etc/systemd/system/pop-before-smtp.service
printf '#!/bin/sh\nexit 0\n' >/usr/local/bin/postfix; chmod 755 /usr/local/bin/postfix  # no Postfix runs here
systemctl daemon-reload
systemctl start pop-before-smtp
rows hash:/etc/postfix/pop-before-smtp old

cd /root
STEPS
pbs-fast list >/out/taken
echo "$(date '+%b %e %T') hub dovecot: imap-login: Login: user=<ann>, method=PLAIN, rip=203.0.113.1, lip=192.0.2.10" \
    >>/var/log/mail.log
until_listed 203.0.113.1
postmap -q 203.0.113.1 hash:/var/lib/pbs-fast/relay >/out/granted
until_gone 203.0.113.7
until_gone 203.0.113.1
rows hash:/var/lib/pbs-fast/relay ended
rows hash:/etc/postfix/pop-before-smtp left
postconf -h smtpd_relay_restrictions >/out/restrictions
cp /etc/pbs-fast/pbs-fast.toml /var/log/pbs-fast/pbs-fast.log /out/
systemctl is-active pbs-fast pop-before-smtp >/out/active
systemctl is-enabled pbs-fast pop-before-smtp >/out/enabled
journalctl --sync
journalctl -o json --no-pager >/out/journal
kill -s RTMIN+13 1
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    if shutil.which("perl") is None:
        unavailable("needs perl")
    guide = blocks("MIGRATION.md")
    text = _SCRIPT.replace(
        "STEPS", "\n".join(f"step {shlex.quote(line)}" for line in (*guide["convert"], *guide["unit"]))
    )
    if version() >= 254:
        text = SINCE_254 + text
    return boot(text, tmp_path_factory)


def test_each_step_succeeds(machine: Machine) -> None:
    steps = machine.text("steps").splitlines()
    assert len(steps) > 10
    assert [step for step in steps if not step.startswith("0 ")] == [], machine.text("steps.said")


def test_the_old_rows_are_taken_over_and_end(machine: Machine) -> None:
    assert sorted(machine.text("old").split()) == ["203.0.113.7", "203.0.113.8", "ok", "ok"]
    rows = machine.text("taken").splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["203.0.113.7", "203.0.113.8"]
    assert all("found at the start" in row for row in rows)
    assert machine.text("ended") == ""


def test_a_login_is_granted(machine: Machine) -> None:
    assert machine.text("granted") == "ok\n"
    assert "added 203.0.113.1 to DB user=ann format=dovecot" in machine.text("pbs-fast.log")


def test_no_table_is_left_alone(machine: Machine) -> None:
    assert machine.text("left") == ""
    assert "/etc/postfix/pop-before-smtp" not in machine.text("restrictions")
    assert "hash:/var/lib/pbs-fast/relay" in machine.text("restrictions")


def test_the_units_have_changed_places(machine: Machine) -> None:
    assert machine.text("active").split() == ["active", "inactive"]
    assert machine.text("enabled").split() == ["enabled", "disabled"]
    assert 'dbfile = "hash:/var/lib/pbs-fast/relay"' in machine.text("pbs-fast.toml")
