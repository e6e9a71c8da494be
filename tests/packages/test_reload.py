"""`systemctl reload` under a systemd that gets since-254.conf, as process 1 of a private machine.

Where the installed one is older, the one that scripts/unpack-backports.sh has unpacked is laid over the system.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mta import unavailable
from packages.test_boot import SINCE_254, Machine, boot
from packages.test_units import version

NEWER = Path("/opt/pbs-fast-tests/systemd")

_SCRIPT = r"""
exec 9>>/out/said; BASH_XTRACEFD=9; set -x
note() { "$@" >/out/$name 2>&1; echo $? >/out/$name.status; }
show() { systemctl show pbs-fast "$@"; }
systemctl --version >/out/version
systemctl start systemd-journald.service
: >/var/log/mail.log; chown root:adm /var/log/mail.log; chmod 0640 /var/log/mail.log
printf 'compatibility_level = 3.6\n' >/etc/postfix/main.cf
name=start note systemctl start pbs-fast
name=shown note show -p Type -p ActiveState
echo 'what = "is this"' >/etc/pbs-fast/deny.toml
name=reload_bad note systemctl reload pbs-fast
rm /etc/pbs-fast/deny.toml
name=reload note systemctl reload pbs-fast
name=after note show -p ActiveState -p NRestarts -p StatusText
# A reload that takes its time: systemctl returns when the daemon says that it is done, not when it was told.
printf 'postconf = "/out/slow"\nmynetworks = ["postfix"]\n' >/etc/pbs-fast/pbs-fast.toml
printf '#!/bin/sh\nsleep 1\nexit 0\n' >/out/slow; chmod 755 /out/slow
name=before note cat /proc/uptime
name=reload_slow note systemctl reload pbs-fast
name=behind note cat /proc/uptime
systemctl stop pbs-fast
journalctl --sync
journalctl -o json --no-pager >/out/journal
kill -s RTMIN+13 1
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    newer = ""
    if version() < 254:
        if not (NEWER / "usr/lib/systemd/systemd").exists():
            unavailable("systemd is older than 254, and no newer one is unpacked")
        newer = str(NEWER)
    return boot(SINCE_254 + _SCRIPT, tmp_path_factory, newer)


def test_it_is_the_newer_systemd_and_the_type_is_known(machine: Machine) -> None:
    assert int(machine.text("version").split()[1]) >= 254
    assert machine.status("start") == 0, machine.journal("pbs-fast")
    assert machine.shown("shown") == {"Type": "notify-reload", "ActiveState": "active"}


def test_reload_is_waited_for(machine: Machine) -> None:
    assert machine.status("reload_bad") == machine.status("reload") == machine.status("reload_slow") == 0
    said = [text for _, text in machine.journal("pbs-fast")]
    assert [text for text in said if "deny.toml" in text and "the previous settings stay in force" in text]
    after = machine.shown("after")
    assert (after["ActiveState"], after["NRestarts"]) == ("active", "0")
    assert "may relay" in after["StatusText"]
    before, behind = (float(machine.text(name).split()[0]) for name in ("before", "behind"))
    assert behind - before > 1, "postconf alone took a second"
