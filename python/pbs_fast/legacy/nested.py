"""Old patterns on which Python's `re` may take exponential time, found by shape.

It is no proof, which `formats/automaton.py` gives for patterns that are kept: here a pattern is only tried on short
examples, and one that is found by mistake is kept as a custom format instead.
"""

from __future__ import annotations

import re

from pbs_fast.formats.wholelint import ENDLESS, UNIT, is_ended


def nested(pattern: str) -> str:
    """The first group that is repeated without end and can read one text in two ways; empty for none.

    It can where it holds an endless repetition that nothing ends, or branches that may begin alike; `(?:[^ ]+ )*`
    cannot: each blank ends one round.
    """
    groups: list[tuple[int, bool]] = []
    for unit in UNIT.finditer(pattern):
        text = unit[0]
        if text == "(":
            groups.append((unit.start(), False))
        elif text == ")" and groups:
            begin, endless = groups.pop()
            repeated = ENDLESS.match(pattern, unit.end()) is not None
            if repeated and (endless or _branches_begin_alike(pattern[begin + 1 : unit.start()])):
                return pattern[begin : unit.end() + 1]
            if groups and (endless or repeated):
                groups[-1] = (groups[-1][0], True)
        elif groups and ENDLESS.match(pattern, unit.end()) and not is_ended(pattern, unit):
            groups[-1] = (groups[-1][0], True)
    return ""


def _branches_begin_alike(body: str) -> bool:
    """Whether two branches of a group's body may begin with the same byte, or one begins with a group or nothing."""
    body = re.sub(r"^\?(?::|P<\w+>)", "", body)
    firsts: list[str | None] = []
    level, begins = 0, True
    for unit in UNIT.finditer(body):
        text = unit[0]
        if begins:
            firsts.append(None if text in "(|" else text)
        begins = text == "|" and level == 0
        level += (text == "(") - (text == ")")
    if len(firsts) < 2 and not begins:
        return False
    seen: set[int] = set()
    for first in firsts:
        starts = (
            set() if first is None else {byte for byte in range(256) if re.fullmatch(first.encode(), bytes([byte]))}
        )
        if begins or not starts or starts & seen:
            return True
        seen |= starts
    return False
