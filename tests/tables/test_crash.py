"""kill -9 in the middle of a change, and hash files that never split."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mta import wait_for
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import list_rows, open_table
from pbs_fast.tables.registry import TYPES
from pbs_fast.tables.types.hash import BUCKETS, LEAST_ROW, room
from tables.conftest import FILE_TYPES, OTHER_TYPES, Opener, Reader, grant

KILLS = 10
STEADY = 2000
BATCH = 300

#: Writes change after change, each replacing all rows of the one before, and says which one is done.
WRITER = f"""
import sys
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import open_table
row = Grant(2_000_000_000, None, "x", "new")
def rows(change):
    return {{f"10.{{change % 250}}.{{i >> 8}}.{{i & 255}}": row for i in range({BATCH})}}
table = open_table(sys.argv[1])
steady = {{f"192.0.{{i >> 8}}.{{i & 255}}": row for i in range({STEADY})}}
table.rebuild({{**steady, **rows(0)}})
change = 0
while True:
    print(change, flush=True)
    change += 1
    table.apply(Delta(rows(change), tuple(rows(change - 1))))
"""


def batch(change: int) -> set[str]:
    return {f"10.{change % 250}.{i >> 8}.{i & 255}" for i in range(BATCH)}


STEADY_KEYS = {f"192.0.{i >> 8}.{i & 255}" for i in range(STEADY)}


def test_what_berkeley_db_leaves_in_creating_a_file_is_cleared(opened: Opener, directory: Path) -> None:
    """Else each rebuild fails after 100 tries of one second."""
    for kind in ("hash", "btree"):
        (directory / "__db.relay.db.tmp").write_bytes(b"half")
        table = opened(kind)
        table.close()
        assert table.file is not None
        table.file.unlink()
        assert not (directory / "__db.relay.db.tmp").exists()


#: What else may lie there: what the tool of the table made, which goes on when we are killed.
MADE = {"courier": {"relay", "relay.dat", "relay.tmp"}}


@pytest.mark.parametrize("kind", FILE_TYPES + OTHER_TYPES)
def test_kill_9_in_apply(kind: str, directory: Path, reader: Reader) -> None:
    """lmdb and btree hold the last change that was done, or the one that was under way, whole. What hash holds is not
    looked at: after the rebuild it is complete again."""
    spec = f"{kind}:{directory}/relay"
    chance = random.Random(20261122)
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", WRITER, spec], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert [writer.stdout.readline() for _ in range(2)] == ["0\n", "1\n"]
            time.sleep(chance.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
            said = [int(line) for line in writer.stdout.read().splitlines() if line.strip()]
        last = said[-1] if said else 1
        if kind not in ("hash", "sendmail"):
            there = set(reader.rows(spec))
            assert there - STEADY_KEYS in (batch(last), batch(last + 1))
            assert there >= STEADY_KEYS
        if kind in OTHER_TYPES:
            wait_for("the end of its tools", lambda: not started_for(directory))
        table = open_table(spec)
        table.load()
        truth = {"203.0.113.5": grant(), "2001:db8::1": grant()}
        table.rebuild(truth)
        assert set(reader.rows(spec)) == set(truth)
        table.apply(Delta({"203.0.113.6": grant()}, ("203.0.113.5",)))
        assert set(reader.rows(spec)) == {"203.0.113.6", "2001:db8::1"}
        table.close()
        suffix = TYPES[kind].suffix
        left = {path.name for path in directory.iterdir()} - MADE.get(kind, set())
        assert left == {f"relay{suffix}", f"relay{suffix}.owner"}, "no litter"


def started_for(directory: Path) -> list[int]:
    """The processes of a test with this directory that still run: what a writer started goes on when it is killed."""
    wanted = f"PBS_TABLE_DIRECTORY={directory}".encode()
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if wanted in (each / "environ").read_bytes().split(b"\0"):
                found.append(int(each.name))
    return found


def test_a_torn_hash_of_ours_is_rebuilt_and_a_strangers_is_refused(opened: Opener, directory: Path) -> None:
    from pbs_fast.errors import TableError
    from pbs_fast.tables.owner import owner_file

    table = opened("hash")
    table.rebuild({f"10.0.{i >> 8}.{i & 255}": grant() for i in range(3000)})
    table.close()
    assert table.file is not None
    content = bytearray(table.file.read_bytes())
    for page in range(4096, len(content), 4096):  # what a page write cut short may leave
        content[page + 20 : page + 4096] = b"\xff" * 4076
    table.file.write_bytes(content)
    with pytest.raises(TableError, match="is damaged"):
        list_rows(table.spec)
    again = opened("hash")
    assert again.load() == {}
    again.rebuild({"203.0.113.5": grant()})
    assert list_rows(table.spec) == [("203.0.113.5", "ok")]
    again.close()
    table.file.write_bytes(content)
    owner_file(table.file).unlink()
    with pytest.raises(TableError, match=r"is damaged .*move it away"):
        opened("hash").load()
    assert table.file.read_bytes() == content
    assert directory.is_dir()


def _buckets(file: Path) -> int:
    from berkeleydb import db

    handle = db.DB()
    handle.open(str(file), None, db.DB_HASH, db.DB_RDONLY)
    try:
        return int(handle.stat()["buckets"])
    finally:
        handle.close()


def test_room_is_what_the_file_has(opened: Opener) -> None:
    table = opened("hash")
    table.rebuild({})
    assert table.file is not None
    assert _buckets(table.file) == BUCKETS
    assert 35_000 < room(BUCKETS, LEAST_ROW) < 50_000
    assert room(2 * BUCKETS, LEAST_ROW) == pytest.approx(2 * room(BUCKETS, LEAST_ROW), abs=2)


@pytest.mark.parametrize("six", [False, True])
@pytest.mark.parametrize("value", ["ok", "ok {user}"])
def test_a_hash_never_splits(six: bool, value: str, opened: Opener) -> None:
    """Filled in place with short or long rows, its buckets stay as many as they were until a new file takes over."""
    chance = random.Random(7)
    table = opened("hash", value=value)
    table.rebuild({})
    assert table.file is not None
    inode = table.file.stat().st_ino
    rows = 0
    while table.file.stat().st_ino == inode:
        assert _buckets(table.file) == BUCKETS
        put: dict[str, Grant] = {}
        while len(put) < 2000:
            tail = f"a{chance.getrandbits(12):x}:{chance.getrandbits(15) + 1:x}:c{rows >> 4:x}:d{len(put):x}"
            four = f"10.{rows // 2000}.{len(put) >> 8}.{len(put) & 255}"
            put[f"2001:db8:5:7:{tail}" if six else four] = grant(user="u" * 64)
        table.apply(Delta(put))
        rows += len(put)
    assert table.refused == 0
    assert _buckets(table.file) == 2 * BUCKETS
    assert rows > room(BUCKETS, LEAST_ROW if value == "ok" else 39 + 3 + 64 + 6), "not sooner than needed"
