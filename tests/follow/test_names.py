"""Patterns for several logs and what they leave out. How several are followed: tests/daemon/test_roster.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbs_fast.sources.file.glob import expand, is_pattern
from pbs_fast.sources.file.names import is_rotated_name, siblings


@pytest.mark.parametrize(
    "name",
    [
        "mail.log.1", "mail.log.0", "mail.log.12.gz", "mail.log-20261122", "mail.log-20261122.xz", "mail.log.old",
        "mail.log.20261122.zst", "mail.log-2026112223", "mail.log-2026-11-22_10:00:00", "mail.log-1795000000",
        "mail.log-20261122-1795000000.bz2", "mail-20261122.log", "mail.1.log.gz",
    ],
)  # fmt: skip
def test_names_that_a_rotation_gives(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert [Path(one.path).name for one in siblings(str(tmp_path / "mail.log"))] == [name]
    assert is_rotated_name(str(tmp_path / name), str(tmp_path / "mail.log"))


@pytest.mark.parametrize(
    "name",
    ["mail.log", "mail.err", "mail.log.offset", "mail.log.1.bak", "mail.log2", "mail.logs.1", "xmail.log.1", "mail"],
)
def test_names_of_other_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert siblings(str(tmp_path / "mail.log")) == []


def test_a_pattern_leaves_out_what_is_rotated_and_compressed(tmp_path: Path) -> None:
    for name in ("mail.log", "mail.log.1", "mail.log-20261122", "mail.info", "mail.info.2.gz", "mail.odd.gz"):
        (tmp_path / name).touch()
    (tmp_path / "mail.d").mkdir()
    pattern = str(tmp_path / "mail*")
    assert [Path(one).name for one in expand(pattern)] == ["mail.info", "mail.log"]
    (tmp_path / "mail.log").unlink()
    assert [Path(one).name for one in expand(pattern, [str(tmp_path / "mail.log")])] == ["mail.info"]


def test_a_path_that_exists_is_no_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "mail[1].log"
    assert is_pattern(str(odd))
    odd.touch()
    assert not is_pattern(str(odd))
