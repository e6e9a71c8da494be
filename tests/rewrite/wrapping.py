"""Entries of containers' runtimes, made from lines; and reading them through a Reader as the daemon does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from backends.inline import FORMATS, REFERENCE, ZONE
from backends.running import columns, matcher
from pbs_fast.events import Event
from pbs_fast.formats import Format
from pbs_fast.matching.backends import load_backend
from pbs_fast.matching.reader import Reader
from pbs_fast.matching.rewrite.logtime import LogTime

TIMESTAMP = "2026-03-04T06:00:00.123456789Z"
AT = 1772604000
LOGIN = "mx alphad: LOGIN, user=lena, ip=[192.0.2.7]"


def docker(
    text: str, *, timestamp: str = TIMESTAMP, stream: str = "stdout", part: bool = False, end: str = "\n"
) -> bytes:
    """An entry of Docker's json-file, as dockerd writes it (compact, `<`, `>` and `&` escaped)."""
    record = {"log": text + ("" if part else end), "stream": stream, "time": timestamp}
    found = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&":
        found = found.replace(char, f"\\u{ord(char):04x}")
    return found.encode("utf-8", "surrogatepass") + b"\n"


def cri(text: str, *, timestamp: str = TIMESTAMP, stream: str = "stdout", part: bool = False) -> bytes:
    """An entry as CRI's runtimes write it."""
    return f"{timestamp} {stream} {'P' if part else 'F'} {text}\n".encode("utf-8", "surrogatepass")


WRAPPERS = {"docker": docker, "cri": cri}


class Outcome:
    """What a Reader makes of a source that comes in pieces."""

    def __init__(
        self,
        core: str,
        data: bytes,
        cuts: Iterable[int] = (),
        *,
        offset: int = 0,
        logtime: LogTime | None = None,
        formats: tuple[Format, ...] = FORMATS,
        after_others: bool = True,
    ) -> None:
        """`after_others`: a file before it ended with whole entries of both streams."""
        bounds = list(pairwise([0, *sorted(set(cuts)), len(data)]))

        def reader(*, fold: bool) -> Reader:
            m = matcher(core, formats, ZONE)
            made = Reader(load_backend(core), m, source="s", gap=1800, live=False, fold=fold, logtime=logtime)
            if after_others:
                made.prime(docker("x") + docker("x", stream="stderr"), 0, reference=REFERENCE)
                made.begin_file()
            return made

        listing, folding = reader(fold=False), reader(fold=False)
        self.events: list[Event] = []
        self.batches: list[dict[str, Any]] = []
        for a, b in bounds:
            self.events += listing.events(data, a, b, offset=a + offset, reference=REFERENCE)
            folding.feed(data, a, b, offset=a + offset, reference=REFERENCE)
            if a % 2:
                # Rows wait over several pieces, too.
                self.batches.append(columns(folding.take()))
        self.batches.append(columns(folding.take()))
        self.counters = listing.counters
        self.layout = listing.layout
        assert folding.counters == self.counters
        told = sum(n for name, n in self.counters.items() if name not in ("lines", "logout_no_address", "parts"))
        assert told == self.counters["lines"] == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
        rows = [row for batch in self.batches for row in zip(batch["offset"], batch["ip"], strict=True) if row[1]]
        assert rows == [(event.offset, event.ip) for event in self.events if event.ip is not None]


def told(core: str, *entries: bytes, **more: Any) -> list[str | None]:
    """Address of each event, reason of each missed line; the same whole and cut after each line."""
    data = b"".join(entries)
    whole = Outcome(core, data, **more)
    pieces = Outcome(core, data, line_ends(data), **more)
    assert whole.events == pieces.events
    assert whole.counters == pieces.counters
    return [event.reason or event.ip for event in whole.events]


def line_ends(data: bytes) -> Sequence[int]:
    return [i + 1 for i, byte in enumerate(data) if byte == 10 and i + 1 < len(data)]
