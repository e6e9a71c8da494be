#!/usr/bin/env python3
"""Writes a hub's log and the truth about it: `benches/generate.py --lines 2000000 --out hub.log --truth hub.truth`.

The truth is one JSON object a line, letter for letter what `pbs-fast match --json --missed` must print, save for the
text of missed lines. Totals, with the digest that `pbs-fast bench` must print, go to standard output. The log's time of
last modification is that of its last line, because years are judged from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from hublog import Options, Truth, iter_lines
from hublog.envelopes import ENVELOPES


class Totals:
    """What a replay of the log must count."""

    def __init__(self, grace: int = 1800) -> None:
        self._grace = grace
        self._kinds: Counter[str] = Counter()
        self._latest: dict[str, int] = {}
        self._v6 = 0
        self._bytes = 0
        self._granted = 0
        self._stamp = 0

    def add(self, line: bytes, truth: Truth) -> None:
        self._bytes += len(line) + 1
        self._kinds[truth.kind] += 1
        self._stamp = truth.stamp
        if truth.kind == "login" and truth.ip is not None:
            self._v6 += ":" in truth.ip
            latest = self._latest.get(truth.ip)
            # Event by event: a login later than the end of the address's last grant is a new grant.
            if latest is None or truth.stamp > latest + self._grace:
                self._granted += 1
            self._latest[truth.ip] = truth.stamp if latest is None else max(latest, truth.stamp)

    def as_dict(self) -> dict[str, Any]:
        live = sum(latest + self._grace > self._stamp for latest in self._latest.values())
        digest = hashlib.sha256()
        for text in sorted(f"{ip} {stamp}\n".encode() for ip, stamp in self._latest.items()):
            digest.update(text)
        return {
            "lines": self._kinds.total(),
            "bytes": self._bytes,
            "logins": self._kinds["login"],
            "logouts": self._kinds["logout"],
            "missed": self._kinds["missed"],
            "ipv6_logins": self._v6,
            "distinct_ips": len(self._latest),
            "granted": self._granted,
            "expired": self._granted - live,
            "digest": digest.hexdigest(),
        }


def as_match(log: str, lines: Iterable[tuple[bytes, Truth]]) -> Iterator[dict[str, object]]:
    """What `match --json --missed` says of these lines."""
    missed = []
    for number, (line, truth) in enumerate(lines, 1):
        if truth.kind == "missed":
            missed.append({"file": log, "line": number, "missed": truth.missed, "text": line.decode()})
        elif truth.kind != "other":
            yield {
                "file": log,
                "line": number,
                "event": truth.kind,
                "ip": truth.ip,
                "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(truth.stamp)),
                "format": truth.format,
                "user": truth.user,
            }
    yield from missed


def write_log(log: Path, options: Options, *, truth: Path | None = None, grace: int = 1800) -> dict[str, Any]:
    """Write the log, and where asked the truth about its lines; what a replay of it must count."""
    totals = Totals(grace)

    def written() -> Iterator[tuple[bytes, Truth]]:
        with log.open("wb", buffering=1 << 20) as out:
            for line, fact in iter_lines(options):
                out.write(line + b"\n")
                totals.add(line, fact)
                yield line, fact

    if truth is None:
        for _ in written():
            pass
    else:
        with truth.open("w", encoding="ascii", buffering=1 << 20) as file:
            for record in as_match(str(log), written()):
                file.write(json.dumps(record) + "\n")
    last = int(options.start + options.lines / options.rate)
    os.utime(log, (last, last))
    return totals.as_dict()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write a mail hub's log, and the truth about it.")
    defaults = Options()
    parser.add_argument("--lines", type=int, default=defaults.lines)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--logins", type=float, default=defaults.logins, help="share of lines that are logins")
    parser.add_argument("--ipv6", type=float, default=defaults.ipv6, help="share of logins that come over IPv6")
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
        envelopes=given.envelopes,
        rate=given.rate,
    )
    totals = write_log(given.out, options, truth=given.truth)
    print(json.dumps(totals, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
