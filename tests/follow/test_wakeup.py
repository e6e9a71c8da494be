"""Pauses between looks: none after a silence, some behind a busy writer, few looks where hints tell of what comes."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_fast.sources import wakeup
from pbs_fast.sources.file.source import FileSource
from pbs_fast.sources.wakeup import BUSY, LONGEST, SHORTEST, Backoff, Hints, Pause

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has inotify")


@pytest.fixture
def hints() -> Iterator[Hints]:
    made = Hints()
    yield made
    made.close()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def wait(hints: Hints) -> None:
    """Until there is a hint."""
    fd = hints.fileno()
    assert fd is not None
    assert select.select([fd], [], [], 60)[0]


@linux
def test_what_a_hint_told_of_is_not_looked_for_again(tmp_path: Path, hints: Hints) -> None:
    log = tmp_path / "mail.log"
    log.touch()
    source = FileSource(log, hints=hints)
    source.poll()
    append(log, "one\n")
    wait(hints)
    assert hints.drain()
    assert source.poll()
    assert source.timeout() == LONGEST
    append(log, "two\n")  # found by the timer: whoever writes gives no hints
    hints.drain()
    hints.drain()
    assert source.poll()
    assert source.timeout() == SHORTEST
    assert not source.poll()
    assert source.timeout() == 2 * SHORTEST
    source.close()


@linux
def test_a_hint_of_another_file_says_nothing(tmp_path: Path, hints: Hints) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        path.touch()
    sources = [FileSource(path, hints=hints) for path in (first, second)]
    for source in sources:
        source.poll()
    append(first, "one\n")
    hints.drain()
    append(second, "one\n")
    wait(hints)
    hints.drain()
    assert [bool(source.poll()) for source in sources] == [True, True]
    assert [source.timeout() for source in sources] == [SHORTEST, LONGEST]
    for path in (first, second):
        append(path, "two\n")
    hints.drain()
    assert len(hints.hinted) == 2
    for source in sources:
        source.close()


def test_without_hints_looks_are_made_again_and_again(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("one\n")
    source = FileSource(log, hints=Hints(enabled=False))
    assert source.poll()
    assert source.timeout() == SHORTEST
    source.close()


def test_the_pause_doubles_up_to_the_longest() -> None:
    backoff = Backoff()
    backoff.something(hinted=True)
    backoff.nothing(absent=False)
    assert backoff.pause == LONGEST
    backoff.something(hinted=False)
    pauses = []
    for _ in range(12):
        backoff.nothing(absent=False)
        pauses.append(backoff.pause)
    assert pauses[:3] == [2 * SHORTEST, 4 * SHORTEST, 8 * SHORTEST]
    assert pauses[-1] == LONGEST


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(wakeup, "time", made)
    return made


def rested(pause: Pause, clock: Time, timeout: float = 1.0) -> float:
    """Seconds that it slept."""
    begun = clock.now
    left = pause.rest(timeout)
    assert left == pytest.approx(timeout - (clock.now - begun))
    return clock.now - begun


def test_after_a_silence_there_is_no_rest(clock: Time) -> None:
    pause = Pause()
    pause.polled()
    clock.sleep(2 * BUSY)
    assert not pause.often
    assert rested(pause, clock) == 0


def test_looks_without_a_silence_between_them_rest_longer(clock: Time) -> None:
    pause = Pause()
    pause.polled()
    rests = []
    while not pause.often:
        rests.append(rested(pause, clock))
        pause.polled()
    assert rests == pytest.approx([SHORTEST * 2**number for number in range(len(rests))])
    assert len(rests) >= 2
    assert rested(pause, clock) == pytest.approx(BUSY)
    clock.sleep(3 * BUSY)
    pause.polled()
    assert not pause.often


@pytest.mark.usefixtures("clock")
def test_what_is_due_sooner_is_not_slept_through() -> None:
    pause = Pause()
    for _ in range(10):
        pause.polled()
    assert pause.often
    assert pause.rest(0.0) == 0.0
    assert pause.rest(BUSY / 10) == pytest.approx(0.0)
