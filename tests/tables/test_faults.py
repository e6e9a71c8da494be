"""Files that somebody else cut, tore, replaced or keeps locked: noticed, never believed, put back by rename."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pbs_fast.errors import TableError
from pbs_fast.events import Delta
from pbs_fast.tables import locks
from pbs_fast.tables.file import base as filetable
from pbs_fast.tables.file import foreign as existing
from pbs_fast.tables.owner import owner_file
from pbs_fast.tables.queue import Pending
from tables.conftest import FILE_TYPES, Opener, Reader, grant

ROWS = {f"10.0.{i >> 8}.{i & 255}": grant() for i in range(3000)}
NEW = "203.0.113.5"
PAGE = 4096

file_types = pytest.mark.parametrize("kind", FILE_TYPES)


def _cut(pages: int) -> Callable[[bytes], bytes]:
    return lambda content: content[: pages * PAGE]


def _zeroed(content: bytes) -> bytes:
    """What a file system that had the length but not the pages leaves after a power failure."""
    return content[: 2 * PAGE] + bytes(len(content) - 2 * PAGE)


TORN = {
    "cut after 1 page": _cut(1),
    "cut after 3 pages": _cut(3),
    "cut in the middle of a page": lambda content: content[: len(content) // 2 + 100],
    "pages of zeros": _zeroed,
}
#: A text file has no pages, and one of NULs might be anybody's.
TORN_TEXT = ("cut in the middle of a page", "cut after 3 pages")


@pytest.mark.parametrize(
    ("kind", "torn"), [(kind, torn) for kind in FILE_TYPES for torn in TORN if kind != "text" or torn in TORN_TEXT]
)
def test_a_torn_file_ends_no_start(
    kind: str, torn: str, opened: Opener, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LMDB would die of it by SIGBUS, Berkeley DB read it for ever; each start would end so."""
    monkeypatch.setattr(existing, "LONGEST_READING", 0.5)
    monkeypatch.setattr(filetable, "START_WAIT", 0.5)
    table = opened(kind)
    table.rebuild(ROWS)
    table.close()
    assert table.file is not None
    table.file.write_bytes(TORN[torn](table.file.read_bytes()))
    before = table.file.stat().st_ino
    again = opened(kind)
    found = again.load()
    assert found.keys() <= ROWS.keys()
    again.rebuild({NEW: grant()})
    assert reader.rows(again.spec) == {NEW: "ok"}
    assert table.file.stat().st_ino != before, "a new file, renamed into place"


def test_a_reading_that_ends_by_a_signal_or_never(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "LONGEST_READING", 0.5)
    file = directory / "relay.lmdb"
    with pytest.raises(existing.DamagedError, match=r"ends by SIGBUS"):
        existing.read_apart(file, lambda: os.kill(os.getpid(), 7), wait=0)  # type: ignore[arg-type, return-value]
    with pytest.raises(existing.DamagedError, match="does not end"):
        existing.read_apart(file, lambda: time.sleep(3600), wait=0)  # type: ignore[arg-type, return-value]
    many = [(str(i).encode(), b"x" * 100) for i in range(50_000)]
    assert existing.read_apart(file, lambda: many, wait=0) == many

    def refused() -> existing.Pairs:
        raise TableError("not a table")

    with pytest.raises(TableError, match=r"^not a table$"):
        existing.read_apart(file, refused, wait=0)


CUT_WHILE_OPEN = """
import os, sys
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import open_table
row = Grant(2_000_000_000, None, "x", "new")
table = open_table(sys.argv[1])
table.rebuild({f"10.0.{i >> 8}.{i & 255}": row for i in range(3000)})
os.truncate(table.file, int(sys.argv[2]))
table.check()
table.apply(Delta({"203.0.113.5": row}))
print(len(table.load()))
"""


@pytest.mark.parametrize("length", [0, 100, 8192])
@file_types
def test_a_file_cut_short_while_it_is_open(kind: str, length: int, directory: Path, reader: Reader) -> None:
    """`> relay.lmdb`, or `cp` over it: a process that looks at the missing pages of its map is killed."""
    spec = f"{kind}:{directory}/relay"
    done = subprocess.run(
        [sys.executable, "-c", CUT_WHILE_OPEN, spec, str(length)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "3001\n"), done.stderr
    assert "another program; restored" in done.stderr
    assert len(reader.rows(spec)) == 3001


def _a_link_elsewhere(file: Path) -> None:
    elsewhere = file.with_name("elsewhere")
    elsewhere.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(elsewhere)


def _a_link_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("nowhere"))


def _a_link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def _a_copy_of_an_old_state(file: Path) -> None:
    """Same length, same rows but one; written over it in the very second of our last change."""
    content = file.read_bytes()
    with file.open("r+b") as opened:
        opened.write(content[:-7] + b"7.8.9.0")


