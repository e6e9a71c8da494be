"""Modification times: no reader that keeps a file open takes a changed file for the one that it has read.

Postfix compares for inequality and looks at the link count, so the times of `hash:` lie in the past. Asserted on the
rule alone, at each system call of a change, and by the answers of a real Postfix.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta import unavailable
from mta.postfix import Postfix, require_postfix, running
from pbs_fast.events import Delta
from pbs_fast.tables import Table, open_table
from pbs_fast.tables.file import mtimes
from pbs_fast.tables.file.mtimes import CLOCK_FAULT, DEPTH, LONGEST_WINDOW, SLOPE, WINDOW, AheadTimes, PastTimes
from tables.conftest import Opener, Reader, grant
from tables.stepper import UNSUPPORTED, Point, step

A, B, C = "203.0.113.5", "203.0.113.6", "2001:db8::6"
NOW = 1_800_000_000.0
DAY = 86_400.0
NOWHERE = Path("/nonexistent")


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def past(clock: Clock, source: Path = NOWHERE) -> PastTimes:
    """With a file just installed."""
    times = PastTimes(clock, source)
    times.first(NOWHERE)
    times.installed()
    return times


# -- the rules ------------------------------------------------------------------------------------------------------

Step = tuple[str, float]
STEPS = st.one_of(
    st.tuples(st.just("change"), st.just(0.0)),
    st.tuples(st.just("wait"), st.floats(0, 5)),
    st.tuples(st.sampled_from(["set forward", "set back"]), st.floats(0, 60)),
    st.tuples(st.sampled_from(["replace", "fail to replace"]), st.just(0.0)),
)


@given(st.integers(0, 100) | st.just(int(NOW)), st.lists(STEPS, max_size=60))
def test_times_of_one_file_never_repeat(start: int, steps: list[Step]) -> None:
    """Nor is one of them a time at which the file is written, which it has for a moment, however the clock is set."""
    with pytest.MonkeyPatch.context() as small:
        small.setattr(mtimes, "DEPTH", 40)
        small.setattr(mtimes, "MARGIN", 3)
        _never_repeat(Clock(start), steps * 3)


def _never_repeat(clock: Clock, steps: list[Step]) -> None:
    times = PastTimes(clock, NOWHERE)
    first = times.first(NOWHERE)
    times.installed()
    given, written = {first}, set[int]()

    def replaced() -> None:
        nonlocal given, written
        given, written = {times.first(NOWHERE)}, set()
        times.installed()

    for what, seconds in steps:
        if what == "change":
            mtime = times.next()
            if mtime is None:
                replaced()
                continue
            assert mtime not in given
            given.add(mtime)
            written.add(int(clock()))
            assert not given & written
            assert min(given) > 0
        elif what == "replace":
            replaced()
        elif what == "fail to replace":
            times.first(NOWHERE)
        else:
            clock.now = max(0.0, clock.now - seconds if what == "set back" else clock.now + seconds)


def test_an_hour_at_ten_changes_a_second_lengthens_no_window() -> None:
    clock = Clock()
    times = past(clock)
    for _ in range(36_000):
        clock.now += WINDOW
        assert times.next() is not None
        assert times.window == WINDOW
    assert not times.half_used
    for _ in range(DEPTH // 2):
        times.next()
    assert times.half_used, "a day and a half at ten changes a second"


def test_a_file_whose_times_are_used_up_is_replaced() -> None:
    clock = Clock()
    times = past(clock)
    count = next(number for number in range(DEPTH) if times.next() is None)
    assert count >= DEPTH - 2
    times.first(NOWHERE)
    assert times.next() is None, "not before the new file is installed"
    times.installed()
    assert times.next() is not None


def test_a_new_file_goes_on_after_the_old_one(tmp_path: Path) -> None:
    """Programs that compare the times of names see a later one too, until it would come too near to now."""
    file, clock = tmp_path / "relay.db", Clock()
    file.touch()
    end = int(NOW) - mtimes.MARGIN
    for old, new in (
        (end - 10 * DAY, end - DEPTH),
        (end - 20 * DAY, end - 20 * DAY + 1),
        (end - 40 * DAY, end - DEPTH),
        (NOW + 50, end - DEPTH),
    ):
        os.utime(file, (old, old))
        assert PastTimes(clock, NOWHERE).first(file) == new


def test_a_table_is_not_older_than_its_source(tmp_path: Path) -> None:
    source, clock = tmp_path / "relay", Clock()
    source.touch()
    end = int(NOW) - mtimes.MARGIN
    for changed, first in (
        (NOW - 2 * DAY, NOW - 2 * DAY + 1),
        (NOW - 400 * DAY, end - DEPTH),
        (NOW - 100, end - DEPTH),  # too few changes would be left
    ):
        os.utime(source, (changed, changed))
        assert PastTimes(clock, source).first(NOWHERE) == first


def test_times_for_sendmail_grow_with_the_clock(tmp_path: Path) -> None:
    file, clock = tmp_path / "relay.db", Clock()
    file.touch()
    os.utime(file, (NOW + 5, NOW + 5))
    times = AheadTimes(clock, slope=SLOPE)
    assert times.first(file) == NOW + 6
    assert [times.next(), times.next()] == [NOW + 7, NOW + 8]
    assert times.window == pytest.approx(WINDOW + 8 * SLOPE)
    clock.now += 20
    assert times.next() == clock.now
    assert times.window == WINDOW
    for _ in range(500):
        times.next()
    assert times.window == LONGEST_WINDOW
    clock.now -= 2 * CLOCK_FAULT
    assert times.first(file) == clock.now, "a wrong clock is not kept up with"


@pytest.mark.parametrize("kind", ["hash", "btree", "cdb", "text", "sendmail"])
def test_changes_within_a_second_make_only_sendmail_wait(
    kind: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pbs_fast.tables.file.base.BUSY_SHARE", float("inf"))  # however long a new file takes here
    table = opened(kind, clock=Clock())
    table.rebuild({})
    for number in range(20):
        table.apply(Delta({f"10.0.0.{number}": grant()}))
    assert table.window == pytest.approx(WINDOW + 21 * SLOPE if kind == "sendmail" else WINDOW)


# -- a reader that keeps its file open --------------------------------------------------------------------------------


class Kept:
    """A file as an smtpd has it open: with the time and the content of its opening."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._opened = file.open("rb", buffering=0)
        self._content = self._opened.read()
        self._mtime = int(os.fstat(self._opened.fileno()).st_mtime)

    def close(self) -> None:
        self._opened.close()

    @property
    def notices(self) -> bool:
        """What dict_changed_name answers before the next connection."""
        now = os.fstat(self._opened.fileno())
        return int(now.st_mtime) != self._mtime or now.st_nlink == 0

    @property
    def stale(self) -> bool:
        return not self.notices and self._file.read_bytes() != self._content


