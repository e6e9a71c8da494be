"""How the cost of a line grows: with the log, live addresses, formats, the share of logins. Rust, one thread, processor
time (`one`)."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from measure.days import Days
from measure.logs import DATA, Log, generated

_ALL = 10**6
_GRACE = 1800

#: Lines of a day at 23 a second: 333 MB.
DAY = 1_987_200

SIZE, LIVE, FORMATS, SHARE = "size of the log", "live addresses", "formats of the catalogue", "share of logins"
_LINE, _LOGIN = "ns a line", "ledger, ns a login"

#: Of disk and memory this much stays free.
_RESERVE = 2 << 30


class Point(NamedTuple):
    """One measured point of a curve; one that was not measured has no figures."""

    at: str
    """What grew, as a text."""
    x: float
    ns: float | None
    """Nanoseconds of processor time a line, or a login where the curve says so."""
    ratio: float | None
    """To the first point of the curve."""
    peak_rss_mb: float | None
    why: str | None = None
    """Why it was not measured."""


class Curve(NamedTuple):
    """What one thing costs as another grows."""

    title: str
    unit: str
    points: list[Point]

    @property
    def measured(self) -> list[Point]:
        """The points with figures."""
        return [point for point in self.points if point.ns is not None]


class Plan(NamedTuple):
    """A point to be measured."""

    at: str
    x: float
    log: Log
    formats: int = _ALL
    grace: int = _GRACE


Runs = list[dict[str, Any]]


def _run(plan: Plan) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name("one.py")), str(plan.formats), str(plan.grace)]
    out = subprocess.run([*command, str(plan.log.path)], stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, Any] = json.loads(out)
    if plan.grace == _GRACE:
        for key in plan.log.totals.keys() & found.keys():
            assert found[key] == plan.log.totals[key], f"{plan.at}: {key} is {found[key]}, not {plan.log.totals[key]}"
    return found


def _alternate(title: str, plans: list[Plan], rounds: int) -> list[tuple[Plan, Runs]]:
    print(f"growth: {title}", file=sys.stderr)
    runs: list[Runs] = [[] for _ in plans]
    for _ in range(rounds):
        for plan, found in zip(plans, runs, strict=True):
            found.append(_run(plan))
    return list(zip(plans, runs, strict=True))


def curve(title: str, unit: str, measured: list[tuple[Plan, Runs]]) -> Curve:
    """The points of what was measured."""

    def cost(found: dict[str, Any]) -> float:
        if unit == _LOGIN:
            return 1e9 * float(found["stages"]["ledger"]) / float(found["logins"])
        return 1e9 * float(found["seconds"]) / float(found["lines"])

    points: list[Point] = []
    first: float | None = None
    for plan, found in measured:
        ns = statistics.median(map(cost, found))
        first = first or ns
        points.append(Point(plan.at, plan.x, ns, ns / first, max(each["peak_rss_mb"] for each in found)))
    return Curve(title, unit, points)


def size_text(size: float) -> str:
    """Bytes as people name them."""
    return f"{size / 1e9:.0f} GB" if size >= 0.95e9 else f"{size / 1e6:.0f} MB"


def no_room(size: int, written: int, disk: int, memory: int) -> str | None:
    """Why a log of this size, some of it written already, is not measured with so many bytes free; None if it is."""
    if disk < size - written + _RESERVE:
        return f"needs {size_text(size - written + _RESERVE)} more of disk, {size_text(disk)} are free"
    if memory < size + _RESERVE:
        return f"does not fit into the {size_text(memory)} of free memory, so the disk would be measured"
    return None


def _free_memory() -> int:
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 1 << 62
    return int(text.partition("MemAvailable:")[2].split()[0]) * 1024


def _sizes(*, quick: bool, rounds: int) -> Curve:
    """From 1 MB to 10 GB. A small log is a day of a small site: the same share of its logins begins a grant, which a
    piece of a busy hub's day has not (where nobody has been seen yet, all do). From 335 MB on, there are more days.
    """
    small = []
    for lines in (6_000, 60_000, 600_000):
        day = generated(lines=lines, rate=lines / 86_400)
        size = day.totals["bytes"]
        small.append(Plan(f"{size_text(size)}, {lines:,} lines", size, day))
    measured = _alternate(SIZE, small, rounds)
    hub = Days(DAY)
    log = DATA / "days.log"
    left: list[Point] = []
    try:
        log.unlink(missing_ok=True)
        done = 0
        for days in (1, 3, 9) if quick else (1, 3, 9, 30):
            size = days * hub.size
            at = f"{size_text(size)}, {days * DAY:,} lines"
            if why := no_room(size, done * hub.size, shutil.disk_usage(DATA).free, _free_memory()):
                left.append(Point(at, size, None, None, None, why))
                continue
            hub.append(log, range(done, days))
            done = days
            # The longest ones take so long that noise averages out.
            plan = Plan(at, size, Log(log, hub.totals(days), "UTC"))
            measured += _alternate(f"{SIZE}, {size_text(size)}", [plan], rounds if days < 9 else 1)
    finally:
        log.unlink(missing_ok=True)
    found = curve(SIZE, _LINE, measured)
    return found._replace(points=found.points + left)


def curves(*, quick: bool, rounds: int) -> list[Curve]:
    """All curves; the quick form has smaller logs."""
    base = generated(lines=200_000)
    flood = generated(lines=200_000 if quick else 2_000_000, logins=0.5, new=1.0)
    # 23 lines a second, half of them logins from new addresses.
    graces = (600, 6_000, _ALL) if quick else (600, 6_000, 30_000, _ALL)
    addresses = int(flood.totals["distinct_ips"])
    live = [
        Plan(f"{min(int(11.5 * grace), addresses):,}", min(11.5 * grace, addresses), flood, grace=grace)
        for grace in graces
    ]
    formats = [Plan(str(min(n, 23)), min(n, 23), base, formats=n) for n in (6, 12, _ALL)]
    shares = (0.0, 0.08, 0.5) if quick else (0.0, 0.02, 0.08, 0.2, 0.5)
    share = [Plan(f"{part:.0%}", part, generated(lines=200_000, logins=part)) for part in shares]
    return [
        _sizes(quick=quick, rounds=rounds),
        curve(LIVE, _LOGIN, _alternate(LIVE, live, rounds)),
        curve(FORMATS, _LINE, _alternate(FORMATS, formats, rounds)),
        curve(SHARE, _LINE, _alternate(SHARE, share, rounds)),
    ]
