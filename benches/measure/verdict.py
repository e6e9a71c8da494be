"""What was aimed at and what was reached, and what is over its budget. Figures in, judgements out."""

from __future__ import annotations

from typing import NamedTuple

from measure.cases import Found, Limits
from measure.contenders import PYTHON, RUST_1, RUST_N, Samples, median, stage, to_columns
from measure.growth import SIZE, Curve, Point
from measure.rivals import RG_JOB, RG_RARE
from measure.start import SMALL, Start
from measure.switches import Switched
from measure.written import Written


class Aim(NamedTuple):
    """One figure beside what is aimed at."""

    what: str
    found: float
    limit: float
    unit: str
    """`x` for a ratio."""
    at_least: bool = False
    reason: str = ""
    """Why it is missed, where it is."""

    @property
    def met(self) -> bool:
        """Whether the aim is reached."""
        return self.found >= self.limit if self.at_least else self.found <= self.limit


def per_line(samples: Samples, name: str) -> float | None:
    """Median seconds a line; None for who was not there."""
    return median(samples[name]) / samples[name][0].lines if name in samples else None


def columns_per_line(samples: Samples) -> float:
    """Of our one thread, reading to folded columns."""
    return to_columns(samples[RUST_1.name]) / samples[RUST_1.name][0].lines


def rival_aims(samples: Samples, limits: Limits) -> list[Aim]:
    """Against both of ripgrep's patterns, where it is installed, and the Python backend's speed."""
    aims: list[Aim] = []
    whole, threads = per_line(samples, RUST_1.name), per_line(samples, RUST_N.name)
    assert whole is not None
    for rival, short in ((RG_RARE, "rare literal"), (RG_JOB, "all servers")):
        base = per_line(samples, rival)
        if base is None:
            continue
        rows = [
            ("columns", "reading to columns, 1 thread", columns_per_line(samples)),
            ("whole", "all, 1 thread", whole),
        ]
        if threads is not None:
            rows.append(("threads", "all, default threads", threads))
        aims += [_aim(f"{what}: times rg, {short}", each / base, key, "x", limits) for key, what, each in rows]
    aims.append(_aim(f"2 M lines, {RUST_1.name}", 2e6 * whole, "one_s", "s", limits))
    if threads is not None:
        aims.append(_aim(f"2 M lines, {RUST_N.name}", 2e6 * threads, "threads_s", "s", limits))
    if logins := samples[RUST_1.name][0].record["logins"]:
        spent = 1e6 * stage(samples[RUST_1.name], "ledger") / logins
        aims.append(_aim("guards and ledger, a login", spent, "ledger_us", "us", limits))
    backend = per_line(samples, PYTHON.name)
    if backend is not None:
        aims.append(Aim("Python backend, all", 1 / backend, limits.aims["python"], "lines/s", at_least=True))
    return aims


def _aim(what: str, found: float, key: str, unit: str, limits: Limits) -> Aim:
    return Aim(what, found, limits.aims[key], unit, reason=limits.reasons.get(key, ""))


def other_aims(starts: list[Start], live: float | None, limits: Limits) -> list[Aim]:
    """The start with a small log, and what the daemon spends; `live` in seconds for a million lines, where measured."""
    small = [_aim(SMALL, 1e3 * each.seconds, "small_ms", "ms", limits) for each in starts if each.name == SMALL]
    busy = [] if live is None else [_aim("following 50,000 lines/s, a million lines", live, "live_s", "s", limits)]
    return small + busy


def switch_aims(rows: list[Switched], limits: Limits) -> list[Aim]:
    """Each part that may be switched on and has a budget."""
    limit = limits.budget["switch"]
    return [Aim(_with(row), row.ratio, limit, "x") for row in rows if row.ratio is not None and row.aim is None]


def further_aims(rows: list[Switched], limits: Limits) -> list[Aim]:
    """Each part that may be switched on and has an aim."""
    return [_aim(_with(row), row.ratio, row.aim, "x", limits) for row in rows if row.ratio is not None and row.aim]


def _with(row: Switched) -> str:
    return f"with {row.name}: times without"


def start_aims(starts: list[Start], limits: Limits) -> list[Aim]:
    """Each command of ours, beyond the bare program."""
    limit = limits.budget["start_ms"]
    return [
        Aim(f"{each.name}: more than a bare typer program", each.over_ms, limit, "ms")
        for each in starts
        if each.over_ms is not None
    ]


def table_aims(rows: list[Written], limits: Limits) -> list[Aim]:
    """Each table with each choice of threads."""
    return [
        Aim(f"with {row.table}, {row.threads}: times without a table", row.ratio, limits.budget["table"], "x")
        for row in rows
        if row.ratio is not None and row.table != "none"
    ]


def growth_aims(curves: list[Curve], limits: Limits) -> list[Aim]:
    """Of the size of the log only: the other curves show what costs, not what must be constant."""
    points = next((curve.measured for curve in curves if curve.title == SIZE), [])
    if not points:
        return []
    costs = [point.ns or 0.0 for point in points]
    aims = [Aim("a line, any size of log: dearest to cheapest", max(costs) / min(costs), limits.budget["line"], "x")]
    day, longest = _of_a_day(points), points[-1]
    if day is not None and day is not longest and day.peak_rss_mb and longest.peak_rss_mb:
        ratio = longest.peak_rss_mb / day.peak_rss_mb
        aims.append(Aim(f"peak memory, {longest.at}: times {day.at}", ratio, limits.budget["memory"], "x"))
    return aims


def _of_a_day(points: list[Point]) -> Point | None:
    """That of a busy hub's one day: from there on more days have as many live addresses."""
    return next((point for point in points if point.x > 2e8), None)


def over(found: list[Found], budgets: list[Aim]) -> list[str]:
    """What costs more than it may, one text each."""
    stages = [f"{case.name}: {', '.join(case.over)}" for case in found if case.over]
    return stages + [f"{aim.what}: {aim.found:.3g} {aim.unit} of {aim.limit:g}" for aim in budgets if not aim.met]
