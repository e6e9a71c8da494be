"""Figures of the tables: cost of a change, what fresh clients and busy Postfixes see, look-ups of the socketmap.

`deltas`    milliseconds of one change (one row in, one out) in tables of 1 000, 100 000 and 1 000 000 rows
`fresh`     share of clients accepted at their first RCPT right after their row was published, at 0.3, 3 and 10 changes
            a second, while other sessions keep the smtpds busy; `old` writes as the Perl original did
`sessions`  SMTP sessions a second of a saturated Postfix whose table changes ten times a second, and smtpd restarts
`lookups`   look-ups a second and their 99th percentile, 100 clients at a time asking one after the other

Run as root with Postfix installed (scripts/install-test-servers.sh); prints one JSON object a figure:

    .venv/bin/python benches/tables.py deltas fresh sessions lookups
"""

from __future__ import annotations

import argparse
import fcntl
import json
import multiprocessing
import os
import selectors
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

from mta import private_directory  # noqa: E402 - the harness of the tests
from mta.postfix import Postfix, running  # noqa: E402
from pbs_fast.events import Delta, Grant  # noqa: E402
from pbs_fast.tables import Row, Table, open_table  # noqa: E402
from pbs_fast.tables.pending import Pending  # noqa: E402

KINDS = ("lmdb", "socketmap", "hash", "cdb", "btree", "text")
ROW = Grant(4_000_000_000, None, "bench", "new")
#: Rows of the tables that Postfix reads here.
ROWS = 10_000
SMTPDS = 10


def address(number: int) -> str:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def spec(kind: str, place: Path) -> str:
    return f"socketmap:unix:{place}/sock:pbs" if kind == "socketmap" else f"{kind}:{place}/relay"


class OldWay:
    """The Perl original's writing: a default-sized hash changed in place under flock, and synced."""

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
    """A table of this many rows in a place of its own."""
    place = private_directory("bench")
    table: Table = OldWay(place) if kind == "old" else open_table(spec(kind, place))  # type: ignore[assignment]
    try:
        table.rebuild({address(i): ROW for i in range(rows)})
        yield table
    finally:
        table.close()
        shutil.rmtree(place)


def deltas(sizes: tuple[int, ...]) -> Iterator[dict[str, object]]:
    for kind in KINDS:
        for rows in sizes:
            with table_of(kind, rows) as table:
                times = []
                for i in range(5 if rows > 100_000 else 30):
                    start = time.perf_counter()
                    table.apply(Delta({f"192.0.2.{i + 1}": ROW}, (f"192.0.2.{i}",)))
                    times.append(1000 * (time.perf_counter() - start))
                yield {
                    "deltas": kind,
                    "rows": rows,
                    "ms_median": round(statistics.median(times), 3),
                    "ms_max": round(max(times), 3),
                    "window_s": round(table.window, 2),
                }


def one_session(port: int, name: str) -> None:
    """EHLO, MAIL, RCPT to a domain elsewhere, QUIT: one refused relay attempt from an address that is not there."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"EHLO x\r\n" + f"XCLIENT ADDR={name} NAME=[UNAVAILABLE]\r\n".encode() + b"EHLO x\r\n")
        connection.sendall(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nQUIT\r\n")
        while answers.readline():
            pass


def load(port: int, rate: float, stop: Event, done: list[int]) -> None:
    """Sessions one after the other, `rate` a second (0: as fast as they go)."""
    while not stop.is_set():
        start = time.monotonic()
        one_session(port, "198.51.100.77")
        done[0] += 1
        if rate:
            time.sleep(max(0.0, start + 1 / rate - time.monotonic()))


@contextmanager
def loaded(postfix: Postfix, workers: int, rate: float) -> Iterator[list[int]]:
    """This many processes with sessions of their own; their counts are in the list at the end."""
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    counts = [context.Array("q", 1, lock=False) for _ in range(workers)]
    processes = [context.Process(target=load, args=(postfix.port, rate, stop, count), daemon=True) for count in counts]
    total: list[int] = []
    for process in processes:
        process.start()
    try:
        yield total
    finally:
        stop.set()
        for process in processes:
            process.join()
        total += [count[0] for count in counts]


def publish(pending: Pending, delta: Delta) -> None:
    """As the daemon does: within the table's window."""
    pending.add(delta)
    while not pending.flush():
        time.sleep(max(0.0, min(0.005, pending.due - time.monotonic())))


