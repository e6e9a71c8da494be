#!/usr/bin/env python3
"""How long clients wait at a steady rate of logins: from the append of a login line to the accepted RCPT.

Real Postfix on loopback and the real daemon; 10 logins a second for 10 minutes, rows ending at the same rate. One half
of the clients tries until it is accepted, the other once, 0.2 s after its login (benches/livemail/steady.py). Run as
root with Postfix installed. Prints the page; --record writes it to benches/record/steady.md.

    benches/steady.py --record
    benches/steady.py --table lmdb --rate 50 --seconds 60
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from livemail import page
from mtatables import record

if TYPE_CHECKING:
    from livemail.clients import Took
    from livemail.steady import Steady

PAGE = record.ROOT / "benches" / "record" / "steady.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="hash", choices=("hash", "btree", "cdb", "lmdb"))
    parser.add_argument("--rate", type=float, default=10.0, help="logins a second")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long")
    parser.add_argument("--record", action="store_true", help=f"write {PAGE.relative_to(record.ROOT)}")
    given = parser.parse_args()
    if (reason := page.obstacle(given.table)) is not None:
        print(f"steady.py: {reason}", file=sys.stderr)
        return 1
    from livemail.steady import steady

    before = os.getloadavg()[0]
    began = record.head(before)  # the commit and the date are those of the start
    run = steady(given.table, given.rate, given.seconds)
    text = _page(run, [*began[:2], *record.head(before)[2:]])
    print(text)
    if given.record:
        PAGE.write_text(text)
    return 0


def _page(run: Steady, head: list[str]) -> str:
    writes = "-" if run.writes is None else f"{run.writes:.1f}"
    lines = [
        "# A steady rate of logins, measured",
        "",
        "Written by `benches/steady.py --record`; how it is measured: [benches/README.md](../README.md).",
        "",
        *(f"- {line}" for line in head),
        f"- `{run.table}:`, {run.rate:g} logins a second at random, and as many rows that end",
        f"- {writes} changes of the file a second; {run.restarts:.1f} restarts of smtpds a second, all together, at"
        f" most {run.busiest} in one second; the daemon took {run.share:.1%} of one processor",
        "",
        "| minute | tries | median, ms | 99 % | max | tried once, 0.2 s after the login | accepted | load average |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    once = sum(each.tried_once for each in run.minutes)
    accepted = sum(each.accepted for each in run.minutes)
    for number, each in enumerate(run.minutes, 1):
        lines.append(_row(str(number), each.took, each.tried_once, each.accepted, f"{each.load:.1f}"))
    lines.append(_row("all", run.took, once, accepted, ""))
    return "\n".join(lines) + "\n"


def _row(name: str, took: Took, once: int, accepted: int, load: str) -> str:
    cells = [name, f"{took.tries}", f"{took.median:.0f}", f"{took.p99:.0f}", f"{took.worst:.0f}", f"{once}"]
    return "| " + " | ".join([*cells, f"{accepted / once:.2%}" if once else "-", load]) + " |"


if __name__ == "__main__":
    sys.exit(main())
