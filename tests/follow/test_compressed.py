"""Rotated files that were compressed before they were read: what the state machine does not vary."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mta import let_others_in
from pbs_fast.sources.file import archive as follow_archive
from pbs_fast.sources.file import listing
from pbs_fast.sources.file.names import RotatedName, siblings
from pbs_fast.sources.file.position import Position
from pbs_fast.sources.file.source import GRACE, FileSource

pytestmark = pytest.mark.system

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstd.compress,
}


class Log:
    """A followed log that is rotated with compression at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.count = 0
        self.append()
        self.source = FileSource(path, clock=lambda: self.now)
        self.read()

    def append(self, lines: int = 1) -> list[bytes]:
        """Write numbered lines."""
        fresh = [b"%06d %s" % (self.count + number, b"x" * 50) for number in range(lines)]
        self.count += lines
        with self.path.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in fresh))
        return fresh

    def rotate(self, ending: str, pack: Callable[[bytes], bytes]) -> Path:
        """Rename, create, compress; the compressed file."""
        for number in range(8, 0, -1):
            for old in self.path.parent.glob(f"{self.path.name}.{number}*"):
                old.rename(str(old).replace(f".log.{number}", f".log.{number + 1}"))
        packed = self.path.with_name(f"{self.path.name}.1{ending}")
        packed.write_bytes(pack(self.path.read_bytes()))
        self.path.unlink()
        self.path.touch()
        return packed

    def read(self) -> list[bytes]:
        found: list[bytes] = []
        while True:
            for piece in self.source.poll():
                found += piece.data[piece.start : piece.stop].splitlines()
            if not self.source.behind:
                return found

    def said(self, kind: str) -> list[str]:
        return [notice.text for notice in self.source.notices if notice.kind == kind]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "mail.log")


@pytest.mark.parametrize("ending", PACK)
def test_what_came_and_was_compressed_unseen_is_read_in_order(log: Log, ending: str) -> None:
    expected = log.append(2000)
    log.rotate(ending, PACK[ending])
    expected += log.append(3000)
    log.rotate(ending, PACK[ending])
    expected += log.append(1)
    log.rotate(ending, PACK[ending])
    expected += log.append(10)
    assert log.read() == expected
    assert log.source.counters["overtaken"] == 2, "the first was held open"
    assert len(log.said("rotated")) == 3
    log.now += 2 * GRACE
    assert log.read() == []
    assert log.read() == [] == log.said("lost")


@pytest.mark.parametrize("ending", PACK)
def test_a_checkpoint_goes_on_in_the_middle_of_a_compressed_file(log: Log, ending: str) -> None:
    expected = log.append(50_000)
    first = [line for piece in log.source.poll(1_000_000) for line in piece.data[piece.start : piece.stop].splitlines()]
    position = log.source.position()
    assert position is not None
    log.source.close()
    log.rotate(ending, PACK[ending])
    expected += log.append(5)
    log.source = FileSource(log.path, start=Position.from_json(position.to_json()))
    rest = log.read()
    assert 0 < len(first) < len(expected)
    assert first[: len(expected) - len(rest)] + rest == expected
    assert log.said("lost") == []


@pytest.mark.parametrize("ending", list(PACK))
def test_one_that_begins_with_a_hole_is_not_read_again_after_a_restart(log: Log, ending: str) -> None:
    os.truncate(log.path, 0)
    os.truncate(log.path, 1000)
    fresh = log.append(2)
    assert log.read() == fresh
    rotated = log.path.with_name("mail.log.1")
    log.path.rename(rotated)
    log.append()
    log.read()
    log.now += GRACE + 1
    log.read()
    position = log.source.position()
    assert position is not None
    assert not position.others, "the rotated file is closed"
    log.path.unlink()
    fresh = log.append()
    with rotated.open("ab") as file:
        file.write(b"late\n")
    rotated.with_name(f"mail.log.1{ending}").write_bytes(PACK[ending](rotated.read_bytes()))
    rotated.unlink()
    log.source = FileSource(log.path, start=Position.from_json(position.to_json()))
    assert log.read() == [b"late", *fresh]
    assert log.source.counters["overtaken"] == 1


def test_it_is_taken_in_bounded_steps(log: Log) -> None:
    """To pass over what was read of a large file must not stop the daemon."""
    log.append(400_000)
    log.read()
    position = log.source.position()
    assert position is not None
    log.source.close()
    log.append(1)
    log.rotate(".gz", lambda data: gzip.compress(data, 1))
    log.source = FileSource(log.path, start=position)
    log.source.open()
    polls = 1
    while not log.source.poll(1_000_000):
        polls += 1
        assert polls < 100
    assert polls > 20


