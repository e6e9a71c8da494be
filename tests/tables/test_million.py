"""A million rows: the size up to which a `hash:` table is promised, with what the ledger does to it on the way."""

from __future__ import annotations

import random

from pbs_fast.events import Delta
from pbs_fast.tables.types.hash import BUCKETS, LEAST_ROW, room
from tables.conftest import Opener, grant
from tables.test_crash import _buckets

ROW = grant()


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def test_a_hash_grows_to_a_million_rows_without_a_split(opened: Opener) -> None:
    """One rebuild on the way, before the file would split; afterwards changes are in place again."""
    most = room(16 * BUCKETS, LEAST_ROW)
    assert most < 900_000 < 1_000_000 < room(32 * BUCKETS, LEAST_ROW)
    table = opened("hash")
    start = most - 10_000
    table.rebuild({address(number): ROW for number in range(int(start / 1.25))})
    assert table.file is not None
    assert _buckets(table.file) == 16 * BUCKETS
    seen = [table.file.stat()]

    def grow(first: int, last: int) -> None:
        table.apply(Delta({address(number): ROW for number in range(first, last)}))
        seen.append(table.file.stat())  # type: ignore[union-attr]

    grow(int(start / 1.25), start)
    grow(start, start + 9_000)
    assert len({each.st_ino for each in seen}) == 1
    assert _buckets(table.file) == 16 * BUCKETS
    grow(start + 9_000, start + 19_000)
    assert seen[-1].st_ino != seen[-2].st_ino, "built anew in time"
    assert _buckets(table.file) == 32 * BUCKETS
    grow(start + 19_000, 1_000_000)
    table.apply(Delta({"2001:db8::1": ROW}, (address(0),)))
    seen.append(table.file.stat())
    assert len({each.st_ino for each in seen}) == 2
    assert _buckets(table.file) == 32 * BUCKETS, "no bucket was split"
    times = [int(each.st_mtime) for each in seen]
    assert times == sorted(set(times))
    from berkeleydb import db

    handle = db.DB()
    handle.open(str(table.file), None, db.DB_HASH, db.DB_RDONLY)
    assert handle.stat()["ndata"] == 1_000_000
    chance = random.Random(1)
    assert all(handle.get(address(chance.randrange(1, 1_000_000)).encode()) == b"ok" for _ in range(2_000))
    assert handle.get(address(0).encode()) is None
    handle.close()