@pytest.fixture
def keep() -> Iterator[Callable[[Path], Kept]]:
    made: list[Kept] = []

    def opened(file: Path) -> Kept:
        made.append(Kept(file))
        return made[-1]

    yield opened
    for each in made:
        each.close()


ROWS = {f"10.0.0.{i}": grant() for i in range(50)}


def test_kill_9_leaves_no_reader_behind(directory: Path, keep: Callable[[Path], Kept]) -> None:
    """At each system call of a change: whoever opened the file before, at the kill, or after notices what comes."""
    if UNSUPPORTED:
        unavailable(UNSUPPORTED)
    spec, file = f"hash:{directory}/relay", directory / "relay.db"

    def prepare() -> Callable[[], object]:
        table = open_table(spec)
        table.rebuild(ROWS)
        table.apply(Delta({A: grant()}))
        return partial(table.apply, Delta({B: grant()}, (A,)))

    calls = [call for call in step(prepare, None).calls if call.kind != "none"]
    assert {"pwrite64", "utimensat"} <= {call.name for call in calls}
    for kind in sorted({call.kind for call in calls}):
        for nth in range(sum(call.kind == kind for call in calls)):
            for when in ("before", "after"):
                readers: list[Kept] = []
                step(prepare, Point(kind, nth, when), prepared=lambda found=readers: found.append(keep(file)))  # type: ignore[misc]
                where = f"{when} {kind} {nth}"
                assert not any(reader.stale for reader in readers), where
                readers.append(keep(file))
                table = open_table(spec)
                assert table.load().keys() >= ROWS.keys(), where
                table.rebuild(ROWS)
                assert all(reader.notices for reader in readers), where
                readers = [keep(file)]
                for client in (A, B, C):
                    table.apply(Delta({client: grant()}))
                    assert not any(reader.stale for reader in readers), where
                    assert all(reader.notices for reader in readers), where
                    readers.append(keep(file))
                table.close()


