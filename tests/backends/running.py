"""Running a backend on bytes: events, rows and counters, and the order-sensitive things around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from backends.inline import FORMATS, REFERENCE, ZONE
from pbs_fast.events import Batch, Event
from pbs_fast.formats import Format
from pbs_fast.matching import Matcher
from pbs_fast.matching.backends import Backend, load_backend

BOTH = ("rust", "python")
GAP = 1800


@dataclass(frozen=True)
class Setting:
    """All that decides what comes out of some bytes, except where they are cut."""

    formats: tuple[Format, ...] = FORMATS
    zone: tuple[tuple[int, int], ...] = ZONE
    layout: str = "syslog"
    reference: int = REFERENCE
    live: bool = False
    fold: bool = True
    gap: int | None = GAP


DEFAULT = Setting()


@lru_cache(maxsize=64)
def matcher(core: str, formats: tuple[Format, ...], zone: tuple[tuple[int, int], ...]) -> Matcher:
    return load_backend(core).Matcher(formats, zone)


@dataclass(frozen=True)
class Outcome:
    """What a backend makes of a source that comes in pieces."""

    events: list[Event]
    batches: list[dict[str, Any]]
    counters: dict[str, int]


def run(core: Backend | str, data: bytes, setting: Setting = DEFAULT, cuts: Iterable[int] = ()) -> Outcome:
    """Scan `data` in pieces that end at `cuts` (line starts), once for events and once for rows."""
    name = core if isinstance(core, str) else core.name
    m = matcher(name, setting.formats, setting.zone)
    make = load_backend(name).Stream
    bounds = [0, *sorted(set(cuts)), len(data)]
    scans = [
        m.scan(data, start=a, stop=b, offset=a, layout=setting.layout, reference=setting.reference)
        for a, b in pairwise(bounds)
    ]
    return resolve_order(make, m, scans, setting)


def events(core: Backend, *lines: str | bytes, setting: Setting = DEFAULT) -> list[Event]:
    """What comes of these lines."""
    data = b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines)
    return run(core, data, setting).events


def told(core: Backend, *lines: str | bytes, setting: Setting = DEFAULT) -> list[str | None]:
    """Address of each event, reason of each missed line."""
    return [event.reason or event.ip for event in events(core, *lines, setting=setting)]


def resolve_order(make: Any, m: Matcher, scans: Sequence[Any], setting: Setting) -> Outcome:
    listed = make(m, source="s", gap=setting.gap, live=setting.live, fold=setting.fold)
    folded = make(m, source="s", gap=setting.gap, live=setting.live, fold=setting.fold)
    bare = make(m, source="s", gap=setting.gap, live=setting.live, fold=setting.fold, sessions=False)
    events: list[Event] = []
    batches = []
    for scan in scans:
        events += listed.events(scan)
        folded.add(scan)
        batches.append(columns(batch := folded.take()))
        bare.add(scan)
        assert columns(bare.take()) == columns(without_sessions(batch))
    counters = listed.counters
    # Where logins are folded, or no sessions are counted, nobody looks for the addresses of logouts.
    assert bare.counters == counters | {"logout_no_address": 0}
    assert folded.counters == (counters | {"logout_no_address": 0} if setting.fold else counters)
    told = sum(n for name, n in counters.items() if name not in ("lines", "logout_no_address"))
    assert told == counters["lines"] == sum(scan.lines for scan in scans)
    return Outcome(events, batches, counters)


def without_sessions(batch: Batch) -> Batch:
    """What is left of it for who counts no sessions."""
    left = batch.select(kind != "logout" for kind in batch.kind)
    return replace(left, process=[""] * len(left))


def columns(batch: Batch) -> dict[str, Any]:
    found = {field.name: getattr(batch, field.name) for field in fields(batch)}
    assert {len(column) for name, column in found.items() if name != "source"} == {len(batch)}
    return found


def line_starts(data: bytes) -> list[int]:
    """Where data may be cut: after each newline."""
    return [i + 1 for i, byte in enumerate(data) if byte == 10 and i + 1 < len(data)]
