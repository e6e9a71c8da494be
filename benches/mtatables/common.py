"""Tables to measure: ours, and `old`, which writes as the Perl program did; and how changes reach them."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mta import private_directory
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import Row, Table, open_table
from pbs_fast.tables.queue import Pending

Figure = dict[str, object]
ROW = Grant(4_000_000_000, None, "bench", "new")
SMTPDS = 10
#: Without it Postfix pauses for a second before each connection after 100 that brought no mail.
MAIN_CF = ("in_flow_delay = 0",)


def address(number: int) -> str:
    """The address of a row that stands in the table."""
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


class OldWay:
    """The Perl program's writing: a default-sized hash changed in place under flock, and synced."""

    window = 0.0
    refused = 0

    def __init__(self, place: Path) -> None:
        from berkeleydb import db

        self.spec, self.file = f"hash:{place}/relay", place / "relay.db"
        self._db = db.DB()
        self._db.open(os.fspath(self.file), None, db.DB_HASH, db.DB_CREATE, 0o644)
        self._db.sync()

    def load(self) -> dict[str, Row]:
        return {}

    def rebuild(self, rows: dict[str, Grant]) -> None:
        self.apply(Delta(rows))

    def apply(self, delta: Delta) -> None:
        fcntl.flock(self._db.fd(), fcntl.LOCK_EX)
        for ip in delta.removed:
            if self._db.has_key(ip.encode()):
                self._db.delete(ip.encode())
        for ip in delta.set:
            self._db.put(ip.encode(), b"ok")
        self._db.sync()
        fcntl.flock(self._db.fd(), fcntl.LOCK_UN)

    def heartbeat(self) -> None:
        pass

    def close(self) -> None:
        self._db.close()


@contextmanager
def table_of(kind: str, rows: int) -> Iterator[Table]:
    """A table `TYPE` or `TYPE?OPTIONS` of this many rows in a place of its own."""
    place = private_directory("bench")
    kind, mark, options = kind.partition("?")
    where = f"unix:{place}/sock:pbs" if kind == "socketmap" else f"{place}/relay{mark}{options}"
    table: Table = OldWay(place) if kind == "old" else open_table(f"{kind}:{where}")  # type: ignore[assignment]
    try:
        table.rebuild({address(i): ROW for i in range(rows)})
        yield table
    finally:
        table.close()
        shutil.rmtree(place)


def publish(pending: Pending, delta: Delta) -> float:
    """Write a change as the daemon does, within the table's window; the seconds until it was written."""
    start = time.monotonic()
    pending.add(delta)
    while not pending.flush():
        time.sleep(max(0.0, min(0.005, pending.due - time.monotonic())))
    return time.monotonic() - start
