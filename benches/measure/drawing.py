"""The figures of RESULTS.md as one picture, where matplotlib is installed. The same figures give the same file."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from measure.contenders import Samples
from measure.growth import FORMATS, LIVE, SHARE, SIZE, Curve
from measure.verdict import per_line

_OURS, _OTHERS = "#1f6f8b", "#b8bdc2"

#: What grows, in words and units, and whether it spans decades.
_AXES = {
    SIZE: ("size of the log", True),
    LIVE: ("live addresses", True),
    FORMATS: ("formats", False),
    SHARE: ("share of lines that are logins", False),
}


def draw(samples: Samples, curves: list[Curve], path: Path) -> bool:
    """Contenders and curves; False without matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "pbs-fast", "font.size": 9, "axes.titlesize": 10, "axes.titleweight": "bold"}):
        figure = Figure(figsize=(11, 12), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=(4.2, 7.8))
        above, below = parts
        contenders: Any = above.subplots()
        _contenders(contenders, samples)
        axes: Iterator[Any] = iter(below.subplots(3, 2).flat)
        by_title = {curve.title: curve for curve in curves}
        for title in (SIZE, LIVE):
            _cost(next(axes), by_title[title])
            _memory(next(axes), by_title[title])
        for title in (FORMATS, SHARE):
            _cost(next(axes), by_title[title])
        figure.savefig(path, metadata={"Date": None})
    return True


def _few(rate: float) -> str:
    return f"{rate / 1e6:.3g} M" if rate >= 1e6 else f"{rate / 1e3:.3g} k"


def _contenders(axes: Any, samples: Samples) -> None:
    from matplotlib.ticker import EngFormatter

    rates = {name: 1 / each for name in samples if (each := per_line(samples, name))}
    ordered = sorted(rates, key=lambda name: rates[name])
    colours = [_OURS if name.startswith("pbs-fast") else _OTHERS for name in ordered]
    bars = axes.barh(ordered, [rates[name] for name in ordered], color=colours)
    axes.bar_label(bars, [_few(rates[name]) for name in ordered], padding=3)
    axes.set(xscale="log", xlabel="lines a second (logarithmic)", title="Beside its rivals: lines a second")
    axes.xaxis.set_major_formatter(EngFormatter())
    axes.margins(x=0.1)
    _plain(axes)


def _cost(axes: Any, curve: Curve) -> None:
    _line(axes, curve, [point.ns or 0.0 for point in curve.measured], f"{curve.title.capitalize()}: cost", curve.unit)


def _memory(axes: Any, curve: Curve) -> None:
    peaks = [point.peak_rss_mb or 0.0 for point in curve.measured]
    _line(axes, curve, peaks, f"{curve.title.capitalize()}: memory", "peak memory, MB")


def _line(axes: Any, curve: Curve, heights: list[float], title: str, unit: str) -> None:
    from matplotlib.ticker import EngFormatter, NullLocator, PercentFormatter

    label, decades = _AXES[curve.title]
    axes.plot([point.x for point in curve.measured], heights, "o-", color=_OURS)
    axes.set(title=title, xlabel=label, ylabel=unit)
    axes.set_ylim(bottom=0, top=1.15 * max(heights, default=1.0))
    if decades:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(EngFormatter(unit="B" if curve.title == SIZE else ""))
        axes.xaxis.set_minor_locator(NullLocator())
    elif curve.title == SHARE:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        axes.set_xticks([point.x for point in curve.measured])
    axes.grid(axis="y", alpha=0.3)
    _plain(axes)


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
