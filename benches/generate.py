#!/usr/bin/env python3
"""Writes a hub's log and the truth about it: `benches/generate.py --lines 2000000 --out hub.log --truth hub.truth`.

The truth is one JSON object a line, letter for letter what `pbs-fast match --json --missed` must print, save for the
text of missed lines. Totals, with the digest that `pbs-fast bench` must print, go to standard output. The log itself is
that of `pbs-fast bench --generate` (`pbs_fast.bench.hublog`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from pbs_fast.bench.hublog import Options, Truth, write_log
from pbs_fast.bench.hublog.envelopes import ENVELOPES


class AsMatch:
    """What `match --json --missed` says of lines that come one after the other."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._number = 0
        self._missed: list[str] = []
        self.records: list[str] = []
        """Of the lines so far; the caller may empty it."""

    def add(self, line: bytes, truth: Truth) -> None:
        self._number += 1
        record: dict[str, object] = {"file": self._log, "line": self._number}
        if truth.kind == "missed":
            self._missed.append(json.dumps(record | {"missed": truth.missed, "text": line.decode()}))
        elif truth.kind != "other":
            record |= {
                "event": truth.kind,
                "ip": truth.ip,
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(truth.timestamp)),
                "format": truth.format,
                "user": truth.user,
            }
            self.records.append(json.dumps(record))

    def end(self) -> None:
        """The missed lines come last."""
        self.records += self._missed


def write_both(log: Path, truth: Path, options: Options) -> dict[str, Any]:
    """Write the log, and the truth about its lines; what a replay of it must count."""
    match = AsMatch(str(log))
    totals = write_log(log, options, on_line=match.add)
    match.end()
    truth.write_text("".join(f"{record}\n" for record in match.records), encoding="ascii")
    return totals


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a mail hub's log, and the truth about it.")
    defaults = Options()
    parser.add_argument("--lines", type=int, default=defaults.lines)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--logins", type=float, default=defaults.logins, help="share of lines that are logins")
    parser.add_argument("--ipv6", type=float, default=defaults.ipv6, help="share of logins that come over IPv6")
    parser.add_argument("--new", type=float, default=defaults.new, help="share of logins from an address not seen yet")
    parser.add_argument("--envelopes", default="mixed", choices=["mixed", *ENVELOPES])
    parser.add_argument("--rate", type=float, default=defaults.rate, help="lines a second of the log's own time")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--truth", type=Path, help="JSON lines as `pbs-fast match --json --missed` prints them")
    given = parser.parse_args(arguments)
    options = Options(
        lines=given.lines,
        seed=given.seed,
        logins=given.logins,
        ipv6=given.ipv6,
        new=given.new,
        envelopes=given.envelopes,
        rate=given.rate,
    )
    totals = write_both(given.out, given.truth, options) if given.truth else write_log(given.out, options)
    print(json.dumps(totals, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
