"""The pictures of the page as inline SVG: no script, no fonts, no colours of their own.

Colours are classes that the page's style sheet fills, so one picture serves light, dark and paper. The view is 400
units wide: on a telephone a unit is about a pixel, and text stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import log10
from typing import NamedTuple

from pbs_fast.util.text import printable

WIDTH = 400
#: Longest name next to a bar.
_NAME = 20


class Bar(NamedTuple):
    """One bar with its name."""

    name: str
    value: float
    kind: str
    """A class: its colour."""
    label: str


class Panel(NamedTuple):
    """One row of small bars."""

    name: str
    values: Sequence[int]
    kind: str


def shown(text: str) -> str:
    """Any text, safe between tags and in attributes."""
    return escape(printable(text), quote=True)


def picture(name: str, title: str, description: str, height: float, parts: Iterable[str]) -> str:
    """An SVG element that a screen reader reads as one picture; `name` is unique on the page."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{shown(title)}</title><desc id="{name}-d">{shown(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def bars(name: str, title: str, description: str, rows: Sequence[Bar], *, mark: tuple[float, str] | None = None) -> str:
    """Bars from the left, one below the other, on a scale of powers of ten; `mark` is a line at a value."""
    left, right, step, top = 96.0, 44.0, 24.0, 22.0 if mark else 6.0
    if any(len(row.name) > 12 for row in rows):
        left = 158.0
    most = max([row.value for row in rows] + ([mark[0]] if mark else []), default=1)
    scale = (WIDTH - left - right) / log10(1 + max(most, 1))
    parts = []
    bottom = top + step * len(rows)
    for number, row in enumerate(rows):
        y = top + step * number
        length = log10(1 + row.value) * scale
        text = printable(row.name)
        text = text if len(text) <= _NAME else f"{text[: _NAME - 1]}…"
        parts.append(
            f'<text class="end" x="{left - 8:g}" y="{y + 15:g}">{shown(text)}</text>'
            f'<rect class="{row.kind}" x="{left:g}" y="{y + 3:g}" width="{max(length, 1.5):.1f}" height="16" rx="3"/>'
            f'<text class="number" x="{left + length + 6:.1f}" y="{y + 15:g}">{shown(row.label)}</text>'
        )
    if mark is not None:
        x = left + log10(1 + mark[0]) * scale
        anchor = "end" if x > WIDTH - 110 else "start"
        offset = -4 if anchor == "end" else 4
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom:g}"/>'
            f'<text class="marked {anchor}" x="{x + offset:.1f}" y="14">{shown(mark[1])}</text>'
        )
    return picture(name, title, description, bottom + 6, parts)


def panels(name: str, title: str, description: str, rows: Sequence[Panel], ends: tuple[str, str]) -> str:
    """Rows of small bars over the same days, each on a scale of its own; `ends` are the first and last day."""
    height, gap, left = 54.0, 34.0, 2.0
    parts, y = [], 0.0
    for row in rows:
        most = max(row.values, default=0)
        base = y + gap + height
        parts.append(
            f'<text class="strong" x="{left:g}" y="{y + 24:g}">{shown(row.name)}</text>'
            f'<text class="end number" x="{WIDTH - 2:g}" y="{y + 24:g}">'
            f"{sum(row.values):,} in all, at most {most:,}</text>"
        )
        step = (WIDTH - 4) / max(len(row.values), 1)
        width = max(step * 0.82, 0.6)
        drawn = "".join(
            f"M{left + step * place:.2f} {base:.1f}v-{value / most * height:.2f}h{width:.2f}V{base:.1f}z"
            for place, value in enumerate(row.values)
            if value
        )
        parts.append(f'<path class="{row.kind}" d="{drawn}"/>' if drawn else "")
        parts.append(f'<line class="axis" x1="{left:g}" x2="{WIDTH - 2:g}" y1="{base:.1f}" y2="{base:.1f}"/>')
        y = base
    parts.append(
        f'<text class="quiet" x="{left:g}" y="{y + 16:g}">{shown(ends[0])}</text>'
        f'<text class="quiet end" x="{WIDTH - 2:g}" y="{y + 16:g}">{shown(ends[1])}</text>'
    )
    return picture(name, title, description, y + 22, parts)


def cumulated(
    name: str,
    title: str,
    description: str,
    steps: Sequence[tuple[int, int]],
    most: int,
    *,
    ticks: Sequence[tuple[int, str]],
    marks: Sequence[tuple[int, str]],
) -> str:
    """What share of all lies at or below each value; `steps` are values, ascending, and how often each comes."""
    left, right, height = 40.0, 14.0, 170.0
    top = 8.0 + 15.0 * len(marks)
    total = sum(n for _, n in steps)
    across = (WIDTH - left - right) / max(most, 1)
    base = top + height
    parts = []
    for share in (0, 25, 50, 75, 100):
        y = base - height * share / 100
        parts.append(
            f'<line class="grid" x1="{left:g}" x2="{WIDTH - right:g}" y1="{y:g}" y2="{y:g}"/>'
            f'<text class="quiet end" x="{left - 6:g}" y="{y + 4:g}">{share} %</text>'
        )
    for value, label in ticks:
        parts.append(
            f'<text class="quiet middle" x="{left + value * across:.1f}" y="{base + 17:g}">{shown(label)}</text>'
        )
    reached, line = 0, [f"M{left:g} {base:g}"]
    for value, n in steps:
        reached += n
        line.append(f"H{left + min(value, most) * across:.1f}V{base - height * reached / max(total, 1):.1f}")
    line.append(f"H{WIDTH - right:g}")
    path = "".join(line)
    parts.append(f'<path class="area" d="{path}V{base:g}H{left:g}z"/><path class="curve" d="{path}"/>')
    for number, (value, label) in enumerate(marks):
        x = left + value * across
        anchor = "end" if x > WIDTH * 0.6 else "start"
        offset = -4 if anchor == "end" else 4
        parts.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{3 + 15 * number}" y2="{base:g}"/>'
            f'<text class="marked {anchor}" x="{x + offset:.1f}" y="{13 + 15 * number}">{shown(label)}</text>'
        )
    return picture(name, title, description, base + 24, parts)
