"""What all tables in files hold besides their rows: the file itself, who owns it, what else may lie there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import list_rows, open_table
from pbs_fast.tables.registry import parse
from tables.conftest import ACTED_ON, EXIM_LMDB, FILE_TYPES, KINDS, Opener, Reader, grant, value_of

A, B, SIX = "203.0.113.5", "203.0.113.6", "2001:db8::1"
file_types = pytest.mark.parametrize("kind", KINDS)


def file_of(kind: str, opened: Opener) -> Path:
    file = parse(opened.spec(kind)).file
    assert file is not None
    return file


@file_types
def test_bytes_have_no_trailing_nul(kind: str, opened: Opener) -> None:
    table = opened(kind)
    table.rebuild({A: grant()})
    table.close()
    found = parse(opened.spec(kind)).kind
    pairs = getattr(__import__(found.module, fromlist=["x"]), found.name).pairs(table.file, wait=1)
    assert pairs == [(A.encode(), value_of(kind).encode())]


@file_types
@pytest.mark.parametrize("first", ["rebuild", "apply"])
def test_each_start_writes_a_new_file(kind: str, first: str, opened: Opener) -> None:
    """kill -9 leaves hash files that lost rows silently, so no file is gone on with."""
    table = opened(kind)
    table.rebuild({A: grant()})
    assert table.file is not None
    before = table.file.stat()
    table.close()
    again = opened(kind)
    if first == "rebuild":
        again.rebuild({A: grant()})
    else:
        again.apply(Delta({A: grant()}))
    after = table.file.stat()
    assert after.st_ino != before.st_ino
    assert not list(table.file.parent.glob("*.tmp"))


@pytest.mark.parametrize(
    "kind", [*(kind for kind in FILE_TYPES if kind != "lmdb"), "sendmail"]
)  # Postfix does not look at lmdb's
def test_modification_time_is_new_each_time(kind: str, opened: Opener) -> None:
    """Five changes in one second show five whole seconds, and a rebuild or restart shows another still."""
    table = opened(kind)
    assert table.file is not None
    seen = [table.file.stat().st_mtime]
    table.rebuild({})
    seen.append(table.file.stat().st_mtime)
    end = time.monotonic() + 60
    while True:
        start = time.monotonic()
        for i in range(5):
            table.apply(Delta({f"10.0.0.{i}": grant()}))
            seen.append(table.file.stat().st_mtime)
        if time.monotonic() - start < 1:
            break
        assert start < end, "five changes never fell into one second"
    table.close()
    again = opened(kind)
    again.rebuild({})
    seen.append(table.file.stat().st_mtime)
    assert seen == sorted(set(seen)), "strictly growing"
    assert all(time == int(time) for time in seen)


@file_types
def test_renewals_do_not_touch_the_file(kind: str, opened: Opener) -> None:
    table = opened(kind)
    table.rebuild({A: grant()})
    assert table.file is not None
    before = table.file.stat()
    table.apply(Delta({A: grant(expires=2_000_000_600, why="renewed")}))
    after = table.file.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind != "text" and kind not in ACTED_ON]
)  # text lines hold no value
def test_values_that_name_users_are_not_for_all(kind: str, opened: Opener) -> None:
    table = opened(kind, value="ok {user} {expires}")
    table.rebuild({A: grant(1_900_000_000, "ann@here.test")})
    assert table.file is not None
    assert stat.S_IMODE(table.file.stat().st_mode) == 0o640


@file_types
def test_mode_is_0644_whatever_the_umask(kind: str, opened: Opener) -> None:
    before = os.umask(0o077)
    try:
        table = opened(kind)
    finally:
        os.umask(before)
    assert table.file is not None
    assert stat.S_IMODE(table.file.stat().st_mode) == 0o644


@file_types
@pytest.mark.parametrize("how", ["removed", "replaced", "emptied"])
def test_a_vanished_table_is_put_back(kind: str, how: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind)
    table.rebuild({A: grant(), SIX: grant()})
    assert table.file is not None
    if how == "removed":
        table.file.unlink()
    else:
        other = table.file.with_name("other")
        other.write_bytes(b"" if how == "emptied" else b"junk" * 2000)
        other.rename(table.file)
    table.heartbeat()
    assert sorted(reader.rows(opened.spec(kind))) == [SIX, A]


@file_types
def test_rows_of_others_are_not_touched(kind: str, opened: Opener, reader: Reader) -> None:
    """A table that holds other rows is refused, naming three; with adopt they go."""
    file = file_of(kind, opened)
    third = "192.0.2.1" if kind != "text" else "192.0.2"  # without values an address is ours
    no, ok = "deny" if kind in ACTED_ON else "REJECT", value_of(kind)
    _write_pairs(kind, file, {"example.com": no, "10": ok, third: no, A: ok})
    before = file.read_bytes()
    table = opened(kind)
    for attempt in (table.load, lambda: table.rebuild({}), lambda: table.apply(Delta({B: grant()}))):
        with pytest.raises(TableError, match=r"holds 3 rows that are not ours .*example\.com.*adopt = true"):
            attempt()
    table.close()
    assert file.read_bytes() == before
    adopting = opened(kind, adopt=True)
    assert list(adopting.load()) == [A]
    adopting.apply(Delta({SIX: grant()}))
    assert reader.rows(opened.spec(kind)) == {A: ok, SIX: ok}


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (kind, other)
        for kind in KINDS
        for other in ("junk", *FILE_TYPES)
        # lmdb for Exim and sendmail have a suffix or keys of their own, not a format
        if other != kind.partition("?")[0] and (kind, other) != ("sendmail", "hash")
    ],
)
def test_a_file_of_another_kind_is_not_touched(kind: str, other: str, opened: Opener, directory: Path) -> None:
    file = file_of(kind, opened)
    if other == "junk":
        file.write_bytes(b"# an administrator's own notes\n" * 300)
    else:
        made = open_table(f"{other}:{directory}/made")
        made.rebuild({A: grant()})
        made.close()
        assert made.file is not None
        made.file.rename(file)
    _is_refused(kind, file, opened, r"relay.* (not|is) .*move it away")


def _is_refused(kind: str, file: Path, opened: Opener, message: str) -> None:
    """Whatever is tried, and also where the file may be taken over."""
    before = file.read_bytes()
    table = opened(kind, adopt=True)
    for attempt in (table.load, lambda: table.rebuild({}), lambda: table.apply(Delta({A: grant()}))):
        with pytest.raises(TableError, match=message):
            attempt()
    assert file.read_bytes() == before


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb", EXIM_LMDB])  # cdb and text files name no version
def test_another_version_of_the_format_is_not_touched(kind: str, ours: bool, opened: Opener) -> None:
    table = opened(kind)
    table.rebuild({A: grant()})
    table.close()
    file = file_of(kind, opened)
    content = bytearray(file.read_bytes())
    # Berkeley DB: behind the magic number at byte 12; LMDB: behind the one at byte 16, in both meta pages.
    for at in (16,) if kind in ("hash", "btree") else (20, 4096 + 20):
        assert content[at] in (1, 9)
        content[at] = 77
    file.write_bytes(content)
    if not ours:
        file.with_name(file.name + ".owner").unlink()
    _is_refused(kind, file, opened, r"version.* 77|data format 77")


@file_types
def test_second_owner_is_refused(kind: str, opened: Opener) -> None:
    table = opened(kind)
    code = f"from pbs_fast.tables import open_table\nopen_table({opened.spec(kind)!r})"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"another pbs-fast (pid {os.getpid()}) owns {table.file}" in second.stderr
    table.close()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@file_types
def test_the_same_file_twice_is_refused(kind: str, opened: Opener) -> None:
    first = opened(kind)
    with pytest.raises(TableError, match=f"{first.file} is given twice"):
        opened(kind)
    first.apply(Delta({A: grant()}))
    first.close()
    assert list(opened(kind).load()) == [A]


@file_types
def test_lists_without_making_files(kind: str, opened: Opener, directory: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        list_rows(opened.spec(kind))
    assert list(directory.iterdir()) == []
    table = opened(kind)
    table.rebuild(dict.fromkeys(["9.9.9.9", "10.0.0.1", "2001:db8::1", "10.0.0.10"], grant()))
    table.close()
    before = sorted(path.name for path in directory.iterdir())
    assert [key for key, _ in list_rows(opened.spec(kind))] == ["10.0.0.1", "10.0.0.10", "2001:db8::1", "9.9.9.9"]
    assert sorted(path.name for path in directory.iterdir()) == before


@pytest.mark.parametrize("kind", ["hash", "lmdb"])  # btree is never changed in place
def test_held_lock_fails_soon_and_loses_nothing(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind)
    table.rebuild({A: grant()})
    assert table.file is not None
    reader.hold(table.file, "flock" if kind == "hash" else "fcntl")
    start = time.monotonic()
    with pytest.raises(TableError, match="lock"):
        table.apply(Delta({B: grant()}, (A,)))
    assert time.monotonic() - start > 0.2
    assert list(table.load()) == [A]
    reader.release()
    table.apply(Delta({B: grant()}, (A,)))
    assert reader.rows(table.spec) == {B: "ok"}


@pytest.mark.parametrize("kind", ["hash", "btree"])
def test_noflock_does_not_wait_for_readers(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind, flock=False)
    table.rebuild({})
    assert table.file is not None
    reader.hold(table.file, "flock")
    table.apply(Delta({A: grant()}))
    assert list(table.load()) == [A]


def test_noflock_does_not_go_with_lmdb(opened: Opener, directory: Path) -> None:
    with pytest.raises(UsageError, match="--noflock cannot be used with lmdb:"):
        opened("lmdb", flock=False)
    assert list(directory.iterdir()) == []


def _write_pairs(kind: str, file: Path, pairs: dict[str, str]) -> None:
    """A table as another program would leave it, through the engine itself."""
    if kind == "courier":
        file.write_text("".join(f"{key}\t{value}\n" for key, value in pairs.items()))
    elif kind == "tcprules":
        from pbs_fast.tables.types.cdb import _parts

        data = {"deny": b"D\0", value_of(kind): b"+RELAYCLIENT=\0"}
        file.write_bytes(b"".join(_parts((key.encode(), data[value]) for key, value in pairs.items())))
    elif kind == "text":
        file.write_text("".join(f"{key}\n" for key in pairs))
    elif kind == "cdb":
        from pbs_fast.tables.types.cdb import _parts

        content = _parts((key.encode(), value.encode()) for key, value in pairs.items())
        file.write_bytes(b"".join(content))
    elif kind.startswith("lmdb"):
        import lmdb

        pinned: Any = {"lib_version": 0} if hasattr(lmdb.Environment, "lib_version") else {}
        env = lmdb.open(str(file), subdir=False, lock=False, **pinned)
        with env.begin(write=True) as txn:
            for key, value in pairs.items():
                txn.put(key.encode(), value.encode())
        env.close()
    else:
        from berkeleydb import db

        handle = db.DB()
        method = db.DB_HASH if kind in ("hash", "sendmail") else db.DB_BTREE
        handle.open(str(file), None, method, db.DB_CREATE, 0o644)
        for key, value in pairs.items():
            handle.put(key.encode(), value.encode())
        handle.close()
