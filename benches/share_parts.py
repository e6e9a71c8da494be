"""How fast a receiver decodes, verifies and merges what another node wrote: the catch-up without network and tables;
and what a grant costs its sender until the hub's thread has its bytes.

`python benches/share_parts.py [ROWS]` prints rows a second of processor time for each size of message and each backend,
and nanoseconds a grant; `benches/sharing.py` calls `catch_up`.
"""

from __future__ import annotations

import random
import sys
import time
from itertools import product
from typing import NamedTuple

from pbs_fast.events import Delta, Grant
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.matching import load_backend
from pbs_fast.share.clock import HubClock
from pbs_fast.share.inbox import Got, Inbox
from pbs_fast.share.message import MOST_ROWS, Row, Writer, decode, stream_of
from pbs_fast.share.outbox import Outbox
from pbs_fast.share.own_rows import NativeRows
from pbs_fast.share.tombstones import Tombstones
from pbs_fast.util.gc import collector_aside

_NOW = 1_800_000_000.0
_SECRET = b"only for the measurement"
_NODE = "pop1"


class CatchUp(NamedTuple):
    """What was measured; seconds of processor time."""

    rows: int
    messages: int
    bytes: int
    decode: float
    """Seconds for signature, JSON and bounds."""
    take: float
    """Seconds for sequence, times and revocations."""
    merge: float
    """Seconds for the ledger."""

    @property
    def rows_per_second(self) -> float:
        return self.rows / (self.decode + self.take + self.merge)


def catch_up(rows: int, batch: int = MOST_ROWS, core: str = "auto") -> CatchUp:
    """Read so many rows of one node in messages of `batch` rows, 200 messages at a time as XREAD gives them."""
    native = load_backend(core).shared_rows
    numbers = random.Random(rows)
    given = [
        Row(
            f"{numbers.randrange(1, 224)}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",
            numbers.randrange(60_000, 1_800_000),
            f"user{n}@example.org",
            "dovecot",
            "mx1",
            numbers.randrange(1_000, 1_740_000),
        )
        for n in range(rows)
    ]
    stream = stream_of("bench", _NODE)
    writer = Writer(stream, "9f2c41aa", _SECRET)
    entries = [
        entry
        for start in range(0, rows, batch)
        for entry in writer.rows(int(_NOW * 1000), given[start : start + batch])
    ]
    hub, ledger, tombstones = HubClock(), Ledger(1_800), Tombstones(3_600)
    hub.sample(_NOW, _NOW, _NOW)
    inbox = Inbox(
        node="smtp1", trusted=[_NODE], longest=3_600, hubs=1, tombstones=tombstones, now=_NOW, known=ledger.get
    )
    reading = inbox.reads(0, hub, _NOW)[0].reading
    seconds = [0.0, 0.0, 0.0]
    with collector_aside():  # as at a start
        for start in range(0, len(entries), 200):
            marks = [time.process_time()]
            got = [
                Got(_NODE, reading, f"{start}-{number}", decode(_NODE, stream, entry.m, entry.s, [_SECRET], native))
                for number, entry in enumerate(entries[start : start + 200])
            ]
            marks.append(time.process_time())
            arrived = inbox.take(0, hub, got, _NOW)
            marks.append(time.process_time())
            ledger.merge(arrived.rows, _NOW, fresh=False)
            marks.append(time.process_time())
            seconds = [total + after - before for total, before, after in zip(seconds, marks, marks[1:], strict=False)]
    if len(ledger) != rows:
        raise AssertionError(f"{len(ledger)} of {rows} rows arrived")
    return CatchUp(rows, len(entries), sum(len(entry.m) + len(entry.s) for entry in entries), *seconds)


class Sent(NamedTuple):
    """Nanoseconds of processor time a grant."""

    noted: float
    made: float
    renewed: float
    """For a renewal that is not due yet."""


def sent(rows: int, core: str = "auto", a_turn: int = 470) -> Sent:
    """Note so many grants, as many in a turn as 1 MiB of a hub's log has, and make their messages."""
    backend = load_backend(core)
    native = None if backend.own_rows is None else NativeRows(*backend.own_rows)
    ledger, hub = Ledger(1_800), HubClock()
    hub.sample(_NOW, _NOW, _NOW)
    outbox = Outbox(
        site="bench",
        node=_NODE,
        run="9f2c41aa",
        secret=_SECRET,
        grace=1_800,
        longest=3_600,
        rows=ledger,
        hubs=1,
        version="0",
        seen=dict,
        now=_NOW,
        random=random.random,
        native=native,
    )
    outbox.wrote(0, ["1-0" for _ in outbox.entries(0, hub, _NOW)])
    noted = made = renewed = 0.0
    with collector_aside():
        for turn, start in enumerate(range(0, rows, a_turn)):
            logins = [f"{n % 220 + 1}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(start, start + a_turn)]
            for again in (0, 1):
                end = int(_NOW) + 1_790 + again
                delta = Delta({ip: Grant(end, f"{ip}@example.org", "dovecot", "new", "mx1") for ip in logins})
                ledger._rows.update(delta.set)
                began = time.process_time()
                outbox.take(delta, _NOW)
                took = time.process_time() - began
                if again:
                    renewed += took
                    continue
                began = time.process_time()
                while outbox.due(0, _NOW):
                    outbox.wrote(0, [f"{turn + 2}-0" for _ in outbox.entries(0, hub, _NOW)])
                noted, made = noted + took, made + time.process_time() - began
    return Sent(*(1e9 * each / rows for each in (noted, made, renewed)))


def main() -> None:
    """Print a table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for core, batch in product(("rust", "python"), (200, 20, 1)):
        found = catch_up(rows, batch, core)
        print(
            f"{core:6} {batch:4} rows a message: {found.rows_per_second:9,.0f} rows/s (decode {found.decode:.2f} s, "
            f"take {found.take:.2f} s, merge {found.merge:.2f} s), {found.bytes / rows:.0f} bytes a row"
        )
    for core in ("rust", "python"):
        took = sent(rows, core)
        print(
            f"{core:6} a grant: noted {took.noted:.0f} ns, made {took.made:.0f} ns; not due yet {took.renewed:.0f} ns"
        )


if __name__ == "__main__":
    main()
