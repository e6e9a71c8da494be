"""Writes a hub's log to a file, and adds up what a replay of it must count.

The file's time of last modification becomes that of its last line, because years are judged from it.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pbs_fast.bench.hublog.stream import Options, Truth, iter_lines


class Totals:
    """What a replay of the log must count."""

    def __init__(self, grace: int = 1800) -> None:
        self._grace = grace
        self._kinds: Counter[str] = Counter()
        self._latest: dict[str, int] = {}
        self._v6 = 0
        self._bytes = 0
        self._granted = 0
        self._timestamp = 0

    def add(self, line: bytes, truth: Truth) -> None:
        """Count one line, given without its newline."""
        self._bytes += len(line) + 1
        self._kinds[truth.kind] += 1
        self._timestamp = max(self._timestamp, truth.timestamp)
        if truth.kind == "login" and truth.ip is not None:
            self._v6 += ":" in truth.ip
            latest = self._latest.get(truth.ip)
            # Event by event: a login later than the end of the address's last grant is a new grant.
            if latest is None or truth.timestamp > latest + self._grace:
                self._granted += 1
            self._latest[truth.ip] = truth.timestamp if latest is None else max(latest, truth.timestamp)

    def as_dict(self) -> dict[str, Any]:
        """Keys as in the JSON object of `bench`, and `missed` and `ipv6_logins` in lines."""
        live = sum(latest + self._grace > self._timestamp for latest in self._latest.values())
        digest = hashlib.sha256()
        for text in sorted(f"{ip} {timestamp}\n".encode() for ip, timestamp in self._latest.items()):
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


def write_log(
    log: Path,
    options: Options,
    *,
    grace: int = 1800,
    on_line: Callable[[bytes, Truth], object] = lambda _line, _truth: None,
) -> dict[str, Any]:
    """Write the log, telling `on_line` each line and the truth about it; what a replay of it must count.

    Raises OSError when the file cannot be written, ValueError for an envelope that does not exist.
    """
    totals = Totals(grace)
    with log.open("wb", buffering=1 << 20) as out:
        for line, truth in iter_lines(options):
            out.write(line + b"\n")
            totals.add(line, truth)
            on_line(line, truth)
    last = int(options.start + options.lines / options.rate)
    os.utime(log, (last, last))
    return totals.as_dict()
