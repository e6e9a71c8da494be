"""Thousands of rotated files beside a log, and few descriptors: the newest are read, whatever names and times say."""

from __future__ import annotations

import gzip
import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from follow.test_replay import NOW, SINCE, line, live, run, timestamp_of
from pbs_fast.sources.file import generations as predecessors
from pbs_fast.sources.file import rotated as follow_old
from pbs_fast.sources.file.position import Position
from pbs_fast.sources.file.replay import Replay
from pbs_fast.sources.file.source import FileSource
from pbs_fast.sources.protocol import Notice

pytestmark = pytest.mark.system

MANY = 3_000

#: What each form of name gives the file that is the `n`th oldest of `MANY`.
NAMES: dict[str, Callable[[int], str]] = {
    "number": lambda n: f"mail.log.{MANY - n}",
    "date": lambda n: f"mail.log-{datetime.fromtimestamp(NOW - (MANY - n) * 60, UTC):%Y%m%d-%H%M%S}",
}
TIMES: dict[str, Callable[[int], float]] = {
    "true": lambda n: NOW - (MANY - n) * 60 + 59,
    "backwards": lambda n: NOW + n,
    "all the same": lambda _: NOW,
    "random": lambda n: NOW - random.Random(n).randrange(10**6),
}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@contextmanager
def limited(most: int) -> Iterator[None]:
    """So few descriptors more than are open now as a process of that limit would have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def fill(place: Path, names: str, times: str, *, compressed: bool, first: int = 1, step: int = 60) -> list[bytes]:
    """One line a file, a minute apart; the last minute's is in the log itself. All lines, oldest first."""
    written = []
    for n in range(first, MANY):
        text = line(NOW - (MANY - n) * step)
        written.append(text)
        name = NAMES[names](n)
        # The newest stay plain, as delaycompress leaves them.
        packed = compressed and n < MANY - 2
        path = place / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(text, 1) if packed else text)
        at = TIMES[times](n)
        os.utime(path, (at, at))
    written.append(line(NOW))
    (place / "mail.log").write_bytes(written[-1])
    return written


@pytest.mark.parametrize("limit", [256, 1024])
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("names", "times"), [("number", "true"), ("date", "backwards"), ("date", "all the same"), ("number", "random")]
)
def test_a_replay_reads_the_newest(tmp_path: Path, limit: int, compressed: bool, names: str, times: str) -> None:
    written = fill(tmp_path, names, times, compressed=compressed)
    before = descriptors()
    with limited(limit):
        replay = Replay(FileSource(tmp_path / "mail.log", start="replay"), SINCE, timestamp_of, now=NOW)
        assert descriptors() - before < 100
        # The source follows one that may have been rotated just now.
        found = {*run(replay), *live(replay.source)}
    replay.source.close()
    assert found >= {each for each in written if (timestamp_of(each, 0) or 0) >= SINCE}
    assert replay.coverage.complete, replay.coverage.reason


def test_where_all_of_them_are_needed_all_are_read(tmp_path: Path) -> None:
    """3,000 files within half an hour: most are closed until their turn comes."""
    written = fill(tmp_path, "number", "random", compressed=True, first=MANY - 1_000, step=1)
    before = descriptors()
    with limited(256):
        replay = Replay(FileSource(tmp_path / "mail.log", start="replay"), NOW - 900, timestamp_of, now=NOW)
        assert descriptors() - before < 100
        # The next rotation renames them meanwhile.
        for n in range(MANY - 1_000, MANY):
            name = NAMES["number"](n)
            for suffix in ("", ".gz"):
                if (path := tmp_path / (name + suffix)).exists():
                    path.rename(tmp_path / f"mail.log.{MANY - n + 1}{suffix}")
        found = [*run(replay), *live(replay.source)]
    replay.source.close()
    wanted = [each for each in written if (timestamp_of(each, 0) or 0) >= NOW - 900]
    assert [each for each in found if each in set(wanted)] == wanted
    assert replay.coverage.complete, replay.coverage.reason