def fresh(seconds: float) -> Iterator[dict[str, object]]:
    for kind in ("old", "hash", "cdb", "btree", "lmdb", "socketmap"):
        for rate in (0.3, 3.0, 10.0):
            with table_of(kind, ROWS) as table, running(table.spec, smtpd_limit=SMTPDS) as postfix:
                pending = Pending(table)
                accepted = tries = 0
                with loaded(postfix, workers=10, rate=30) as total:
                    time.sleep(1)
                    start = due = time.monotonic()
                    while due < start + seconds:
                        time.sleep(max(0.0, due - time.monotonic()))
                        client = f"203.0.{tries >> 8}.{tries & 255}"
                        publish(pending, Delta({client: ROW}, (address(tries),)))
                        accepted += postfix.rcpt(client).relayed
                        tries += 1
                        due = max(due + 1 / rate, time.monotonic())
                yield {
                    "fresh": kind,
                    "changes_per_s": rate,
                    "accepted_percent": round(100 * accepted / tries, 1),
                    "tries": tries,
                    "other_sessions_per_s": round(sum(total) / (time.monotonic() - start)),
                    "restarts": postfix.logged().count("has changed -- restarting"),
                }


def sessions(seconds: float) -> Iterator[dict[str, object]]:
    for kind in ("hash", "lmdb", "socketmap"):
        for rate in (0.0, 10.0):
            with table_of(kind, ROWS) as table, running(table.spec, smtpd_limit=SMTPDS) as postfix:
                pending = Pending(table)
                with loaded(postfix, workers=SMTPDS, rate=0) as total:
                    start = time.monotonic()
                    changes = 0
                    while (now := time.monotonic()) < start + seconds:
                        if rate:
                            publish(pending, Delta({f"203.0.113.{changes % 250}": ROW}, (address(changes),)))
                            changes += 1
                        time.sleep(max(0.0, (1 / rate if rate else seconds) + now - time.monotonic()))
                yield {
                    "sessions": kind,
                    "changes_per_s": round(changes / seconds, 1),
                    "sessions_per_s": round(sum(total) / (time.monotonic() - start)),
                    "restarts": postfix.logged().count("has changed -- restarting"),
                }


def lookups(clients: int, seconds: float) -> Iterator[dict[str, object]]:
    for changes in (0, 100):
        with table_of("socketmap", 100_000) as table:
            path = table.spec.split(":")[2]
            receive, send = multiprocessing.Pipe(duplex=False)
            asking = multiprocessing.get_context("spawn").Process(target=ask, args=(path, clients, seconds, send))
            asking.start()
            number = 0
            while asking.is_alive():
                if changes:
                    table.apply(Delta({f"192.0.2.{number % 250}": ROW}, (f"192.0.2.{(number - 1) % 250}",)))
                    number += 1
                if receive.poll(1 / changes if changes else 0.1):
                    break
            times = receive.recv()
            asking.join()
        yield {
            "lookups": "socketmap",
            "clients": clients,
            "changes_per_s": changes,
            "lookups_per_s": round(len(times) / seconds),
            "ms_median": round(1000 * times[len(times) // 2], 2),
            "ms_p99": round(1000 * times[len(times) * 99 // 100], 2),
            "ms_max": round(1000 * times[-1], 2),
        }


def ask(path: str, clients: int, seconds: float, result: object) -> None:
    """So many connections, each with one question under way at a time; sends the sorted times."""
    question = b"14:pbs 10.0.1.200,"
    selector = selectors.DefaultSelector()
    begun: dict[int, float] = {}
    for _ in range(clients):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        begun[connection.fileno()] = time.perf_counter()
        connection.send(question)
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1):
            assert key.fileobj.recv(100) == b"5:OK ok,"  # type: ignore[union-attr]
            now = time.perf_counter()
            times.append(now - begun[key.fd])
            begun[key.fd] = now
            key.fileobj.send(question)  # type: ignore[union-attr]
    result.send(sorted(times))  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["deltas", "fresh", "sessions", "lookups"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run of fresh and sessions")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="for deltas")
    given = parser.parse_args()
    figures = {
        "deltas": lambda: deltas(tuple(given.rows)),
        "fresh": lambda: fresh(given.seconds),
        "sessions": lambda: sessions(given.seconds),
        "lookups": lambda: lookups(100, 5.0),
    }
    for what in given.what:
        for figure in figures[what]():
            print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