def test_the_time_of_writing_is_never_used(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that opens the file within a change may see that time."""
    seen: list[tuple[int, int]] = []
    utime = os.utime

    def noting(file: int, times: tuple[int, int]) -> None:
        seen.append((int(os.fstat(file).st_mtime), times[1]))
        utime(file, times)

    table = opened("hash")
    table.rebuild(ROWS)
    monkeypatch.setattr("pbs_fast.tables.types.hash.os.utime", noting)
    for number in range(50):
        table.apply(Delta({f"10.0.1.{number}": grant()}))
    monkeypatch.undo()
    written, given = {each[0] for each in seen}, [each[1] for each in seen]
    assert len(seen) == 50
    assert len({*given}) == 50
    assert max(given) < min(written)


def test_times_that_run_out_are_renewed_at_a_heartbeat(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the last one, so that a full disk stops no change; and when that fails, the file goes on."""
    monkeypatch.setattr(mtimes, "DEPTH", 100)
    table = opened("hash")
    table.rebuild(ROWS)
    assert table.file is not None
    seen = [table.file.stat()]

    def change(number: int) -> None:
        table.apply(Delta({f"10.0.1.{number}": grant()}))
        seen.append(table.file.stat())  # type: ignore[union-attr]

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for number in range(60):
        change(number)
    monkeypatch.setattr(table, "_build", full_disk)
    table.heartbeat()
    for number in range(60, 90):
        change(number)
    assert len({each.st_ino for each in seen}) == 1
    assert len({int(each.st_mtime) for each in seen}) == len(seen)
    monkeypatch.undo()
    monkeypatch.setattr(mtimes, "DEPTH", 100)
    monkeypatch.setattr("pbs_fast.tables.file.compact.COMPACT_SECONDS", 0.0)
    table.heartbeat()
    renewed = table.file.stat()
    assert renewed.st_ino != seen[-1].st_ino
    assert renewed.st_mtime < seen[-1].st_mtime
    assert table.load().keys() == ROWS.keys() | {f"10.0.1.{number}" for number in range(90)}


# -- a real Postfix ---------------------------------------------------------------------------------------------------


class Site:
    """A hash: on a clock of its own, and the Postfix that reads it with one smtpd."""

    def __init__(self, table: Table, postfix: Postfix) -> None:
        self.table = table
        self.postfix = postfix
        self.files: list[os.stat_result] = []
        self._number = 0

    def change(self) -> None:
        """A client is let in and another one shut out, and the next session of each shows that."""
        self._number += 1
        new, old = (f"198.51.100.{number}" for number in (self._number, self._number - 1))
        assert self.postfix.rcpt(new).denied
        self.table.apply(Delta({new: grant()}, (old,)))
        assert self.table.file is not None
        self.files.append(self.table.file.stat())
        assert self.postfix.rcpt(new).relayed, f"change {self._number}"
        assert self.postfix.rcpt(old).denied, f"change {self._number}"

    @property
    def replaced(self) -> int:
        """How often the file was, since the first change."""
        return sum(one.st_ino != other.st_ino for one, other in zip(self.files, self.files[1:], strict=False))


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def site(opened: Opener, clock: Clock) -> Iterator[Site]:
    require_postfix("hash")
    table = opened("hash", clock=clock)
    table.rebuild({})
    with running(table.spec) as postfix:
        yield Site(table, postfix)


def test_postfix_sees_each_change_over_steps_of_the_clock(site: Site, clock: Clock) -> None:
    """Set back, forward, and to a machine without a clock, whose files have times of 1970."""
    for _ in range(3):
        site.change()
    assert site.replaced == 0
    assert all(each.st_mtime < clock.now - 29 * DAY for each in site.files)
    for at, replaced in ((-10 * DAY, 1), (+20 * 365 * DAY, 0), (-21 * 365 * DAY, 1), (+1, 0)):
        before = site.replaced
        clock.now += at
        for _ in range(3):
            site.change()
        assert site.replaced - before == replaced, at
    clock.now = 5.0
    for _ in range(3):
        site.change()
    clock.now = time.time()
    for _ in range(3):
        site.change()
    assert "null time stamp" not in site.postfix.logged()


def test_postfix_sees_each_change_where_the_times_run_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtimes, "DEPTH", 5)
    site.table.rebuild({})
    for _ in range(25):
        site.change()
    assert 2 <= site.replaced <= 8
    now = time.time()
    assert all(now - 1000 < each.st_mtime < now for each in site.files)


def test_postfix_sees_each_change_over_restarts(site: Site, opened: Opener) -> None:
    """Of a daemon that ended, and of one that was killed in a change: the file has the current time then."""
    for killed in (False, True, False, True):
        site.change()
        assert site.table.file is not None
        site.table.close()
        if killed:
            site.table.file.touch()
        rows = site.table.load()
        site.table = opened("hash")
        site.table.rebuild(dict.fromkeys(rows, grant()))
        for _ in range(2):
            site.change()


def test_postfix_warns_of_no_older_source(opened: Opener, directory: Path, reader: Reader) -> None:
    """Many an administrator has made the first, empty table by `touch` and `postmap`."""
    require_postfix("hash")
    source = directory / "relay"
    source.touch()
    yesterday = time.time() - DAY
    os.utime(source, (yesterday, yesterday))
    table = opened("hash")
    table.rebuild({})
    with running(table.spec) as postfix:
        site = Site(table, postfix)
        for _ in range(2):
            site.change()
        assert "older than source file" not in postfix.logged()
    assert reader.rows(table.spec)
