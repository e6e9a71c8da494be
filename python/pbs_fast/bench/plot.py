"""Plots the results of a replay: lines per second of each run, and the time of each stage. Needs matplotlib.

The same results give the same SVG, byte by byte: no date, no random ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pbs_fast.errors import PbsError, SourceError, UsageError

#: Colours of the first and the second backend.
_COLOURS = ("#1f6f8b", "#d1873b")


def check(path: str) -> None:
    """To be asked first. Raises UsageError for a file that is neither SVG nor PNG, PbsError without matplotlib."""
    if Path(path).suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"--plot={path}: neither .svg nor .png; name a file that ends so")
    # Not imported yet: its 40 MB would count in the replay's peak memory.
    if find_spec("matplotlib") is None:
        raise PbsError(f"--plot needs matplotlib, {_where()}")


def _where() -> str:
    """What to do about the missing library: a distribution's package is no place for pip."""
    from importlib.metadata import distribution

    installer = (distribution("pbs-fast").read_text("INSTALLER") or "").strip()
    if installer == "debian":
        return "which the Debian package does not hold; --json prints the figures"
    return "which is not installed: pip install 'pbs-fast[plot]'"


def plot(path: str, records: Sequence[dict[str, Any]]) -> None:
    """Plot the records of the backends (`repeats.median_record`). Raises SourceError if it cannot write."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    rates, stages = figure.subplots(1, 2, width_ratios=(1, 1.2))
    _rates(rates, records)
    _stages(stages, records)
    for axes in (rates, stages):
        axes.spines[["top", "right"]].set_visible(False)
    try:
        with mpl.rc_context({"svg.hashsalt": "pbs-fast"}):
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.lower().endswith(".svg") else None)
    except OSError as error:
        raise SourceError(f"--plot={path}: cannot be written: {error.strerror or error}") from error


def _label(record: dict[str, Any]) -> str:
    return f"{record['core']}, {record['threads']} thread{'s' if record['threads'] > 1 else ''}"


def _rates(axes: Any, records: Sequence[dict[str, Any]]) -> None:
    """A bar per backend, and a mark per run."""
    medians = [record["lines"] / record["seconds"] / 1e6 if record["seconds"] else 0.0 for record in records]
    bars = axes.barh(range(len(records)), medians, height=0.5, color=_COLOURS[: len(records)])
    axes.bar_label(bars, [f"{median:.3g}" for median in medians], padding=4)
    unit = "million lines/s"
    for place, record in enumerate(records):
        if runs := [record["lines"] / each / 1e6 for each in record.get("repeat", {}).get("seconds", ()) if each]:
            axes.plot(runs, [place + 0.34] * len(runs), "|", color="black")
            unit = "million lines/s: the median run; marks: each run"
    axes.set_yticks(range(len(records)), [_label(record) for record in records])
    axes.set(title=f"{records[0]['lines']:,} lines", xlabel=unit)
    axes.margins(x=0.15)
    axes.set_ylim(len(records) - 0.4, -0.6)


def _stages(axes: Any, records: Sequence[dict[str, Any]]) -> None:
    """A group of bars per stage, a bar per backend: a stack would hide the stages of the faster backend."""
    names = [name for name in records[0]["stages"] if any(record["stages"][name] for record in records)]
    height = 0.8 / len(records)
    shown: list[float] = []
    for place, record in enumerate(records):
        costs = [1e9 * record["stages"][name] / max(record["lines"], 1) for name in names]
        shown += costs
        spots = [number + (place - (len(records) - 1) / 2) * height for number in range(len(names))]
        bars = axes.barh(spots, costs, height=0.9 * height, color=_COLOURS[place])
        axes.bar_label(bars, [f"{cost:,.0f}" if cost >= 10 else f"{cost:.2g}" for cost in costs], padding=4, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(title="processing time by stage, all threads together", xlabel="ns a line" + _decades(axes, shown))
    axes.margins(x=0.15)


def _decades(axes: Any, values: Sequence[float]) -> str:
    """Make the axis logarithmic where the values span decades, and say so."""
    from matplotlib.ticker import FuncFormatter

    found = [value for value in values if value > 0]
    if not found or max(found) < 10 * min(found):
        return ""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    return " (logarithmic)"
