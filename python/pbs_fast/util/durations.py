"""Durations: `30m` read as seconds, and seconds as words for people.

One parser for options, the configuration and the options of tables, so that a duration is written alike everywhere.
"""

from __future__ import annotations

import re

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
#: Each unit once, the greatest first. 18 digits are more than any limit; int() also takes other scripts' digits.
_DURATION = re.compile("".join(f"(?:([0-9]{{1,18}}){unit})?" for unit in _SECONDS))
_PLAIN = re.compile(r"[0-9]{1,18}")


def parse_duration(text: str) -> int:
    """The whole seconds of a duration: digits, or `1w2d3h4m5s` with each part optional.

    Raises ValueError for anything else.
    """
    if _PLAIN.fullmatch(text):
        return int(text)
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        raise ValueError(text)
    return sum(int(count) * size for count, size in zip(found.groups(), _SECONDS.values(), strict=True) if count)


def read_duration(value: object, low: int, high: int) -> int:
    """The seconds of an integer or of a text as `parse_duration` reads it; raises ValueError outside low..high."""
    seconds = parse_duration(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not low <= seconds <= high:
        raise ValueError(value)
    return seconds


def allowed(low: int, high: int) -> str:
    """What such a duration may be, in words that follow `must be`."""
    return f"seconds or a duration like 30m, 24h, 7d or 1h30m, from {written(low)} to {written(high)}"


def written(seconds: int) -> str:
    """A duration as `parse_duration` reads it, of the greatest unit that fits: `30m`, `7d`, `90s`."""
    return next(f"{seconds // size}{unit}" for unit, size in _SECONDS.items() if unit != "w" and seconds % size == 0)


def exact(seconds: float) -> str:
    """The two greatest units: `3 d 4 h`, `21 min 4 s`, `40 s`; below 10 seconds with a decimal, `0.4 s`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s".replace(".0 s", " s")
    left = round(seconds)
    parts: list[tuple[int, str]] = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count)


def rough(seconds: float) -> str:
    """`27 min`, or `90 s` below two minutes."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
