"""The units: systemd reads every line of them, and the exposure that it computes stays low."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from daemon.running import PROGRAM
from packages import SYSTEMD, tool
from pbs_fast.cli import application

EXAMPLES = SYSTEMD.parents[1] / "examples"
ALARMS = "pbs-fast-alarms.service"
UNITS = sorted(path.name for path in SYSTEMD.glob("pbs-fast*"))
SERVICES = [name for name in UNITS if name.endswith(".service")]
#: In tenths. What is left: Internet sockets may be made (postconf, see the unit), the host's network is seen (guards).
EXPOSURE = {"pbs-fast.service": 11, "pbs-fast-reap.service": 10}


def settings(name: str) -> list[str]:
    """The lines that are no comments."""
    return [line for line in (SYSTEMD / name).read_text().splitlines() if line and not line.startswith("#")]


def hardening(name: str) -> list[str]:
    lines = settings(name)
    begin = lines.index("NoNewPrivileges=yes")
    return [line for line in lines[begin:] if line not in ("[Install]", "WantedBy=multi-user.target")]


def version() -> int:
    said = subprocess.run([tool("systemd-analyze"), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"systemd (\d+)", said)
    assert found, said
    return int(found[1])


def complaints(directory: Path, *names: str) -> list[str]:
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", *(str(directory / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{directory}:", "SYSTEMD_LOG_TARGET": "console"},
    )
    said = (done.stdout + done.stderr).splitlines()
    assert bool(done.returncode) <= bool(said)
    return [line for line in said if "pbs-fast" in line]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as they are installed, with the program where it is here."""
    for name in UNITS:
        text = (SYSTEMD / name).read_text()
        (tmp_path / name).write_text(text.replace("ExecStart=pbs-fast", f"ExecStart={PROGRAM}"))
    drop_ins = tmp_path / "pbs-fast.service.d"
    drop_ins.mkdir()
    if version() >= 254:
        (drop_ins / "since-254.conf").write_text((SYSTEMD / "since-254.conf").read_text())
    return tmp_path


def test_systemd_reads_every_line(installed: Path) -> None:
    assert complaints(installed, *UNITS) == []


def test_the_example_that_tells_of_alarms(installed: Path) -> None:
    text = (EXAMPLES / ALARMS).read_text()
    command = re.search(r"(?m)^ExecStart=pbs-fast (.*)$", text)
    assert command
    (installed / ALARMS).write_text(text.replace("ExecStart=pbs-fast", f"ExecStart={PROGRAM}"))
    assert complaints(installed, ALARMS) == []
    group: Any = get_command(application())
    name, *words = command[1].split()
    with group.commands[name].make_context(name, words) as context:
        assert context.params["alarms"]
        assert context.params["run"] == "/usr/local/sbin/pbs-fast-alarm"


def test_a_line_that_systemd_does_not_know_is_seen(installed: Path) -> None:
    unit = installed / "pbs-fast.service"
    unit.write_text(unit.read_text().replace("LockPersonality=yes", "LockPersonalty=yes"))
    assert len(complaints(installed, "pbs-fast.service")) >= 1


@pytest.mark.parametrize("name", SERVICES)
def test_exposure(name: str, installed: Path) -> None:
    analyze = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager"]
    done = subprocess.run(
        [*analyze, f"--threshold={EXPOSURE[name]}", str(installed / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"Overall exposure level for \S+: [0-9.]+ ", done.stdout)
    facts = json.loads(
        subprocess.run(
            [*analyze, "--json=short", str(installed / name)], capture_output=True, text=True, check=True
        ).stdout
    )
    exposed = {fact["name"] for fact in facts if fact["exposure"]}
    assert exposed <= {
        "RestrictAddressFamilies=~AF_(INET|INET6)",
        "PrivateNetwork=",
        "RootDirectory=/RootImage=",
        "DeviceAllow=",  # the clock, which ProtectClock shows for reading
        "UMask=",  # MTAs of other users read the table
        "ProcSubset=",  # journalctl
        "RestrictAddressFamilies=~AF_NETLINK",
        "RestrictAddressFamilies=~AF_UNIX",  # systemd itself, syslog, the journal
        "SupplementaryGroups=",  # who may read logs
        "SystemCallFilter=~@privileged",  # chown, to groups it is a member of
    }


def test_both_services_are_hardened_alike() -> None:
    first, second = (hardening(name) for name in SERVICES)
    assert first == second
    assert len(first) > 25


def test_postconf_gets_its_sockets() -> None:
    """Without these families postconf answers that this machine has no networks at all, and exits 0 (tried: 3.7)."""
    for name in SERVICES:
        families = [line for line in settings(name) if line.startswith("RestrictAddressFamilies=")]
        assert families == ["RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"]


def test_an_old_systemd_understands_the_unit_and_a_newer_one_gets_more() -> None:
    unit, more = settings("pbs-fast.service"), settings("since-254.conf")
    assert [line for line in unit if line.startswith(("Type=", "ExecReload="))] == [
        "Type=notify",
        "ExecReload=kill -HUP $MAINPID",
    ]
    # Its own signal would be a second one.
    assert [line for line in more if line.startswith(("Type=", "ExecReload="))] == ["Type=notify-reload", "ExecReload="]


def test_restarts_by_an_administrator_are_not_counted() -> None:
    assert "StartLimitIntervalSec=0" in settings("pbs-fast.service")
