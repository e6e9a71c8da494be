"""The file source beyond the state machine: absence, rights, links, pipes, pairs of writers, wake-ups, fairness."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mta import let_others_in
from pbs_fast.sources.file.position import display
from pbs_fast.sources.file.source import FileSource
from pbs_fast.sources.lines import TOO_LONG, cut
from pbs_fast.sources.wakeup import Hints, Pause


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read(source: FileSource, budget: int = 1 << 20) -> list[bytes]:
    found: list[bytes] = []
    while True:
        for piece in source.poll(budget):
            found += piece.data[piece.start : piece.stop].splitlines()
        if not source.behind:
            return found


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


def kinds(source: FileSource) -> list[str]:
    return [notice.kind for notice in source.notices]


def test_a_missing_log_is_said_once_waited_for_and_read_from_its_first_line(log: Path) -> None:
    source = FileSource(log, start="replay")
    for _ in range(5):
        assert read(source) == []
    assert kinds(source) == ["missing"]
    assert source.timeout() > 0
    append(log, b"one\n")
    assert read(source) == [b"one"]
    assert kinds(source) == ["missing", "found"]
    assert source.trouble is None


def test_the_pauses_grow_to_their_bounds(log: Path) -> None:
    source = FileSource(log, hints=Hints(enabled=False))
    pauses = []
    for _ in range(20):
        source.poll()
        pauses.append(source.timeout())
    assert pauses == sorted(pauses)
    assert pauses[0] <= 0.002
    assert pauses[-1] == 2.0
    append(log, b"one\n")
    source.poll()
    assert source.timeout() == 0.001
    for _ in range(20):
        source.poll()
    assert source.timeout() == 0.25


def test_a_short_absence_within_a_rotation_is_not_worth_a_notice(log: Path) -> None:
    clock = Clock()
    append(log, b"one\n")
    source = FileSource(log, clock=clock)
    read(source)
    log.rename(log.with_name("mail.log.1"))
    read(source)
    clock.now = 4.9
    read(source)
    assert kinds(source) == []
    clock.now = 5.1
    read(source)
    assert kinds(source) == ["missing"]
    append(log.with_name("mail.log.1"), b"still\n")
    assert read(source) == [b"still"]


@pytest.mark.skipif(os.geteuid() != 0, reason="must become another user")
def test_an_unreadable_log_names_user_and_mode_and_is_read_when_it_can_be(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    log = tmp_path / "mail.log"
    append(log, b"one\n")
    log.chmod(0o600)
    source = FileSource(log)
    os.seteuid(65534)
    try:
        assert read(source) == []
        assert read(source) == []
        assert kinds(source) == ["unreadable"]
        text = source.notices[0].text
        for part in (str(log), "nobody", "-rw-------", "root:root"):
            assert part in text
    finally:
        os.seteuid(0)
    log.chmod(0o644)
    os.seteuid(65534)
    try:
        assert read(source) == [b"one"]
        assert kinds(source) == ["unreadable", "found"]
    finally:
        os.seteuid(0)


def test_a_new_file_that_is_not_readable_yet_leaves_the_old_one_followed(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, b"one\n")
    source = FileSource(log)
    read(source)
    log.rename(log.with_name("mail.log.1"))
    append(log, b"new\n")
    really = os.open

    def refuse(path: str, *rest: int) -> int:
        if path == str(log):
            raise PermissionError(13, "Permission denied")
        return really(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    append(log.with_name("mail.log.1"), b"late\n")
    assert read(source) == [b"late"]
    assert kinds(source) == ["unreadable"]
    monkeypatch.undo()
    assert read(source) == [b"new"]


@pytest.mark.parametrize("kind", ["directory", "socket"])
def test_what_is_no_log_is_waited_for(log: Path, kind: str) -> None:
    unix = socket.socket(socket.AF_UNIX)
    if kind == "directory":
        log.mkdir()
    else:
        unix.bind(str(log))
    source = FileSource(log)
    assert read(source) == []
    assert kinds(source) == ["not-a-log"]
    log.rmdir() if kind == "directory" else log.unlink()
    unix.close()
    append(log, b"one\n")
    assert read(source) == [b"one"]


def test_a_symbolic_link_that_is_turned_is_a_rotation(tmp_path: Path) -> None:
    link, first, second = tmp_path / "current", tmp_path / "one", tmp_path / "two"
    append(first, b"1\n")
    append(second, b"2\n")
    link.symlink_to(first)
    source = FileSource(link)
    assert read(source) == [b"1"]
    append(first, b"1 late\n")
    (tmp_path / "new").symlink_to(second)
    (tmp_path / "new").rename(link)
    assert read(source) == [b"1 late", b"2"]
    append(first, b"1 later\n")
    append(second, b"2 more\n")
    assert read(source) == [b"1 later", b"2 more"]


def test_a_log_that_is_renamed_back_is_not_read_twice(log: Path) -> None:
    clock = Clock()
    other = log.with_name("mail.log.1")
    source = FileSource(log, clock=clock)
    for wait in (0.0, 1000.0):  # while the old file is still open, and after
        append(log, b"a\n")
        read(source)
        log.rename(other)
        append(log, b"b\n")
        assert read(source) == [b"b"]
        clock.now += wait
        read(source)
        log.unlink()
        other.rename(log)
        append(log, b"c\n")
        assert read(source) == [b"c"]


def test_the_rotated_file_is_closed_after_the_grace_time_with_its_half_line_counted(log: Path) -> None:
    clock = Clock()
    append(log, b"one\nhal")
    source = FileSource(log, clock=clock, grace=60)
    read(source)
    log.rename(log.with_name("mail.log.1"))
    log.touch()
    read(source)
    clock.now = 1000.0
    append(log.with_name("mail.log.1"), b"f\n")  # nobody writes to the new one: the writer has not moved
    assert read(source) == [b"half"]
    append(log.with_name("mail.log.1"), b"again hal")
    append(log, b"new\n")
    assert read(source) == [b"new"]
    clock.now = 1059.0
    append(log.with_name("mail.log.1"), b"f of another\n")  # a second writer
    assert read(source) == [b"again half of another"]
    append(log.with_name("mail.log.1"), b"end")
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    clock.now = 1119.5
    read(source)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files - 1
    assert source.counters["partial_lost"] == 1


def test_more_in_the_new_file_waits_until_the_old_one_is_read(log: Path) -> None:
    append(log, b"".join(b"old %d\n" % n for n in range(2000)))
    source = FileSource(log, chunk=1000)
    source.poll(1)
    log.rename(log.with_name("mail.log.1"))
    append(log, b"new\n")
    got = read(source, 100)
    assert got[-1] == b"new"
    assert got[-2] == b"old 1999"
    assert b"new" not in got[:-1]


@pytest.mark.parametrize("name", [b"mail\xff.log", b"mail\nforged.log"])
def test_any_path_is_followed_and_shown_in_one_line(tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    source = FileSource(path)
    read(source)
    with open(path, "wb") as file:
        file.write(b"one\n")
    assert read(source) == [b"one"]
    os.rename(path, path + b".1")  # noqa: PTH104
    with open(path, "wb") as file:
        file.write(b"two\n")
    assert read(source) == [b"two"]
    for notice in source.notices:
        assert notice.text.isprintable()
        assert notice.text.isascii()
    assert "\n" not in display(os.fsdecode(path))


def test_start_at_the_end_is_behind_the_last_whole_line(log: Path) -> None:
    append(log, b"old\nhal")
    source = FileSource(log, start="replay")
    assert read(source) == []
    append(log, b"f\nnew\n")
    assert read(source) == [b"half", b"new"]


def test_start_at_the_end_inside_an_endless_line_drops_its_rest(log: Path) -> None:
    append(log, b"old\n" + b"x" * 100_000)
    source = FileSource(log, start="replay")
    assert read(source) == []
    append(log, b" login: rip=192.0.2.1\nnew\n")
    assert read(source) == [b"new"]
    position = source.position()
    assert position is not None
    assert not position.discarding


def test_a_checkpoint_inside_an_endless_line_keeps_dropping(log: Path) -> None:
    append(log, b"old\n" + b"x" * 100_000)
    source = FileSource(log)
    read(source)
    position = source.position()
    assert position is not None
    source.close()
    append(log, b" login: rip=192.0.2.1\nnew\n")
    assert read(FileSource(log, start=type(position).from_json(position.to_json()))) == [b"new"]


@pytest.mark.parametrize("size", [TOO_LONG - 1, TOO_LONG, 3_000_000])
def test_a_long_line_is_one_line_for_the_matcher_and_bounded_in_memory(log: Path, size: int) -> None:
    source = FileSource(log)
    for begin in range(0, size, 50_000):
        append(log, b"x" * min(50_000, size - begin))
        for piece in source.poll():
            assert piece.stop - piece.start == TOO_LONG
    append(log, b"\nnext\n")
    assert read(source)[-1] == b"next"


def test_a_large_hole_is_crossed_without_reading_it(log: Path) -> None:
    append(log, b"first\n")
    source = FileSource(log)
    read(source)
    os.truncate(log, 0)
    os.truncate(log, 40 << 30)
    append(log, b"second\n")
    began = time.process_time()
    assert read(source) == [b"second"]
    assert time.process_time() - began < 1
    assert source.counters["nul_bytes"] == 40 << 30


def with_a_hole(log: Path, text: bytes) -> None:
    """What a truncation leaves of a log whose writer goes on where it was."""
    size = log.stat().st_size
    os.truncate(log, 0)
    os.truncate(log, size)
    append(log, text)


def test_a_checkpoint_without_the_text_behind_a_hole_is_still_good(log: Path) -> None:
    append(log, b"before\n" * 100)
    with_a_hole(log, b"one\n")
    source = FileSource(log)
    assert read(source) == [b"one"]
    position = source.position()
    assert position is not None
    value = position.to_json()
    assert (value.pop("hole"), bytes.fromhex(value.pop("text"))) == (700, b"one\n")
    append(log, b"two\n")
    later = FileSource(log, start=type(position).from_json(value))
    assert read(later) == read(source) == [b"two"]
    assert later.position() == source.position()


def test_a_file_is_known_by_its_text_behind_a_hole(log: Path) -> None:
    """Two logs with equal holes and equal last lines: neither first bytes nor the last ones tell them apart."""
    last = b"x" * 300 + b"\n"
    append(log, b"-" * 700)
    with_a_hole(log, b"one\n" + last)
    source = FileSource(log)
    assert read(source) == [b"one", last[:-1]]
    position = source.position()
    os.truncate(log, 0)
    os.truncate(log, 700)
    append(log, b"two\n" + last)
    assert position is not None
    with log.open("rb") as file:
        assert not position.fits(file.fileno())
    assert read(FileSource(log, start=position)) == [b"two", last[:-1]]
    assert read(source) == [b"two", last[:-1]]


def test_of_a_file_that_was_truncated_and_rotated_unseen_copy_and_rest_are_read(log: Path) -> None:
    append(log, b"one\n")
    source = FileSource(log)
    assert read(source) == [b"one"]
    log.rename(log.with_name("mail.log.1"))
    log.touch()
    assert read(source) == []
    position = source.position()
    assert position is not None
    assert len(position.others) == 1
    rotated = log.with_name("mail.log.1")
    append(rotated, b"two\n")
    log.with_name("mail.log.2").write_bytes(rotated.read_bytes())
    with_a_hole(rotated, b"three\n")
    append(log, b"four\n")
    assert read(FileSource(log, start=position)) == [b"two", b"three", b"four"]


def test_nul_inside_a_line_does_not_make_a_line() -> None:
    found = cut(b"\0\0one\0two\n\0\0\0three\n\0", 0, 100, False)
    assert [(piece.data[piece.start : piece.stop], piece.offset, piece.end) for piece in found.pieces] == [
        (b"one\0two\n", 102, 110),
        (b"three\n", 113, 119),
    ]
    assert (found.consumed, found.nul) == (20, 6)


def test_a_pipe_is_read_across_its_writers(log: Path) -> None:
    os.mkfifo(log)
    source = FileSource(log)
    assert read(source) == []
    with log.open("wb", buffering=0) as first:
        first.write(b"one\ntw")
        assert read(source) == [b"one"]
        assert select.select(source.filenos()[:1], [], [], 0)[0] == []
        first.write(b"o\nhalf of")
        assert select.select(source.filenos()[:1], [], [], 1)[0]
        assert read(source) == [b"two"]
    assert read(source) == []
    assert source.counters["partial_lost"] == 1
    with log.open("wb", buffering=0) as second:
        second.write(b"three\n")
        assert read(source) == [b"three"]
    assert read(source) == []
    assert source.timeout() > 0  # no spinning while nobody writes


def test_a_flood_is_taken_in_bounded_steps(log: Path) -> None:
    append(log, b"x" * 99 + b"\n" * 1)
    log.write_bytes((b"x" * 99 + b"\n") * 100_000)
    source = FileSource(log)
    polls = 0
    total = 0
    while True:
        size = sum(piece.stop - piece.start for piece in source.poll(500_000))
        assert size <= 800_000
        total += size
        polls += 1
        if not source.behind:
            break
        assert source.timeout() == 0
    assert total == 10_000_000
    assert polls >= 13


def test_a_read_error_is_said_once_and_retried(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, b"one\n")
    source = FileSource(log)
    read(source)
    append(log, b"two\n")

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    for _ in range(3):
        assert read(source) == []
    monkeypatch.undo()
    assert read(source) == [b"two"]
    assert kinds(source) == ["read-error"]
    assert source.counters["read_errors"] == 3


def test_a_stale_handle_is_opened_again_where_it_was(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, b"one\n")
    source = FileSource(log)
    read(source)
    append(log, b"two\n")

    def fail(*_: object) -> bytes:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "pread", fail)
    assert read(source) == []
    monkeypatch.undo()
    assert read(source) == [b"two"]


def wait(source: FileSource, timeout: float, others: Sequence[int] = ()) -> list[int]:
    """Sleep as the daemon's loop does; which of `others` are readable."""
    return Pause().wait(source.filenos(), min(timeout, source.timeout()), others)


