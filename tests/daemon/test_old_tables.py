"""A table that pop-before-smtp leaves: named at the start, unless that program may still keep it or it is empty."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from pbs_fast.daemon import left_tables
from pbs_fast.daemon.left_tables import LeftTables
from pbs_fast.events import Grant
from pbs_fast.tables import TableOptions, TableSpec, open_table, parse

GRACE = 60
ROW = {"203.0.113.1": Grant(expires=0, user=None, format="", host=None, why="granted")}


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the table, without its suffix."""
    path = tmp_path / "old"
    monkeypatch.setattr(left_tables, "DEBIAN", str(path))
    monkeypatch.setattr(left_tables, "UPSTREAM", str(tmp_path / "upstream"))
    return path


def made(path: Path, *, rows: bool, age: float) -> TableSpec:
    spec = parse(f"lmdb:{path}")
    table = open_table(spec)
    table.rebuild(ROW if rows else {})
    table.close()
    assert spec.file is not None
    os.utime(spec.file, (time.time() - age,) * 2)
    return spec


def said(caplog: pytest.LogCaptureFixture, *specs: TableSpec) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        LeftTables(specs, TableOptions(), GRACE).name_old_program()
    return [record.getMessage() for record in caplog.records]


def test_rows_that_nobody_removes_are_named(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = parse(f"lmdb:{old.with_name('kept')}")
    assert said(caplog, kept) == []
    spec = made(old, rows=True, age=GRACE + 5)
    (line,) = said(caplog, kept)
    assert line.startswith(f"pop-before-smtp: {old}.lmdb is left behind")
    assert f"pbs-fast clear --dbfile=lmdb:{old}" in line
    assert said(caplog, spec) == [], "it is our own"


def test_one_that_changes_or_is_empty_is_not(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = parse(f"lmdb:{old.with_name('kept')}")
    made(old, rows=True, age=0)
    assert said(caplog, kept) == [], "that program may still run"
    made(old, rows=False, age=GRACE + 5)
    assert said(caplog, kept) == []


def test_one_that_cannot_be_read_may_hold_rows(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = old.with_name("old.cdb")
    file.write_bytes(b"no table")
    os.utime(file, (0, 0))
    assert len(said(caplog, parse(f"lmdb:{old}x"))) == 1