def damaged(data: bytes) -> bytes:
    return gzip.compress(data[:300_000]) + b"no member of a gzip file"


def test_of_a_damaged_file_what_can_be_had_is_read_and_the_rest_is_said(log: Log) -> None:
    log.rotate(".gz", gzip.compress)
    expected = log.append(10_000)
    log.rotate(".gz", damaged)
    after = log.append(3)
    found = log.read()
    assert found[-3:] == after
    read = len(found) - 3
    assert read == 300_000 // 58
    assert found[:read] == expected[:read]
    (text,) = log.said("lost")
    assert "mail.log.1.gz" in text
    assert f"lines after byte {read * 58} of its text are lost" in text
    assert log.source.counters["lost"] == 1
    log.now += 2 * GRACE
    log.read()
    assert log.source.counters["lost"] == 1


def test_a_file_that_its_compressor_is_still_writing_is_waited_for(log: Log) -> None:
    log.rotate(".gz", gzip.compress)
    expected = log.append(10_000)
    whole = b""

    def half(data: bytes) -> bytes:
        nonlocal whole
        whole = gzip.compress(data)
        return whole[: len(whole) // 2]

    packed = log.rotate(".gz", half)
    after = log.append(3)
    begun = log.read()
    assert begun[-3:] == after, "nothing newer waits for it"
    assert log.said("lost") == []
    log.now += GRACE - 1
    with packed.open("ab") as file:
        file.write(whole[len(whole) // 2 :])
    assert begun[:-3] + log.read() == expected
    log.now += 2 * GRACE
    log.read()
    assert log.said("lost") == []


def test_one_that_stays_cut_off_is_said_after_the_grace_time(log: Log) -> None:
    log.rotate(".gz", gzip.compress)
    log.append(10_000)
    log.rotate(".gz", lambda data: gzip.compress(data)[:5000])
    log.append(3)
    log.read()
    log.now += GRACE - 1
    log.read()
    assert log.said("lost") == []
    log.now += 2
    log.read()
    (text,) = log.said("lost")
    assert "cut off within its gzip data" in text
    assert log.source.counters["lost"] == 1


def test_an_unknown_compression_is_said_only_where_something_is_lost(log: Log) -> None:
    """The first is what became of the file that we hold open; the second was never seen in the clear."""
    log.append()
    log.rotate(".lz4", lambda data: b"\x04\x22\x4d\x18" + data[::-1])
    expected = log.append()
    assert log.read()[-1:] == expected
    assert log.said("lost") == []
    log.rotate(".lz4", lambda data: b"\x04\x22\x4d\x18" + data[::-1])
    log.append()
    log.rotate(".lz4", lambda data: b"\x04\x22\x4d\x18" + data[::-1])
    expected = log.append()
    assert log.read() == expected
    (text,) = log.said("lost")
    assert "mail.log.1.lz4 is compressed in an unknown way" in text
    assert "its lines are lost" in text


@pytest.mark.skipif(os.geteuid() != 0, reason="must become another user")
def test_one_that_may_not_be_read_is_said(log: Log) -> None:
    let_others_in(log.path.parent)
    log.path.chmod(0o644)
    log.rotate(".gz", gzip.compress)
    log.append()
    log.rotate(".gz", gzip.compress).chmod(0o600)
    log.path.chmod(0o644)
    expected = log.append()
    os.seteuid(65534)
    try:
        assert log.read() == expected
    finally:
        os.seteuid(0)
    (text,) = log.said("lost")
    assert "mail.log.1.gz" in text
    assert "not readable for uid 65534" in text


def test_a_compressor_that_is_done_between_listing_and_opening(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain file is listed, and gone when it is opened: the compressed one is there by then."""
    log.rotate(".gz", gzip.compress)
    expected = log.append()
    packed = log.rotate(".gz", gzip.compress)
    expected += log.append()
    stale = [[RotatedName(str(packed)[:-3], str(packed)[:-3], 1)]]
    monkeypatch.setattr(listing, "siblings", lambda path: stale.pop() if stale else siblings(path))
    assert log.read() == expected
    assert stale == []


def test_without_waiting_a_compressor_at_work_would_cost_lines(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above can fail."""
    monkeypatch.setattr(follow_archive, "CutOffError", ZeroDivisionError)
    with pytest.raises(AssertionError):
        test_a_file_that_its_compressor_is_still_writing_is_waited_for(log)
