"""Old patterns on which Python's `re` may take exponential time, found by shape.

It is no proof, which `formats/automaton.py` gives for patterns that are kept: here a pattern is only tried on short
examples, and one that is found by mistake is kept as a custom format instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pbs_fast.formats.lexer import Token, after, is_ended, is_endless, tokens


def nested(pattern: str) -> str:
    """The first group that is repeated without end and can read one text in two ways; empty for none.

    It can where it holds an endless repetition that nothing ends, or branches that may begin alike; `(?:[^ ]+ )*`
    cannot: each blank ends one round.
    """
    groups: list[tuple[int, bool]] = []
    found = tokens(pattern)
    for at, token in enumerate(found):
        endless = is_endless(after(found, at))
        if token["open"] or token["strange"]:
            groups.append((at, False))
        elif token["close"] and groups:
            begin, inner = groups.pop()
            if endless and (inner or _branches_begin_alike(found[begin + 1 : at])):
                return pattern[found[begin].start() : token.end() + 1]
            if groups and (inner or endless):
                groups[-1] = (groups[-1][0], True)
        elif groups and endless and not is_ended(found, at):
            groups[-1] = (groups[-1][0], True)
    return ""


def _branches_begin_alike(body: Sequence[Token]) -> bool:
    """Whether two branches of a group's body may begin with the same byte, or one begins with a group or nothing."""
    firsts: list[str | None] = []
    level, begins = 0, True
    for token in body:
        if begins:
            firsts.append(token["unit"])
        begins = bool(token["bar"]) and level == 0
        level += bool(token["open"] or token["strange"]) - bool(token["close"])
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
