"""One contract, all tables: what DESIGN calls a table must hold for each type, seen from a second process."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import Table, list_rows, open_table
from pbs_fast.tables.pending import Pending
from pbs_fast.tables.spec import TYPES
from tables.conftest import EXIM_TYPES, FILE_TYPES, Opener, Reader, grant

KEYS = ["203.0.113.5", "255.255.255.255", "2001:db8::1", "2001:db8:1:2:3:4:5:6", "::1.2.3.4", "fe80::1"]
NOT_KEYS = ["10", "10.0.0", "203.0.113.005", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "::ffff:203.0.113.5", "[::1]", ""]

all_types = pytest.mark.parametrize("kind", tuple(TYPES))
spelled_types = pytest.mark.parametrize("kind", FILE_TYPES + EXIM_TYPES)
file_types = pytest.mark.parametrize("kind", FILE_TYPES)


def test_every_file_type_is_walked() -> None:
    assert set(FILE_TYPES) == {name for name, kind in TYPES.items() if kind.suffix is not None}


@all_types
def test_load_gives_what_was_applied(kind: str, opened: Opener) -> None:
    table = opened(kind)
    table.rebuild({KEYS[0]: grant()})
    table.apply(Delta({KEYS[2]: grant(), KEYS[1]: grant()}, ()))
    table.apply(Delta({}, (KEYS[0], "198.51.100.1")))
    assert sorted(table.load()) == sorted(KEYS[1:3])
    assert {row.value for row in table.load().values()} == {"ok"}


@spelled_types
def test_second_process_sees_every_change_at_once(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind)
    assert reader.rows(table.spec) == {}, "the empty table stands there as soon as it is opened"
    table.rebuild({})
    for key in KEYS:
        table.apply(Delta({key: grant()}))
        assert key in reader.rows(table.spec)
    assert reader.rows(table.spec) == dict.fromkeys(KEYS, "ok")
    for key in KEYS:
        table.apply(Delta({}, (key,)))
        assert key not in reader.rows(table.spec)
    assert reader.rows(table.spec) == {}


@spelled_types
@pytest.mark.parametrize("key", NOT_KEYS)
def test_only_canonical_addresses_become_keys(kind: str, key: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind)
    table.rebuild({key: grant(), KEYS[0]: grant()})
    assert table.refused == 1
    table.apply(Delta({key: grant(), KEYS[2]: grant()}))
    assert table.refused == 2
    assert reader.rows(table.spec) == {KEYS[0]: "ok", KEYS[2]: "ok"}


@file_types
def test_bytes_have_no_trailing_nul(kind: str, opened: Opener) -> None:
    table = opened(kind)
    table.rebuild({KEYS[0]: grant()})
    table.close()
    module = __import__(TYPES[kind].module, fromlist=["x"])
    pairs = getattr(module, TYPES[kind].name).pairs(table.file, wait=1)
    assert pairs == [(KEYS[0].encode(), b"ok")]


@file_types
def test_twenty_thousand_rows(kind: str, opened: Opener, reader: Reader) -> None:
    rows = {f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}": grant() for i in range(20_000)}
    table = opened(kind)
    table.rebuild(rows)
    table.apply(Delta({KEYS[2]: grant()}, ("10.0.0.0",)))
    there = reader.rows(table.spec)
    assert len(there) == 20_000
    assert KEYS[2] in there
    assert "10.0.0.0" not in there


@spelled_types
def test_reopened_table_keeps_its_rows(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind)
    table.rebuild(dict.fromkeys(KEYS, grant()))
    table.close()
    assert reader.rows(table.spec) == dict.fromkeys(KEYS, "ok"), "closing empties nothing"
    again = opened(kind)
    assert sorted(again.load()) == sorted(KEYS)
    again.apply(Delta({}, (KEYS[0],)))  # before any rebuild: the other rows stay
    assert sorted(reader.rows(table.spec)) == sorted(KEYS[1:])


@file_types
@pytest.mark.parametrize("first", ["rebuild", "apply"])
def test_each_start_writes_a_new_file(kind: str, first: str, opened: Opener) -> None:
    """kill -9 leaves hash files that lost rows silently, so no file is gone on with."""
    table = opened(kind)
    table.rebuild({KEYS[0]: grant()})
    assert table.file is not None
    before = table.file.stat()
    table.close()
    again = opened(kind)
    if first == "rebuild":
        again.rebuild({KEYS[0]: grant()})
    else:
        again.apply(Delta({KEYS[0]: grant()}))
    after = table.file.stat()
    assert after.st_ino != before.st_ino
    assert not list(table.file.parent.glob("*.tmp"))


@pytest.mark.parametrize("kind", [kind for kind in FILE_TYPES if kind != "lmdb"])  # Postfix does not look at lmdb's
def test_modification_time_is_new_each_time(kind: str, opened: Opener) -> None:
    """Five changes in one second show five whole seconds, and a rebuild or restart shows another still."""
    table = opened(kind)
    assert table.file is not None
    seen = [table.file.stat().st_mtime]
    table.rebuild({})
    seen.append(table.file.stat().st_mtime)
    start = time.monotonic()
    for i in range(5):
        table.apply(Delta({f"10.0.0.{i}": grant()}))
        seen.append(table.file.stat().st_mtime)
    assert time.monotonic() - start < 1
    table.close()
    again = opened(kind)
    again.rebuild({})
    seen.append(table.file.stat().st_mtime)
    assert seen == sorted(set(seen)), "strictly growing"
    assert all(time == int(time) for time in seen)


@file_types
def test_renewals_do_not_touch_the_file(kind: str, opened: Opener) -> None:
    table = opened(kind)
    table.rebuild({KEYS[0]: grant()})
    assert table.file is not None
    before = table.file.stat()
    table.apply(Delta({KEYS[0]: grant(expires=2_000_000_600, why="renewed")}))
    after = table.file.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("kind", [kind for kind in FILE_TYPES if kind != "text"])  # its lines hold no value
def test_values_that_name_users(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind, value="ok {user} {expires}")
    table.rebuild({})
    assert table.file is not None
    table.apply(Delta({KEYS[0]: grant(1_900_000_000, "ann@here.test"), KEYS[2]: grant(1_900_000_001, "a b\0")}))
    assert reader.rows(table.spec) == {KEYS[0]: "ok ann@here.test 1900000000", KEYS[2]: "ok a?b? 1900000001"}
    table.apply(Delta({KEYS[0]: grant(1_900_000_900, "ann@here.test", "renewed")}))
    assert reader.rows(table.spec)[KEYS[0]] == "ok ann@here.test 1900000900"
    assert table.load()[KEYS[0]].expires == 1_900_000_900
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


@spelled_types
@pytest.mark.parametrize("how", ["removed", "replaced", "emptied"])
def test_a_vanished_table_is_put_back(kind: str, how: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind)
    table.rebuild(dict.fromkeys(KEYS, grant()))
    assert table.file is not None
    if how == "removed":
        table.file.unlink()
    else:
        other = table.file.with_name("other")
        other.write_bytes(b"" if how == "emptied" else b"junk" * 2000)
        other.rename(table.file)
    table.heartbeat()
    assert sorted(reader.rows(table.spec)) == sorted(KEYS)


@file_types
def test_rows_of_others_are_not_touched(kind: str, opened: Opener, directory: Path, reader: Reader) -> None:
    """A table that holds other rows is refused, naming three; with adopt they go."""
    spec = f"{kind}:{directory}/relay"
    third = "192.0.2.1" if kind != "text" else "192.0.2"  # without values an address is ours
    _write_pairs(kind, directory, {"example.com": "REJECT", "10": "ok", third: "DISCARD", "203.0.113.5": "ok"})
    file = directory / ("relay" + str(TYPES[kind].suffix))
    before = file.read_bytes()
    table = opened(kind)
    for attempt in (table.load, lambda: table.rebuild({}), lambda: table.apply(Delta({KEYS[0]: grant()}))):
        with pytest.raises(TableError, match=r"holds 3 rows that are not ours .*example\.com.*adopt = true"):
            attempt()
    table.close()
    assert file.read_bytes() == before
    adopting = opened(kind, adopt=True)
    assert list(adopting.load()) == ["203.0.113.5"]
    adopting.apply(Delta({KEYS[2]: grant()}))
    assert reader.rows(spec) == {"203.0.113.5": "ok", KEYS[2]: "ok"}


@pytest.mark.parametrize(
    ("kind", "other"), [(kind, other) for kind in FILE_TYPES for other in ("junk", *FILE_TYPES) if other != kind]
)
def test_a_file_of_another_kind_is_not_touched(kind: str, other: str, opened: Opener, directory: Path) -> None:
    file = directory / ("relay" + str(TYPES[kind].suffix))
    if other == "junk":
        file.write_bytes(b"# an administrator's own notes\n" * 300)
    else:
        made = open_table(f"{other}:{directory}/made")
        made.rebuild({KEYS[0]: grant()})
        made.close()
        assert made.file is not None
        made.file.rename(file)
    before = file.read_bytes()
    table = opened(kind, adopt=True)
    for attempt in (table.load, lambda: table.rebuild({}), lambda: table.apply(Delta({KEYS[0]: grant()}))):
        with pytest.raises(TableError, match=r"relay.* (not|is) .*move it away"):
            attempt()
    assert file.read_bytes() == before


@file_types
def test_second_owner_is_refused(kind: str, opened: Opener, directory: Path) -> None:
    table = opened(kind)
    code = f"from pbs_fast.tables import open_table\nopen_table('{kind}:{directory}/relay')"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert f"another pbs-fast (pid {os.getpid()}) owns {table.file}" in second.stderr
    table.close()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@spelled_types
def test_no_row_is_missing_across_rebuilds_and_restarts(kind: str, opened: Opener, reader: Reader) -> None:
    rows = {f"10.0.{i >> 8}.{i & 255}": grant() for i in range(500)}
    table = opened(kind)
    table.rebuild(rows)
    reader.watch(table.spec, list(rows))
    for i in range(30):
        _publish(table, Delta({f"192.0.2.{i}": grant()}, (f"192.0.2.{i - 1}",)))
        table.close()
        table = opened(kind)
        _publish(table, Delta({f"192.0.2.{i + 100}": grant()}))
        table.rebuild(rows)
    seen = reader.watched()
    assert seen["missing"] == []
    assert seen["errors"] == []
    assert seen["polls"] >= 30


def _publish(table: Table, delta: Delta) -> None:
    """As the daemon does: what a reader's lock kept off is tried again."""
    pending = Pending(table)
    pending.add(delta)
    while not pending.flush(now=True):
        assert "lock" in str(pending.failing)


