"""A log of many days: one generated day, again and again, each time with its own dates and addresses, and the truth.

To generate 60 million lines takes minutes; to rewrite a day's takes a second. Each day's logins come from addresses of
their own, because a replay has to remember them: the same every day would show less memory than a real log needs.
Every rewritten text is as long as it was, so a day has its size and its lines are where they were.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

from pbs_fast.bench.hublog import Options, Totals, iter_lines

_DAY = 86_400
_GRACE = 1800

#: Documentation networks: the log's own servers are in them, and a login from its own server would be refused.
_KEPT = ("192", "198", "203")

_PIECE = 1 << 18


def renamer(day: int) -> Callable[[str], str]:
    """Another canonical address, as long, for each one; no two get the same, and none becomes one to be refused.

    Numbers are exchanged among those of as many digits, behind the first; of IPv6 the digits but 0, behind `2001:db8:`
    and the like, so that runs of zeros stay where they are.
    """
    rng = Random(day)

    def exchanged() -> dict[str, str]:
        table: dict[str, str] = {}
        for numbers in (range(10), range(10, 100), range(100, 256)):
            others = list(numbers)
            rng.shuffle(others)
            table |= {str(number): str(other) for number, other in zip(numbers, others, strict=True)}
        return table

    second, third, fourth = exchanged(), exchanged(), exchanged()
    digits = list("123456789abcdef")
    rng.shuffle(digits)
    hexadecimal = str.maketrans("123456789abcdef", "".join(digits))

    def renamed(ip: str) -> str:
        if day == 0:
            return ip
        if ":" in ip:
            tail = ip.index(":", ip.index(":") + 1)
            return ip[:tail] + ip[tail:].translate(hexadecimal)
        a, b, c, d = ip.split(".")
        return ip if a in _KEPT else f"{a}.{second[b]}.{third[c]}.{fourth[d]}"

    return renamed


class Days:
    """The days of a hub, `lines` each."""

    def __init__(self, lines: int) -> None:
        self._start = Options().start
        self._end = self._start
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._grants: dict[str, int] = {}
        self._spots: list[tuple[int, str]] = []
        totals = Totals(_GRACE)
        out = BytesIO()
        for line, truth in iter_lines(Options(lines=lines, rate=lines / _DAY)):
            # A session's end may have its address from the login and not name it.
            if truth.ip is not None and (spot := line.find(truth.ip.encode())) >= 0:
                self._spots.append((out.tell() + spot, truth.ip))
            if truth.kind == "login" and truth.ip is not None:
                self._add(truth.ip, truth.timestamp)
            totals.add(line, truth)
            self._end = truth.timestamp
            out.write(line + b"\n")
        self._data = out.getvalue()
        self._totals = totals.as_dict()

    def _add(self, ip: str, timestamp: int) -> None:
        last = self._last.get(ip)
        if last is None:
            self._first[ip] = timestamp
        if last is None or timestamp > last + _GRACE:
            self._grants[ip] = self._grants.get(ip, 0) + 1
        self._last[ip] = timestamp if last is None else max(last, timestamp)

    @property
    def size(self) -> int:
        """Bytes of one day."""
        return len(self._data)

    def text(self, day: int) -> Iterator[bytes]:
        """One day's lines, in pieces."""
        data = bytearray(self._data)
        other = renamer(day)
        renamed = {ip: other(ip).encode() for ip in {ip for _, ip in self._spots}}
        for spot, ip in self._spots:
            data[spot : spot + len(ip)] = renamed[ip]
        # The latest date first, so that no date is moved twice; of timestamps in other zones some are the day's before
        # or after.
        dates = [
            (self._date(form, offset), self._date(form, offset + day))
            for offset, form in ((1, "%Y-%m-%d"), (0, "%Y-%m-%d"), (-1, "%Y-%m-%d"), (0, "%b %e "))
        ]
        assert all(len(old) == len(new) for old, new in dates)
        # Pieces that a processor's cache holds: twice as fast as whole days.
        start = 0
        while start < len(data):
            stop = data.find(b"\n", start + _PIECE) + 1 or len(data)
            piece = bytes(data[start:stop])
            for old, new in dates if day else ():
                piece = piece.replace(old, new)
            yield piece
            start = stop

    def _date(self, form: str, days: int) -> bytes:
        return time.strftime(form, time.gmtime(self._start + days * _DAY)).encode()

    def append(self, log: Path, days: range) -> None:
        """Write these days at the log's end."""
        with log.open("ab") as out:
            for day in days:
                out.writelines(self.text(day))
            # Else the kernel would write it while it is measured.
            out.flush()
            os.fsync(out.fileno())
        last = self._start + days.stop * _DAY
        os.utime(log, (last, last))

    def totals(self, days: int) -> dict[str, Any]:
        """What a replay of so many days must count."""
        latest: dict[str, int] = {}
        granted = 0
        for day in range(days):
            other, shift = renamer(day), day * _DAY
            for ip, first in self._first.items():
                name = other(ip)
                before = latest.get(name)
                granted += self._grants[ip] - (before is not None and first + shift <= before + _GRACE)
                latest[name] = self._last[ip] + shift
        end = self._end + (days - 1) * _DAY
        live = sum(timestamp + _GRACE > end for timestamp in latest.values())
        digest = hashlib.sha256()
        for text in sorted(f"{ip} {timestamp}\n".encode() for ip, timestamp in latest.items()):
            digest.update(text)
        scaled = {key: self._totals[key] * days for key in ("lines", "bytes", "logins", "logouts")}
        counted = {"distinct_ips": len(latest), "granted": granted, "expired": granted - live}
        return scaled | counted | {"digest": digest.hexdigest()}
