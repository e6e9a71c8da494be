"""One million live addresses, renewed three times over; run by test_scale.py in a process of its own.

Prints one JSON object: rows, queue lengths, resident memory in MB. Each batch brings its own text objects, as the
matcher's do, and each address has a user of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pbs_fast.events import Batch
from pbs_fast.ledger.ledger import Ledger

GRACE = 1800
ROWS = 10_000
START = 1_700_000_000


def batch(low: int, timestamp: int) -> Batch:
    """Logins of ROWS addresses from the low-th on, all at one timestamp."""
    users: list[str | None] = [f"user{number:07}@example.org" for number in range(low, low + ROWS)]
    ones = [1] * ROWS
    # Two formats and hosts in turn, made anew each time.
    texts = [
        ("".join(("dove", "cot")), "".join(("mx", "1.example.org"))),
        ("".join(("cy", "rus")), "".join(("mx", "2"))),
    ]
    return Batch(
        source="scale",
        ip=[f"{number >> 16 & 255 | 64}.{number >> 8 & 255}.{number & 255}.7" for number in range(low, low + ROWS)],
        first=[timestamp] * ROWS,
        last=[timestamp] * ROWS,
        n=ones,
        kind=["login"] * ROWS,
        format=[texts[number & 1][0] for number in range(ROWS)],
        host=[texts[number & 1][1] for number in range(ROWS)],
        offset=ones,
        tls=[None] * ROWS,
        loop=[False] * ROWS,
        session=[None] * ROWS,
        user_first=users,
        user_last=users,
        users=ones,
    )


def resident_mb() -> float:
    """VmRSS of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def main(addresses: int) -> None:
    ledger = Ledger(GRACE)
    report: dict[str, object] = {"before_mb": resident_mb()}
    queued = []
    memory = []
    for turn in range(4):
        for low in range(0, addresses, ROWS):
            timestamp = START + turn * 1000 + low * 900 // addresses
            # The clock goes with the logins, so the queue is walked while the later turns renew.
            ledger.expire(timestamp)
            ledger.observe(batch(low, timestamp), timestamp)
        queued.append(ledger.queued())
        memory.append(resident_mb())
    report |= {"rows": len(ledger), "queued": queued, "mb": memory, "counters": dict(ledger.counters)}
    ledger.expire(START + 4000 + GRACE)
    report |= {"left": len(ledger), "left_queued": ledger.queued()}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]))