@file_types
def test_lists_without_making_files(kind: str, opened: Opener, directory: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        list_rows(f"{kind}:{directory}/relay")
    assert list(directory.iterdir()) == []
    table = opened(kind)
    table.rebuild(dict.fromkeys(["9.9.9.9", "10.0.0.1", "2001:db8::1", "10.0.0.10"], grant()))
    table.close()
    before = sorted(path.name for path in directory.iterdir())
    assert [key for key, _ in list_rows(table.spec)] == ["10.0.0.1", "10.0.0.10", "2001:db8::1", "9.9.9.9"]
    assert sorted(path.name for path in directory.iterdir()) == before


@pytest.mark.parametrize("kind", ["hash", "lmdb"])  # btree is never changed in place
def test_held_lock_fails_soon_and_loses_nothing(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind)
    table.rebuild({KEYS[0]: grant()})
    assert table.file is not None
    reader.hold(table.file, "flock" if kind == "hash" else "fcntl", 1.0)
    start = time.monotonic()
    with pytest.raises(TableError, match="lock"):
        table.apply(Delta({KEYS[2]: grant()}, (KEYS[0],)))
    assert 0.2 < time.monotonic() - start < 0.6
    assert list(table.load()) == [KEYS[0]]
    time.sleep(1)
    table.apply(Delta({KEYS[2]: grant()}, (KEYS[0],)))
    assert reader.rows(table.spec) == {KEYS[2]: "ok"}


@pytest.mark.parametrize("kind", ["hash", "btree"])
def test_noflock_does_not_wait_for_readers(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind, flock=False)
    table.rebuild({})
    assert table.file is not None
    reader.hold(table.file, "flock", 0.5)
    table.apply(Delta({KEYS[0]: grant()}))
    assert list(table.load()) == [KEYS[0]]


def test_noflock_does_not_go_with_lmdb(opened: Opener, directory: Path) -> None:
    with pytest.raises(UsageError, match="--noflock does not go with lmdb:"):
        opened("lmdb", flock=False)
    assert list(directory.iterdir()) == []


@file_types
def test_unusable_places_are_named(kind: str, directory: Path) -> None:
    with pytest.raises(TableError, match=rf"{directory}/no/relay.*No such file or directory.*does not exist"):
        open_table(f"{kind}:{directory}/no/relay")
    (directory / "file").touch()
    with pytest.raises(TableError, match="is not a directory"):
        open_table(f"{kind}:{directory}/file/relay")
    (directory / f"x{TYPES[kind].suffix}").mkdir()
    with pytest.raises(TableError, match="is not a regular file"):
        open_table(f"{kind}:{directory}/x")


@file_types
def test_unwritable_directory_names_user_and_mode(kind: str, directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("plays another user, so it needs root")
    open_table(f"{kind}:{directory}/mine").close()  # the engine is imported before the user changes
    message = _as_nobody(lambda: open_table(f"{kind}:{directory}/relay"))
    assert message.startswith(f"cannot open the owner lock {directory}/relay"), message
    assert "Permission denied (user nobody; " in message
    assert f"directory {directory} is 0755 root:root" in message


def _as_nobody(call: Callable[[], object]) -> str:
    """The TableError's line that the call ends with in a child that gave up root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(pwd.getpwnam("nobody").pw_gid)
            os.setuid(pwd.getpwnam("nobody").pw_uid)
            call()
        except TableError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text


def test_missing_berkeleydb_names_the_remedy(directory: Path) -> None:
    code = (
        "import sys; sys.modules['berkeleydb'] = None\n"
        "from pbs_fast.tables import open_table\n"
        f"open_table(sys.argv[1] + ':{directory}/relay')"
    )
    for kind in ("hash", "btree"):
        done = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, check=False)
        assert "TableError: hash: and btree: tables need Berkeley DB" in done.stderr
        assert "pip install 'pbs-fast[bdb]'" in done.stderr
    assert subprocess.run([sys.executable, "-c", code, "lmdb"], check=False).returncode == 0


def test_lmdb_format_is_pinned(directory: Path) -> None:
    code = f"from pbs_fast.tables import open_table\nopen_table('lmdb:{directory}/relay').rebuild({{}})"
    environment = {**os.environ, "LMDB_DEFAULT_LIB_VERSION": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert (directory / "relay.lmdb").read_bytes()[20:24] == (1).to_bytes(4, sys.byteorder)


def test_lmdb_of_a_newer_format_is_refused(opened: Opener, directory: Path) -> None:
    import lmdb

    if not hasattr(lmdb.Environment, "lib_version"):
        pytest.skip("this py-lmdb knows one format")
    made = lmdb.open(str(directory / "relay.lmdb"), subdir=False, lock=False, lib_version=1)
    with made.begin(write=True) as txn:
        txn.put(b"203.0.113.5", b"ok")
    made.close()
    with pytest.raises(TableError, match="LMDB data format"):
        opened("lmdb").load()


def test_lmdb_map_grows(opened: Opener, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbs_fast.tables.lmdb.MAP_SIZE", 64 << 10)
    table = opened("lmdb")
    table.rebuild({f"10.1.{i >> 8}.{i & 255}": grant() for i in range(3000)})
    for start in range(0, 6000, 2000):
        table.apply(Delta({f"10.2.{i >> 8}.{i & 255}": grant() for i in range(start, start + 2000)}))
    assert len(reader.rows(table.spec)) == 9000


def _write_pairs(kind: str, directory: Path, pairs: dict[str, str]) -> None:
    """A table as another program would leave it, through the engine itself."""
    if kind == "text":
        (directory / "relay").write_text("".join(f"{key}\n" for key in pairs))
    elif kind == "cdb":
        from pbs_fast.tables.cdb import _parts

        content = _parts((key.encode(), value.encode()) for key, value in pairs.items())
        (directory / "relay.cdb").write_bytes(b"".join(content))
    elif kind == "lmdb":
        import lmdb

        pinned: Any = {"lib_version": 0} if hasattr(lmdb.Environment, "lib_version") else {}
        env = lmdb.open(str(directory / "relay.lmdb"), subdir=False, lock=False, **pinned)
        with env.begin(write=True) as txn:
            for key, value in pairs.items():
                txn.put(key.encode(), value.encode())
        env.close()
    else:
        from berkeleydb import db

        handle = db.DB()
        method = db.DB_HASH if kind == "hash" else db.DB_BTREE
        handle.open(str(directory / "relay.db"), None, method, db.DB_CREATE, 0o644)
        for key, value in pairs.items():
            handle.put(key.encode(), value.encode())
        handle.close()
