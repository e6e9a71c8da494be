"""A Dovecot with a name of its own: its tag is known where it is installed, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pbs_fast.cli import main
from pbs_fast.util.doveconf import instance_name

HEAD = "2026-11-30T09:50:54.620105+00:00 hub "
LINES = (
    f"{HEAD}mailhub[2498]: imap-login: Logged in: user=<lena>, method=PLAIN, rip=192.0.2.77, lip=192.0.2.10, "
    "mpid=2505, session=<poiKWHthZcPAAAJN>\n"
    f"{HEAD}mailhub[2498]: imap(lena)<2505><poiKWHthZcPAAAJN>: Disconnected: Logged out in=12 out=525 deleted=0 "
    "expunged=0 trashed=0 hdr_count=0 hdr_bytes=0 body_count=0 body_bytes=0\n"
)

Installed = Callable[[str], None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Puts a `doveconf` on PATH that runs this script."""

    def put(script: str) -> None:
        program = tmp_path / "doveconf"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return put


def events(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    log = tmp_path / "mail.log"
    log.write_text(LINES)
    main(["match", "--json", str(log)])
    return [(each["event"], each["ip"]) for each in map(json.loads, capfd.readouterr().out.splitlines())]


def test_the_name_of_the_dovecot_here_is_a_tag(
    tmp_path: Path, installed: Installed, capfd: pytest.CaptureFixture[str]
) -> None:
    installed('[ "$*" = "-h instance_name" ] && echo mailhub')
    assert events(tmp_path, capfd) == [("login", "192.0.2.77"), ("logout", "192.0.2.77")]


def test_any_other_tag_grants_nothing(tmp_path: Path, installed: Installed, capfd: pytest.CaptureFixture[str]) -> None:
    installed("echo dovecot")
    assert events(tmp_path, capfd) == []


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("echo mail-hub_2", "mail-hub_2"),
        ("echo 'two words'", None),
        ("echo 'a[1]:'", None),
        ("echo x; echo y", None),
        ("echo mailhub; exit 89", None),
        ("echo", None),
        ("head -c 300 /dev/zero | tr '\\0' x", None),
    ],
)
def test_only_a_tag_is_taken(script: str, name: str | None, installed: Installed) -> None:
    installed(script)
    assert instance_name() == name


def test_without_dovecot_there_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert instance_name() is None
