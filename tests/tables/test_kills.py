"""kill -9 inside `apply`, system call by system call: a short campaign a table type, and writers that it must notice.

The full one, 300 kills a type and more, is benches/kills.py; its figures stand in benches/record/kills.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mta import require, unavailable
from mta.postfix import require_postfix
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import Table, TableOptions, parse
from pbs_fast.tables.file.base import FileTable
from pbs_fast.tables.types.hash import HashTable
from pbs_fast.tables.types.text import TextTable
from tables.campaign import Campaign, Result, aimed, postmap_alone
from tables.conftest import FILE_TYPES
from tables.stepper import TELLING, UNSUPPORTED, Call, WorkError, step

KILLS = 12
START_KILLS = 4
SHORT = {"in and out": 0.5, "300 in, 300 out": 0.5}


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for the table, in memory where that goes, and `postmap` that reads no configuration of the machine's.

    kill -9 loses nothing that was written; syncs of a busy disk would make up most of the time.
    """
    if UNSUPPORTED:
        unavailable(UNSUPPORTED)
    require("postmap", "Postfix")
    memory = Path("/dev/shm")  # noqa: S108 - a directory of its own is made there
    with TemporaryDirectory(prefix="pbs-kills-", dir=memory if memory.is_dir() else None) as directory:
        tables = Path(directory, "tables")
        tables.mkdir()
        with postmap_alone(Path(directory)):
            yield tables


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_kills_inside_apply(kind: str, place: Path) -> None:
    if kind != "text":
        require_postfix(kind)
    result = Campaign(kind, place).run(KILLS, start_kills=START_KILLS, shares=SHORT)
    assert result.faults == []
    assert (len(result.kills), len(result.start_kills)) == (KILLS, START_KILLS)
    assert result.completed == 0
    assert result.telling >= KILLS / 2, f"only {result.telling} of {KILLS} kills fell on a write, rename, sync or lock"
    assert {"old", "new"} <= {kill.stands for kill in result.kills}, "before and after what makes the change"
    assert min(result.readers.values()) >= KILLS + START_KILLS, "each looked after each kill"


class InPlace(TextTable):
    """Writes over the file that readers look at."""

    def _replace(self) -> None:
        with self._file.open("wb") as file:
            file.write("".join(f"{ip}\n" for ip in self._rows).encode())


class Unlinking(TextTable):
    """Removes the old file before the new one has its name."""

    def _replace(self) -> None:
        self._file.unlink(missing_ok=True)
        super()._replace()


class Trusting(HashTable):
    """Goes on at a start with the file as it was found."""

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        if not self.load():
            super().rebuild(rows)


class Forgetting(TextTable):
    """Loses the rows of before when it publishes more than one at once."""

    def apply(self, delta: Delta) -> None:
        if len(delta.set) > 1:
            self._rows.clear()
        super().apply(delta)


def _campaign(writer: type[FileTable], place: Path, change: str, start_kills: int = 0) -> Result:
    kind = {"InPlace": "text", "Unlinking": "text", "Trusting": "hash", "Forgetting": "text"}[writer.__name__]

    def opener(spec: str) -> Table:
        return writer(parse(spec), TableOptions())

    return Campaign(kind, place, opener).run(10, start_kills=start_kills, shares={change: 1.0})


@pytest.mark.parametrize(
    ("writer", "change", "fault"),
    [
        (InPlace, "one row", "rows valid before and after are not there"),
        (Unlinking, "one row", "No such file or directory"),
        (Trusting, "one row", "after the restart: .* rows differ from what the log implies"),
        (Forgetting, "300 in, 300 out", "rows valid before and after are not there"),
    ],
)
def test_a_broken_writer_is_noticed(writer: type[FileTable], change: str, fault: str, place: Path) -> None:
    faults = "\n".join(_campaign(writer, place, change).faults)
    assert_found(fault, faults)


def test_the_readers_notice_by_themselves(place: Path) -> None:
    """What stands there for an instant only, between a kill and the restart, is seen by those who poll."""
    faults = "\n".join(_campaign(Unlinking, place, "one row").faults)
    assert_found("reader text: errors", faults)
    faults = "\n".join(_campaign(InPlace, place, "one row").faults)
    assert_found("reader text: missing", faults)


def assert_found(pattern: str, text: str) -> None:
    assert re.search(pattern, text), text or "no fault was found"


def test_points_lie_all_over_a_change() -> None:
    calls = [Call("stat", "none"), Call("flock", "lock"), *[Call("pwrite64", "write")] * 40, Call("fdatasync", "sync")]
    points = aimed(calls, 60)
    assert len(points) == 60
    assert {point.kind for point in points} == {"none", "lock", "write", "sync"}
    assert {point.nth for point in points if point.kind == "write"} >= {0, 39}
    assert {point.when for point in points} == {"before", "inside", "after"}
    assert sum(point.kind in TELLING for point in points) >= 40


def test_a_work_that_fails_by_itself_is_no_kill() -> None:
    if UNSUPPORTED:
        unavailable(UNSUPPORTED)

    def prepare() -> Callable[[], object]:
        return lambda: 1 // 0

    with pytest.raises(WorkError, match="ended with status"):
        step(prepare, None)