def test_a_file_that_is_gone_when_its_turn_comes_is_said(tmp_path: Path) -> None:
    fill(tmp_path, "number", "true", compressed=False, first=MANY - 200, step=1)
    replay = Replay(FileSource(tmp_path / "mail.log", start="replay"), NOW - 190, timestamp_of, now=NOW)
    (tmp_path / "mail.log.150").unlink()
    run(replay)
    replay.source.close()
    assert not replay.coverage.complete
    assert "mail.log.150 is gone, and its lines were not read" in replay.coverage.reason


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("names", "times"), [("number", "true"), ("date", "backwards"), ("date", "true"), ("number", "random")]
)
def test_a_checkpoint_before_thousands_of_rotations(tmp_path: Path, compressed: bool, names: str, times: str) -> None:
    """What a restart finds begun since is more than can be held open: the newest are read, and the rest is said."""
    log = tmp_path / "mail.log"
    log.write_bytes(line(NOW - MANY * 60))
    source = FileSource(log)
    live(source)
    start = source.position()
    assert isinstance(start, Position)
    source.close()
    os.utime(log, (NOW - MANY * 60, NOW - MANY * 60))
    log.rename(tmp_path / f"mail.log.{MANY}" if names == "number" else tmp_path / "mail.log-20200101")
    written = fill(tmp_path, names, times, compressed=compressed)
    said: list[Notice] = []
    before = descriptors()
    with limited(256):
        resumed = FileSource(log, start=start, on_notice=said.append)
        resumed.open()
        assert descriptors() - before < 100
        found = live(resumed)
        # A login in the newest rotated file and in the log itself.
        assert set(found) >= set(written[-10:])
        assert resumed.counters["lost"] == len([one for one in said if one.kind == "lost"]) > 0
        assert any("rotated files seem to be new since" in one.text for one in said)
        live(resumed)
        assert descriptors() - before < 100
    resumed.close()


def test_a_log_that_is_rotated_at_each_look(tmp_path: Path) -> None:
    """Each old file may still be written to for a minute; a thousand of them are not held for that."""
    log = tmp_path / "mail.log"
    source = FileSource(log)
    before = descriptors()
    found: list[bytes] = []
    with limited(256):
        for n in range(1_000):
            log.write_bytes(line(NOW + n))
            found += live(source)
            log.rename(tmp_path / f"mail.log-{n + 100_000_000:09}")
            assert descriptors() - before < 2 * follow_old.MOST_OPEN + 20
    assert found == [line(NOW + n) for n in range(1_000)]
    assert source.counters["lost"] == 0
    source.close()


def test_a_log_that_is_rotated_faster_than_it_is_read(tmp_path: Path) -> None:
    """What cannot be held is given up, the oldest first, and said."""
    log = tmp_path / "mail.log"
    said: list[Notice] = []
    source = FileSource(log, on_notice=said.append, chunk=100)
    before = descriptors()
    with limited(256):
        for n in range(400):
            log.write_bytes(line(NOW + n) * 50)
            source.poll(1)
            log.rename(tmp_path / f"mail.log-{n + 100_000_000:09}")
            assert descriptors() - before < 2 * follow_old.MOST_OPEN + 20
        log.write_bytes(line(NOW + 400))
        found = live(source)
    assert found[-1] == line(NOW + 400)
    assert found[-2] == line(NOW + 399)
    assert source.counters["lost"] == len([one for one in said if "the oldest, are lost" in one.text]) > 100
    source.close()


def test_heads_know_each_other_whatever_their_length() -> None:
    heads = predecessors._Heads(b"a" * 100)
    heads.add(b"b" * 10)
    heads.add(b"")
    cases = {b"a" * 5: True, b"a" * 60: True, b"a" * 200: True, b"a" * 50 + b"b": False}
    cases |= {b"b" * 100: True, b"b" * 5 + b"c": False, b"c" * 100: False, b"": False}
    assert {head: heads.hold(head) for head in cases} == cases
