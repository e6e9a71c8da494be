"""What `reap` writes to the journal: the unit keeps lines of the level notice, so that one run in 288 a day is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pbs_fast.cli.table import _print
from pbs_fast.log import targets

REAP = Path(__file__).parents[2] / "packaging" / "systemd" / "pbs-fast-reap.service"


def reaped(journal: Path, table: str, stream: str) -> str:
    """What a run writes to that stream, which is the journal's."""
    with journal.open("w") as file:
        status = os.fstat(file.fileno())
        command = [sys.executable, "-m", "pbs_fast", "reap", f"--dbfile={table}"]
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {stream: file.fileno()}
        subprocess.run(command, env=environment, check=False, **streams)  # type: ignore[call-overload]
    return journal.read_text()


def test_a_run_that_finds_nothing_is_no_news(tmp_path: Path) -> None:
    assert reaped(tmp_path / "said", f"lmdb:{tmp_path}/none", "stdout") == f"<6>lmdb:{tmp_path}/none: no such table\n"


def test_a_failure_is(tmp_path: Path) -> None:
    (tmp_path / "bad.lmdb").write_bytes(b"no table")
    os.utime(tmp_path / "bad.lmdb", (0, 0))
    owner = tmp_path / "bad.lmdb.owner"
    owner.touch()
    os.utime(owner, (0, 0))
    assert reaped(tmp_path / "said", f"lmdb:{tmp_path}/bad", "stderr").startswith("<4>pbs-fast reap: ")


def test_so_is_what_it_emptied(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(targets, "journal_reads", lambda _: True)
    _print("2 rows", notable=True)
    _print("0 rows")
    assert capsys.readouterr().out == "<5>2 rows\n<6>0 rows\n"


def test_the_unit_keeps_notices_and_lines_without_a_level() -> None:
    lines = REAP.read_text().splitlines()
    assert "LogLevelMax=notice" in lines
    assert "SyslogLevel=notice" in lines
