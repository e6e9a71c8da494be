"""A reader of our standard output or error that stops reading: lines are lost and counted, and nothing waits for it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import socket
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from pbs_fast.log import targets as log_targets
from pbs_fast.log.targets import PATIENCE, Patience, StreamTarget
from support.own_log import Log

pytestmark = pytest.mark.system

LINE = "added 192.0.2.1 to DB user=ann format=dovecot host=hub until=2026-11-02T03:34:05Z"


class Ends:
    """A stream that we write to, and what its reader does."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        if kind == "pipe":
            self.reading, self.writing = os.pipe()
        elif kind == "socket":
            one, two = socket.socketpair()
            self.reading, self.writing = one.detach(), two.detach()
        else:
            self.reading, self.writing = pty.openpty()
            attributes = termios.tcgetattr(self.writing)
            attributes[1] &= ~termios.OPOST
            termios.tcsetattr(self.writing, termios.TCSANOW, attributes)

    def stop(self) -> None:
        """As Ctrl-S does at a terminal; a pipe's reader just does not read."""
        if self.kind == "terminal":
            termios.tcflow(self.writing, termios.TCOOFF)

    def go_on(self) -> None:
        if self.kind == "terminal":
            termios.tcflow(self.writing, termios.TCOON)

    def read(self) -> bytes:
        """All that is there now."""
        found = b""
        os.set_blocking(self.reading, False)
        with suppress(BlockingIOError):
            while part := os.read(self.reading, 65_536):
                found += part
        return found

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture(params=["pipe", "socket", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    made = Ends(request.param)
    yield made
    made.go_on()
    made.close()


@pytest.fixture(params=["opened again", "not allowed"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the stream can be opened once more; not where we dropped root and it is root's."""
    if request.param == "not allowed":
        real = os.open

        def refuse(path: Any, *arguments: Any, **named: Any) -> int:
            if str(path).startswith("/proc/self/fd/"):
                raise PermissionError(13, "Permission denied")
            return real(path, *arguments, **named)

        monkeypatch.setattr(log_targets.os, "open", refuse)


@contextmanager
def watched(seconds: float) -> Iterator[None]:
    """A write that hangs ends the test by name, not by the whole run's patience."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_a_stopped_reader_costs_lines_and_no_time(ends: Ends) -> None:
    log = Log(StreamTarget(ends.writing, timestamped=False))
    flags = fcntl.fcntl(ends.writing, fcntl.F_GETFL)
    ends.stop()
    with watched(PATIENCE + 20):
        for _ in range(5_000):
            log.info(LINE)
            assert fcntl.fcntl(ends.writing, fcntl.F_GETFL) == flags
    assert log.lost > 0
    log.infos([LINE] * 1_000)
    lost = log.lost
    ends.go_on()
    read = ends.read().decode()
    log.info("after")
    read += ends.read().decode()
    assert log.lost == 0
    assert f"\n{read}".endswith(f"\n{lost} lines of this log could not be written\nafter\n")
    # A count that found room when the line behind it found none has been said before.
    counted = sum(map(int, re.findall(r"^([0-9]+) lines of this log could not be written$", read, re.MULTILINE)))
    assert read.count(f"{LINE}\n") + counted == 6_000


def test_a_slow_reader_gets_everything(ends: Ends) -> None:
    log = Log(StreamTarget(ends.writing, timestamped=False))
    found: list[bytes] = []
    wanted = 4_000 * (len(LINE) + 1)

    def read() -> None:
        while sum(map(len, found)) < wanted:
            found.append(os.read(ends.reading, 65_536))
            time.sleep(0.001)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for _ in range(40):
        log.infos([LINE] * 100)
        time.sleep(0.002)
    reader.join(timeout=60)
    assert log.lost == 0
    assert b"".join(found) == f"{LINE}\n".encode() * 4_000


def test_a_run_that_ends_by_itself_waits() -> None:
    """`import-config --check` reads such a run's lines and counts on each of them."""
    ends = Ends("pipe")
    log = Log(StreamTarget(ends.writing, timestamped=False, waits=True))
    writer = threading.Thread(target=lambda: log.infos([LINE] * 3_000), daemon=True)
    writer.start()
    time.sleep(PATIENCE + 0.3)
    found = b""
    while len(found) < 3_000 * (len(LINE) + 1):
        found += os.read(ends.reading, 65_536)
    writer.join(timeout=60)
    assert log.lost == 0
    ends.close()


def test_patience_is_a_second_and_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    spent: list[float] = []

    class Poll:
        """A descriptor that never becomes ready: the wait takes the time that it is given."""

        def register(self, descriptor: int, events: int) -> None:
            pass

        def poll(self, milliseconds: float) -> list[tuple[int, int]]:
            nonlocal now
            spent.append(milliseconds / 1000)
            now += milliseconds / 1000
            return []

    monkeypatch.setattr(log_targets, "select", SimpleNamespace(poll=Poll, POLLOUT=select.POLLOUT))
    patience = Patience(lambda: now)
    for passed in (0, 0, 0, 10, 1_000_000):
        now += passed
        assert not patience.wait(0)
    assert spent == pytest.approx([PATIENCE, 0, 0, 0.5, PATIENCE])


def test_in_the_background_no_terminal_is_kept() -> None:
    """The descriptor becomes /dev/null; whoever waits for the end of our output must see it."""
    reading, writing = os.pipe()
    log = Log(StreamTarget(writing, timestamped=False))
    log.info("one")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, writing)
    log.info("two")
    assert os.read(reading, 100) == b"one\n"
    assert os.read(reading, 100) == b""
    for each in (null, reading, writing):
        os.close(each)
