"""Lines that an old pattern takes, drawn at random from its own syntax tree.

A timestamp and an address stand in its captures; what takes any text gets words, or (`odd`) text with the marks that
servers use themselves: quotes, brackets, commas, blanks.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from re import _constants, _parser  # type: ignore[attr-defined]  # isort: skip

PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"
ODD = PLAIN + " \"'<>[](),:=/\\.-@"
#: The longest text in place of a repetition without end.
LONGEST = 8


@st.composite
def lines(draw: st.DrawFn, pattern: str, *, odd: bool) -> tuple[str, str]:
    """(line, address) of a pattern whose captures are a timestamp and an address."""
    tree = _parser.parse(pattern)
    groups = re.compile(pattern).groups
    ip = ".".join(str(draw(st.integers(1, 254))) for _ in range(4))
    weekday = r"\w\w\w (" in pattern
    timestamp = f"Mar {draw(st.integers(1, 4)):2} 0{draw(st.integers(0, 9))}:12:{draw(st.integers(10, 59))}"
    if r"\d\d\d\d)" in pattern or r"\d\d\d\d \d" in pattern:
        month, day, time = timestamp.split()
        timestamp = f"{month} {day:>2} {time} 2026" if weekday else f"{month} {day:>2} 2026 {time}"
    captured = {groups - 1: timestamp, groups: ip}
    text = _sequence(draw, tree, captured, ODD if odd else PLAIN)
    if weekday:
        text = re.sub(r"^\S+ ", "Wed ", text, count=1)
    return text, ip


def _sequence(draw: st.DrawFn, tree: Any, captured: dict[int, str], letters: str) -> str:
    return "".join(_one(draw, name, value, captured, letters) for name, value in tree)


def _one(draw: st.DrawFn, name: Any, value: Any, captured: dict[int, str], letters: str) -> str:
    if name is _constants.LITERAL:
        return chr(value)
    if name is _constants.AT:
        return ""
    if name is _constants.BRANCH:
        return _sequence(draw, draw(st.sampled_from(value[1])), captured, letters)
    if name is _constants.SUBPATTERN:
        number, *_, inner = value
        return captured[number] if number in captured else _sequence(draw, inner, captured, letters)
    if name in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
        least, most, inner = value
        # An optional text without a word in it would be no text of a server.
        endless = most is _constants.MAXREPEAT
        times = draw(st.integers(max(least, 1 if endless else least), LONGEST if endless else most))
        return "".join(_sequence(draw, inner, captured, letters) for _ in range(times))
    taken = [char for char in letters if _takes(name, value, char)]
    return (
        draw(st.sampled_from(taken)) if taken else next(chr(i) for i in range(32, 127) if _takes(name, value, chr(i)))
    )


def _takes(name: Any, value: Any, char: str) -> bool:
    """Whether a class, a dot or the like takes a character."""
    if name is _constants.ANY:
        return True
    if name is _constants.NOT_LITERAL:
        return ord(char) != int(value)
    assert name is _constants.IN, name
    negated = value[0][0] is _constants.NEGATE
    found = any(_member(kind, item, char) for kind, item in value[negated:])
    return found != negated


def _member(kind: Any, item: Any, char: str) -> bool:
    if kind is _constants.LITERAL:
        return ord(char) == int(item)
    if kind is _constants.RANGE:
        return int(item[0]) <= ord(char) <= int(item[1])
    letter = str(item).rpartition("_")[2].lower()[0]
    negated = "NOT" in str(item)
    return (re.match("\\" + letter, char) is not None) != negated
