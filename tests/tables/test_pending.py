"""Changes that wait: nothing is lost, nothing is retried too often, a failure is said once."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta import unavailable
from pbs_fast.daemon.recover import reconcile
from pbs_fast.errors import TableError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import open_table
from pbs_fast.tables.describe import NoSpaceError
from pbs_fast.tables.owner import OwnedError
from pbs_fast.tables.protocol import HEARTBEAT, LOOK, TableOptions
from pbs_fast.tables.queue import LONGEST_PAUSE, Pending
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.types.null import NullTable
from tables.conftest import FILE_TYPES, Opener, Reader, grant


class Flaky(NullTable):
    """A table in memory that fails as long as it is told to, and counts."""

    def __init__(self, window: float = 0.0) -> None:
        super().__init__(TableSpec("null", None), TableOptions())
        self.window = window
        self.fails: str | None = None
        self.attempts = 0
        self.beats = 0
        self.looks = 0
        self.beat: TableError | None = None
        self.rebuilds: TableError | None = None

    def apply(self, delta: Delta) -> None:
        self.attempts += 1
        assert not set(delta.set) & set(delta.removed), "no key is in both"
        if self.fails:
            raise TableError(self.fails)
        super().apply(delta)

    def check(self) -> None:
        self.looks += 1

    def heartbeat(self) -> None:
        self.beats += 1
        if self.beat is not None:
            raise self.beat

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        if self.rebuilds is not None:
            raise self.rebuilds
        super().rebuild(rows)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_change_after_quiet_goes_at_once_and_the_next_waits_for_the_window() -> None:
    clock, table = Clock(), Flaky(window=0.25)
    pending = Pending(table, clock=clock)
    pending.add(Delta({"10.0.0.1": grant()}))
    assert pending.due <= clock.now
    assert pending.flush()
    pending.add(Delta({"10.0.0.2": grant()}))
    pending.add(Delta({"10.0.0.3": grant()}, ("10.0.0.1",)))
    assert not pending.flush()
    assert pending.due == clock.now + 0.25
    clock.now += 0.25
    assert pending.flush()
    assert table.attempts == 2, "two deltas, one write"
    assert sorted(table.load()) == ["10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize(("takes", "pause"), [(0.0, 0.25), (0.05, 0.2), (0.125, 0.125), (60.0, 0.125)])
def test_the_window_counts_from_the_beginning_of_a_write(takes: float, pause: float) -> None:
    """What comes meanwhile waits no longer for a slow disk; one that never ends in time leaves half of the window."""
    clock, table = Clock(), Flaky(window=0.25)
    pending = Pending(table, clock=clock)
    write = table.apply

    def slowly(delta: Delta) -> None:
        clock.now += takes
        write(delta)

    table.apply = slowly  # type: ignore[method-assign]
    pending.add(Delta({"10.0.0.1": grant()}))
    assert pending.flush()
    pending.add(Delta({"10.0.0.2": grant()}))
    assert pending.due == pytest.approx(clock.now + pause)


def test_failure_is_said_once_and_caught_up(caplog: pytest.LogCaptureFixture) -> None:
    clock, table = Clock(), Flaky()
    pending = Pending(table, clock=clock)
    table.fails = "/x/relay.db: No space left on device"
    for i in range(600):  # a minute
        pending.add(Delta({f"10.0.0.{i % 200}": grant()}, (f"10.0.1.{i % 200}",)))
        pending.flush()
        clock.now += 0.1
    assert pending.failing == table.fails
    assert len(caplog.records) == 1
    assert "No space left on device" in caplog.text
    assert 10 < table.attempts < 25, "with back-off"
    table.fails = None
    clock.now += LONGEST_PAUSE
    assert pending.flush()
    assert len(pending) == 0
    assert len(table.load()) == 200
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]


def test_a_short_failure_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    clock, table = Clock(), Flaky()
    pending = Pending(table, clock=clock)
    table.fails = "locked"
    pending.add(Delta({"10.0.0.1": grant()}))
    assert not pending.flush()
    table.fails = None
    clock.now = pending.due
    assert pending.flush()
    assert caplog.records == []


def test_looks_and_heartbeats_come_without_changes() -> None:
    """A file that somebody removed is back within a second or so; `reap` sees that we live."""
    clock, table = Clock(), Flaky()
    pending = Pending(table, clock=clock)
    while clock.now < 1000 + 10 * HEARTBEAT:
        clock.now = max(clock.now, pending.due)
        pending.flush()
    assert 10 <= table.beats <= 21
    assert 10 * HEARTBEAT / LOOK <= table.looks <= 10 * HEARTBEAT / LOOK + 25


def test_a_heartbeat_that_fails_stops_no_change_and_another_process_does(caplog: pytest.LogCaptureFixture) -> None:
    clock, table = Clock(), Flaky()
    pending = Pending(table, clock=clock)
    table.beat = TableError("cannot touch the table lock: Read-only file system")
    clock.now += HEARTBEAT
    pending.add(Delta({"10.0.0.1": grant()}))
    assert pending.flush(), "written"
    assert "Read-only" in str(pending.failing), "and still in trouble"
    clock.now += 10
    pending.add(Delta({"10.0.0.2": grant()}))
    assert pending.flush()
    assert sorted(table.load()) == ["10.0.0.1", "10.0.0.2"]
    assert len(caplog.records) == 1
    table.beat = OwnedError("another pbs-fast (pid 1) owns it")
    clock.now += 10
    pending.add(Delta({"10.0.0.3": grant()}))
    assert not pending.flush()
    assert sorted(table.load()) == ["10.0.0.1", "10.0.0.2"]
    table.beat = None
    clock.now += 10
    assert pending.flush()
    assert sorted(table.load()) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert pending.failing is None


def test_a_start_on_a_full_disk_waits_for_room(caplog: pytest.LogCaptureFixture) -> None:
    """The table of before stays until there is; any other fault ends the start."""
    clock, table = Clock(), Flaky()
    pending = Pending(table, clock=clock)
    table.rebuilds = NoSpaceError("/x/relay.db: No space left on device")
    table.fails = "/x/relay.db: No space left on device"
    pending.rebuild({"10.0.0.1": grant()})
    assert "No space left" in caplog.text
    pending.add(Delta({"10.0.0.2": grant()}))
    for _ in range(20):
        clock.now = pending.due
        assert not pending.flush()
    assert len(caplog.records) == 1
    table.fails = table.rebuilds = None
    clock.now = pending.due
    assert pending.flush()
    assert "works again" in caplog.text
    table.rebuilds = TableError("/x/relay.db: Permission denied")
    with pytest.raises(TableError, match="denied"):
        pending.rebuild({})


Change = tuple[bool, int]


@given(
    st.lists(st.tuples(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=6), st.booleans()), max_size=30)
)
def test_the_table_ends_as_if_nothing_had_failed(steps: list[tuple[list[Change], bool]]) -> None:
    clock, table, model = Clock(), Flaky(), dict[str, Grant]()
    pending = Pending(table, clock=clock)
    for changes, fails in steps:
        latest = {f"10.0.0.{i}": there for there, i in changes}
        put = {ip: grant() for ip, there in latest.items() if there}
        gone = tuple(ip for ip, there in latest.items() if not there)
        model.update(put)
        for ip in gone:
            model.pop(ip, None)
        pending.add(Delta(put, gone))
        table.fails = "full" if fails else None
        pending.flush(now=True)
        if not fails:
            assert set(table.load()) == set(model)
    table.fails = None
    pending.flush(now=True)
    assert set(table.load()) == set(model)


def test_a_lock_held_for_a_while_delays_and_loses_nothing(opened: Opener, reader: Reader) -> None:
    for kind, lock in (("hash", "flock"), ("lmdb", "fcntl")):
        table = opened(kind)
        table.rebuild({})
        assert table.file is not None
        pending = Pending(table)
        reader.hold(table.file, lock)
        pending.add(Delta({"203.0.113.5": grant()}))
        assert not pending.flush()
        assert pending.failing is not None
        reader.release()
        assert pending.flush(now=True)
        assert reader.rows(table.spec) == {"203.0.113.5": "ok"}


@pytest.fixture
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system of 24 MiB, to be filled."""
    if os.geteuid() != 0:
        unavailable("mounting a small file system needs root")
    where = directory / "disk"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", where], check=True)
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def _fill(disk: Path) -> Path:
    """Write a file until nothing more goes; returns it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return ballast
                raise


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_a_full_disk_tears_nothing_and_is_caught_up(kind: str, small_disk: Path, reader: Reader) -> None:
    table = open_table(f"{kind}:{small_disk}/relay")
    first = {f"10.1.{i >> 8}.{i & 255}": grant() for i in range(2000)}
    table.rebuild(first)
    pending = Pending(table)
    ballast = _fill(small_disk)
    many = {f"10.2.{i >> 8}.{i & 255}": grant() for i in range(60_000)}
    pending.add(Delta(many, ("10.1.0.0",)))
    assert not pending.flush()
    assert "No space left" in str(pending.failing)
    assert set(reader.rows(table.spec)) == set(first), "the table in place is as it was"
    ballast.unlink()
    assert pending.flush(now=True)
    assert set(reader.rows(table.spec)) == (set(first) | set(many)) - {"10.1.0.0"}
    table.close()


@pytest.mark.parametrize("kind", ["hash", "lmdb"])
def test_what_is_changed_in_place_still_takes_changes_on_a_full_disk(
    kind: str, small_disk: Path, reader: Reader
) -> None:
    """Its blocks were given when it was built: logins are let in, and expired rows go."""
    table = open_table(f"{kind}:{small_disk}/relay")
    table.rebuild({"203.0.113.5": grant()})
    _fill(small_disk)
    for i in range(1000):
        table.apply(Delta({f"10.0.{i >> 8}.{i & 255}": grant()}, ("203.0.113.5",)))
    assert len(reader.rows(table.spec)) == 1000
    for i in range(1000):
        table.apply(Delta({f"10.1.{i >> 8}.{i & 255}": grant()}, (f"10.0.{i >> 8}.{i & 255}",)))
    assert set(reader.rows(table.spec)) == {f"10.1.{i >> 8}.{i & 255}" for i in range(1000)}
    table.close()


def test_reconcile() -> None:
    table = NullTable(TableSpec("null", None), TableOptions(value="ok {expires}"))
    table.rebuild({"10.0.0.1": grant(5_000), "10.0.0.2": grant(5_400), "10.0.0.3": grant(9_000_000)})
    found = table.load()
    live = {"10.0.0.1": grant(777), "10.0.0.9": grant(778)}

    def latest(_: str) -> int:
        return 1900

    sure = reconcile(found, live, covered=True, now=100, latest=latest, wall_now=5_000)
    assert sure.recovered == {}
    assert sorted(sure.stale) == ["10.0.0.2", "10.0.0.3"]
    unsure = reconcile(found, live, covered=False, now=100, latest=latest, wall_now=5_000)
    assert {ip: row.expires for ip, row in unsure.recovered.items()} == {
        "10.0.0.2": 500,  # it says itself that it ends in 400 s
        "10.0.0.3": 1900,  # no row outlives its latest end unexplained
    }
    assert reconcile(found, live, covered=False, now=100, latest=latest, wall_now=6_000).stale == ("10.0.0.2",)