REPLACED: dict[str, Callable[[Path], None]] = {
    "link elsewhere": _a_link_elsewhere,
    "link nowhere": _a_link_nowhere,
    "link to itself": _a_link_to_itself,
    "written over": _a_copy_of_an_old_state,
    "appended to": lambda file: file.write_bytes(file.read_bytes() + b"junk\n"),
    "another type's file": lambda file: file.write_bytes(b"\0" * 12 + b"\x61\x15\x06\0" * 2000),
}


@pytest.mark.parametrize("how", REPLACED)
@file_types
def test_whatever_takes_its_place_is_noticed_at_the_next_look(
    kind: str, how: str, opened: Opener, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    table = opened(kind)
    table.rebuild(ROWS)
    table.apply(Delta({NEW: grant()}))
    assert table.file is not None
    table.check()
    assert caplog.records == [], "what we write ourselves is no surprise"
    REPLACED[how](table.file)
    table.check()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "another program; restored" in caplog.text
    assert set(reader.rows(table.spec)) == {*ROWS, NEW}
    assert not table.file.is_symlink()
    table.check()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("where", ["its place", "the new file's place"])
@file_types
def test_a_directory_in_the_way_is_said_and_waited_for(
    kind: str, where: str, opened: Opener, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    table = opened(kind)
    table.rebuild({NEW: grant()})
    assert table.file is not None
    table.file.unlink()
    directory = table.file if where == "its place" else table.file.with_name(f"{table.file.name}.tmp")
    directory.mkdir()
    pending = Pending(table)
    pending.add(Delta({"203.0.113.6": grant()}))
    for _ in range(3):
        assert not pending.flush(now=True)
        assert "Is a directory" in str(pending.failing)
    assert directory.is_dir(), "it is not ours to remove"
    directory.rmdir()
    assert pending.flush(now=True)
    assert set(reader.rows(table.spec)) == {NEW, "203.0.113.6"}
    assert "another program; restored" in caplog.text


@pytest.mark.parametrize(("kind", "lock"), [("hash", "flock"), ("lmdb", "fcntl")])
def test_a_reader_that_hangs_keeps_nobody_out_for_long(
    kind: str,
    lock: str,
    opened: Opener,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(locks, "LONGEST_BUSY", 1.0)
    table = opened(kind)
    table.rebuild({})
    assert table.file is not None
    inode = table.file.stat().st_ino
    reader.hold(table.file, lock)
    start = time.monotonic()
    pending = Pending(table)
    pending.add(Delta({NEW: grant()}))
    while not pending.flush():
        assert table.file.stat().st_ino == inode
    assert time.monotonic() - start >= 1
    assert table.file.stat().st_ino != inode
    assert reader.rows(table.spec) == {NEW: "ok"}, "before the lock was free"
    taken = [record.message for record in caplog.records if "each change writes a new file" in record.message]
    assert len(taken) == 1
    assert f"process {reader.pid} ('python" in taken[0], "whose lock it is"
    assert "of user root" in taken[0]
    table.apply(Delta({}, (NEW,)))
    assert reader.rows(table.spec) == {}


@pytest.mark.parametrize(("kind", "lock"), [("hash", "flock"), ("lmdb", "fcntl")])
def test_a_lock_renewed_on_each_new_file_delays_one_change_only(
    kind: str,
    lock: str,
    opened: Opener,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A user who may read the table may lock it, and the file that replaces it too."""
    monkeypatch.setattr(locks, "LONGEST_BUSY", 2.0)
    table = opened(kind)
    table.rebuild({})
    assert table.file is not None
    pending = Pending(table)
    took = []
    for number in range(8):
        reader.hold(table.file, lock)
        pending.add(Delta({f"203.0.113.{number}": grant()}))
        start = time.monotonic()
        while not pending.flush(now=True):
            pass
        took.append(time.monotonic() - start)
    assert took[0] >= 2.0
    assert max(took[1:]) < 2.0, took
    assert len(reader.rows(table.spec)) == 8
    assert len([record for record in caplog.records if "each change writes a new file" in record.message]) == 1


@pytest.mark.parametrize("kind", ["flock", "fcntl"])
def test_the_holder_of_a_lock_is_named(kind: str, reader: Reader, directory: Path) -> None:
    file = directory / "file"
    file.write_bytes(b"x")
    with file.open("rb") as opened:
        assert locks.holder(opened.fileno()) == ""
        reader.hold(file, kind)
        assert locks.holder(opened.fileno()).startswith(f"process {reader.pid} ('python")


@file_types
def test_a_strangers_torn_file_is_not_touched(kind: str, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(existing, "LONGEST_READING", 0.5)
    monkeypatch.setattr(filetable, "START_WAIT", 0.5)
    table = opened(kind)
    table.rebuild(ROWS)
    table.close()
    assert table.file is not None
    content = _cut(3)(table.file.read_bytes()) if kind != "hash" else table.file.read_bytes()[:-100]
    table.file.write_bytes(content)
    owner_file(table.file).unlink()
    with pytest.raises(TableError, match="move it away"):
        opened(kind).load()
    assert table.file.read_bytes() == content
