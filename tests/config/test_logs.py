"""The daemon's own log: the old program's line, three levels, and faults that never reach the caller."""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.errors import LogError
from pbs_fast.logs import Log

#: 2026-11-02 03:04:05 UTC
NOW = 1_793_588_645.9


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_line_is_stamp_blank_text(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    path.write_text("before\n")
    log = Log(str(path), clock=lambda: NOW)
    log.info("added 192.0.2.1 to DB")
    log.warning("mind this")
    log.debug("not asked for")
    log.close()
    assert path.read_text() == "before\nNov  2 03:04:05 added 192.0.2.1 to DB\nNov  2 03:04:05 mind this\n"


def test_debug_lines_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    log = Log(str(path), debug=True, clock=lambda: NOW)
    assert log.informing
    assert log.debugging
    log.debug("found it")
    assert path.read_text() == "Nov  2 03:04:05 found it\n"
    assert path.stat().st_mode & 0o137 == 0


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("-", clock=lambda: NOW)
    log.info("one")
    log.reopen()
    log.close()
    assert capfd.readouterr() == ("Nov  2 03:04:05 one\n", "")
    os.fstat(1)


def test_without_a_log_only_warnings_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(None, debug=True)
    assert not log.informing
    assert not log.debugging
    log.debug("no")
    log.info("no")
    log.warning("the disk is full")
    assert capfd.readouterr() == ("", "the disk is full\n")


@given(st.text(st.characters(), max_size=40))
def test_one_line_stays_one_line(text: str) -> None:
    reading, writing = os.pipe()
    saved = os.dup(1)
    os.dup2(writing, 1)
    try:
        Log("-", clock=lambda: NOW).info(text)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    shown = data.decode()
    assert shown.startswith("Nov  2 03:04:05 ")
    assert len(shown.splitlines()) == 1
    assert shown.endswith("\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


def test_bytes_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    Log(str(path), clock=lambda: NOW).info(b"user \xff\xfe\x1b".decode(errors="surrogateescape"))
    assert path.read_text().endswith(" user \\xff\\xfe\\x1b\n")


def test_reopen_follows_a_rotation_and_a_new_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = Log("own.log", clock=lambda: NOW)
    monkeypatch.chdir("/")
    log.info("one")
    (tmp_path / "own.log").rename(tmp_path / "own.log.1")
    log.info("two")
    log.reopen()
    log.info("three")
    assert [line[16:] for line in (tmp_path / "own.log.1").read_text().splitlines()] == ["one", "two"]
    assert [line[16:] for line in (tmp_path / "own.log").read_text().splitlines()] == ["three"]
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    log.reopen()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_reopen_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "dir" / "own.log"
    path.parent.mkdir()
    log = Log(str(path), clock=lambda: NOW)
    path.parent.rename(tmp_path / "moved")
    log.reopen()
    log.info("still here")
    lines = (tmp_path / "moved" / "own.log").read_text().splitlines()
    assert "cannot open our own log" in lines[0]
    assert "No such file or directory; still writing" in lines[0]
    assert lines[1].endswith(" still here")


@pytest.mark.parametrize("target", ["/no/such/place/log", "/", "/dev/null/x", "a\0b"])
def test_a_log_that_cannot_be_opened_is_one_line(target: str) -> None:
    with pytest.raises(LogError, match="cannot open our own log ") as caught:
        Log(target)
    assert caught.value.exit_status == 1
    assert f"uid {os.geteuid()}" in str(caught.value)


def test_a_named_pipe_without_a_reader_does_not_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LogError, match="No such device or address"):
        Log(str(tmp_path / "pipe"))


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes of a file fail or are cut short, as on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_was_lost_is_said_and_a_torn_line_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    log = Log(str(path), clock=lambda: NOW)
    log.info("whole")
    with disk_full_at(path.stat().st_size + 20):
        log.info("cut off here and not in the next line")
        log.info("lost")
        assert log.lost == 2
    log.info("after")
    assert log.lost == 0
    assert [line[16:] for line in path.read_text().splitlines()] == [
        "whole",
        "cut ",
        "2 lines of this log could not be written",
        "after",
    ]


def test_writing_after_close_or_into_a_closed_pipe_is_no_fault() -> None:
    log = Log("-", clock=lambda: NOW)
    log.close()
    log.warning("into the void")
    assert log.lost == 1
    reading, writing = os.pipe()
    os.close(reading)
    saved = os.dup(1)
    os.dup2(writing, 1)
    try:
        piped = Log("-")
        piped.info("x")
        assert piped.lost == 1
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(writing)
