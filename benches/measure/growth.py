"""How the cost of a line grows: with the log, live addresses, formats, the share of logins. Rust, one thread."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from measure.logs import Log, generated

_ALL = 10**6
_GRACE = 1800


class Point(NamedTuple):
    """One measured point of a curve."""

    at: str
    """What grew, as a text."""
    x: float
    ns: float
    """Nanoseconds a line, or a login where the curve says so."""
    ratio: float
    """To the first point of the curve."""
    peak_rss_mb: float


class Curve(NamedTuple):
    """What one thing costs as another grows."""

    title: str
    unit: str
    points: list[Point]


class _Plan(NamedTuple):
    at: str
    x: float
    log: Log
    formats: int = _ALL
    grace: int = _GRACE


def _run(plan: _Plan) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__).with_name("one.py")), str(plan.formats), str(plan.grace)]
    out = subprocess.run([*command, str(plan.log.path)], stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, Any] = json.loads(out)
    if plan.grace == _GRACE:
        for key in plan.log.totals.keys() & found.keys():
            assert found[key] == plan.log.totals[key], f"{plan}: {key} is {found[key]}"
    return found


def _curve(title: str, unit: str, plans: list[_Plan], rounds: int) -> Curve:
    print(f"growth: {title}", file=sys.stderr)
    runs: list[list[dict[str, Any]]] = [[] for _ in plans]
    for _ in range(rounds):
        for plan, found in zip(plans, runs, strict=True):
            found.append(_run(plan))

    def cost(found: dict[str, Any]) -> float:
        if unit == "ledger, ns a login":
            return 1e9 * float(found["stages"]["ledger"]) / float(found["logins"])
        return 1e9 * float(found["seconds"]) / float(found["lines"])

    points: list[Point] = []
    for plan, found in zip(plans, runs, strict=True):
        ns = statistics.median(map(cost, found))
        first = points[0].ns if points else ns
        points.append(Point(plan.at, plan.x, ns, ns / first, max(each["peak_rss_mb"] for each in found)))
    return Curve(title, unit, points)


def curves(*, quick: bool, rounds: int) -> list[Curve]:
    """All curves; the quick form has smaller logs."""
    sizes = (50_000, 200_000) if quick else (50_000, 200_000, 800_000, 2_000_000)
    base = generated(lines=200_000)
    size = [_Plan(f"{lines:,} lines", lines, generated(lines=lines)) for lines in sizes]
    flood = generated(lines=200_000 if quick else 2_000_000, logins=0.5, new=1.0)
    # 23 lines a second, half of them logins from new addresses.
    graces = (600, 6_000, _ALL) if quick else (600, 6_000, 30_000, _ALL)
    addresses = int(flood.totals["distinct_ips"])
    live = [
        _Plan(f"{min(int(11.5 * grace), addresses):,}", min(11.5 * grace, addresses), flood, grace=grace)
        for grace in graces
    ]
    formats = [_Plan(str(min(n, 23)), min(n, 23), base, formats=n) for n in (6, 12, _ALL)]
    shares = (0.0, 0.08, 0.5) if quick else (0.0, 0.02, 0.08, 0.2, 0.5)
    share = [_Plan(f"{part:.0%}", part, generated(lines=200_000, logins=part)) for part in shares]
    return [
        _curve("size of the log", "ns a line", size, rounds),
        _curve("live addresses", "ledger, ns a login", live, rounds),
        _curve("formats of the catalogue", "ns a line", formats, rounds),
        _curve("share of logins", "ns a line", share, rounds),
    ]
