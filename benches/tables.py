#!/usr/bin/env python3
"""Figures of the tables: cost of a change, what clients of a real Postfix see, look-ups of the socketmap.

`deltas`    milliseconds of one change (one row in, one out) in tables of 1 000, 100 000 and 1 000 000 rows
`fresh`     share of clients accepted at their first RCPT right after their row was written, at 0.3, 3 and 10 changes a
            second, while other sessions keep the smtpds busy; `old` writes as the Perl program did
`growth`    wrong answers to clients that are in the table while it grows from 1 000 to 40 000 rows
`ends`      changes and smtpd restarts a second: ends of rows written at once, and up to a second later with a new row
`sessions`  SMTP sessions a second of a saturated Postfix whose table changes ten times a second, and smtpd restarts
`lookups`   look-ups a second and their 99th percentile, 100 clients at a time

Run as root with Postfix installed (scripts/install-test-servers.sh). Prints a JSON object a figure; --record puts what
was measured, with commit, date and machine, into benches/record/tables.md. Everything takes about 13 minutes.

    .venv/bin/python benches/tables.py --record
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benches")]

from mtatables import changes, clients, ends, lookups, record  # noqa: E402 - found on the path just set

PAGE = ROOT / "benches" / "record" / "tables.md"
WHAT = ("deltas", "fresh", "growth", "ends", "sessions", "lookups")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"{', '.join(WHAT)}; all where none is named")
    parser.add_argument("--record", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each run of fresh, ends, sessions and lookups")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="for deltas")
    given = parser.parse_args()
    if unknown := set(given.what) - set(WHAT):
        parser.error(f"there is no {unknown.pop()}; there are {', '.join(WHAT)}")
    measure = {
        "deltas": lambda: changes.deltas(tuple(given.rows)),
        "fresh": lambda: clients.fresh(given.seconds),
        "growth": lambda: clients.growth(),
        "ends": lambda: ends.ends(2 * given.seconds),
        "sessions": lambda: clients.sessions(given.seconds),
        "lookups": lambda: lookups.lookups(given.seconds / 3),
    }
    for what in given.what or WHAT:
        before, figures = os.getloadavg()[0], []
        for figure in measure[what]():
            print(json.dumps(figure), flush=True)
            figures.append(figure)
        if given.record:
            record.write(PAGE, {what: {"head": record.head(before), "figures": figures}})
            print(f"written: {what} in {PAGE.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
