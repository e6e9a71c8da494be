"""Several logs: patterns, what they leave out, fairness, and the end of what is gone."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pbs_fast.sources.group import FileGroup
from pbs_fast.sources.siblings import is_rotated_name, siblings
from pbs_fast.sources.spec import expand, is_pattern


def read(group: FileGroup, budget: int = 1 << 20) -> list[bytes]:
    found: list[bytes] = []
    while True:
        for _, pieces in group.poll(budget):
            for piece in pieces:
                found += piece.data[piece.start : piece.stop].splitlines()
        if not group.behind:
            return sorted(found)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


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


def test_logs_come_and_go_and_each_keeps_its_state(tmp_path: Path) -> None:
    now = 0.0
    append(tmp_path / "a.log", b"a1\n")
    append(tmp_path / "b.log", b"b1\n")
    group = FileGroup([str(tmp_path / "*.log"), str(tmp_path / "named")], start="end", clock=lambda: now)
    assert read(group) == []
    append(tmp_path / "a.log", b"a2\n")
    append(tmp_path / "c.log", b"c1\n")
    append(tmp_path / "named", b"n1\n")
    assert read(group) == [b"a2", b"n1"]
    now = 2.0
    assert read(group) == [b"c1"]
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log.1", b"a3\n")
    append(tmp_path / "a.log", b"a4\n")
    (tmp_path / "a.log.2.gz").write_bytes(gzip.compress(b"old\n"))
    (tmp_path / "b.log").unlink()
    (tmp_path / "named").unlink()
    assert read(group) == [b"a3", b"a4"]
    for later in (10.0, 20.0, 3700.0):
        now = later
        read(group)
    assert sorted(Path(path).name for path in group.sources) == ["a.log", "c.log", "named"]
    assert [notice.kind for notice in group.notices if notice.path.endswith("b.log")] == ["missing"]
    assert group.timeout() > 0
    group.close()


def test_a_flood_in_one_log_does_not_keep_another_waiting(tmp_path: Path) -> None:
    (tmp_path / "flood").write_bytes(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 50_000)
    append(tmp_path / "quiet", b"login\n")
    group = FileGroup([str(tmp_path / "flood"), str(tmp_path / "quiet")])
    first = {Path(source.path).name for source, _ in group.poll(100_000)}
    assert first == {"flood", "quiet"}
    assert group.behind
    assert len(read(group, 100_000)) > 40_000
    group.close()