@pytest.mark.parametrize("enabled", [True, False])
def test_an_append_wakes_the_waiting_reader(log: Path, enabled: bool) -> None:
    """With hints at once; without, within the pause of the timer."""
    append(log, b"one\n")
    source = FileSource(log) if enabled else FileSource(log, hints=Hints(enabled=False))
    for _ in range(15):
        read(source)
    assert source.timeout() == 0.25
    assert (source.filenos() != []) is enabled
    timer = threading.Timer(0.05, append, (log, b"two\n"))
    timer.start()
    # With hints the wait has no end of its own here.
    began = time.monotonic()
    if enabled:
        Pause().wait(source.filenos(), 600)
    else:
        wait(source, 600)
        timer.join()
    assert time.monotonic() - began < 300
    assert read(source) == [b"two"]
    timer.join()


def test_a_rotation_wakes_the_waiting_reader(log: Path) -> None:
    append(log, b"one\n")
    source = FileSource(log)
    for _ in range(15):
        read(source)
    log.rename(log.with_name("mail.log.1"))
    assert select.select(source.filenos(), [], [], 60)[0]
    read(source)
    append(log, b"two\n")
    assert select.select(source.filenos(), [], [], 60)[0]
    assert read(source) == [b"two"]
    append(log.with_name("mail.log.1"), b"late\n")
    assert select.select(source.filenos(), [], [], 60)[0]
    assert read(source) == [b"late"]


def test_another_descriptor_ends_the_wait(log: Path) -> None:
    source = FileSource(log)
    reader, writer = os.pipe()
    for _ in range(15):
        source.poll()
    os.write(writer, b"x")
    assert wait(source, 5, [reader]) == [reader]
    os.close(reader)
    os.close(writer)
