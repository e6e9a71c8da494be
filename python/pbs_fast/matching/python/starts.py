"""The bytes that messages of a pattern can start with, so that a message is tried only on patterns that may match.

Reads only the plain part of a pattern: literals, escaped punctuation, groups, alternatives and `?`. At anything else it
stops and assumes that any byte may follow. This costs an attempt, never an event.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LENGTH: Final = 5
"""Bytes looked at: `imap(`, `imap-`, `lmtp(`, `LOGIN`, `login` and `badlo` differ in them; more would be users' names,
and with them starts without number."""

_ANYTHING: Final = re.compile(r"[*+{]")
_PLAIN: Final = re.compile(r"\\([^0-9A-Za-z])|([^\\.^$*+?{}\[\]()|])")
_OPEN: Final = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")

_Starts = set[tuple[str, bool]]
"""Texts, each with whether a further part of the pattern may still follow it."""


def may_start(starts: frozenset[bytes], message: bytes) -> bool:
    """Whether a message that begins with these (at most LENGTH) bytes can be one of a pattern with these starts."""
    return any(message.startswith(start) or start.startswith(message) for start in starts)


@lru_cache(maxsize=1024)
def starts(pattern: str) -> frozenset[bytes]:
    """What every message that the whole pattern matches starts with one of (at most LENGTH bytes each)."""
    try:
        found, end = _alternatives(pattern, 0)
    except _UnreadError:
        return frozenset([b""])
    if end != len(pattern):
        return frozenset([b""])
    return frozenset(text[:LENGTH].encode() for text, _ in found)


class _UnreadError(Exception):
    """The pattern goes on in a way that is not read here, and where its group ends is not known."""


def _alternatives(pattern: str, at: int) -> tuple[_Starts, int]:
    """The starts of alternatives up to a `)` or the end, and where that is."""
    found: _Starts = set()
    while True:
        one, at = _sequence(pattern, at)
        found |= one
        if at == len(pattern) or pattern[at] == ")":
            return found, at
        at += 1


def _sequence(pattern: str, at: int) -> tuple[_Starts, int]:
    found: _Starts = {("", True)}
    while at < len(pattern) and pattern[at] not in "|)":
        atom, at = _atom(pattern, at)
        if pattern[at : at + 1] == "?":
            atom = atom | {("", True)}
            at += 1
            at += pattern[at : at + 1] in ("?", "+")
        elif _ANYTHING.match(pattern, at):
            # A repetition: nothing of it or more of it; what follows is not looked at.
            atom = {("", False)}
            at = _behind_repetition(pattern, at)
        found = _joined(found, atom)
    return found, at


def _joined(before: _Starts, after: _Starts) -> _Starts:
    joined = {(text + more, goes_on) if open_ else (text, False) for text, open_ in before for more, goes_on in after}
    return {(text[:LENGTH], goes_on and len(text) < LENGTH) for text, goes_on in joined}


def _atom(pattern: str, at: int) -> tuple[_Starts, int]:
    if m := _PLAIN.match(pattern, at):
        return {(m[1] or m[2], True)}, m.end()
    if m := _OPEN.match(pattern, at):
        found, at = _alternatives(pattern, m.end())
        if at == len(pattern):
            raise _UnreadError
        return found, at + 1
    if pattern[at] == ".":
        return {("", False)}, at + 1
    if pattern[at] == "\\" and pattern[at + 1 : at + 2] in ("d", "D", "s", "S", "w", "W"):
        return {("", False)}, at + 2
    if m := _CLASS.match(pattern, at):
        return {("", False)}, m.end()
    raise _UnreadError


_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPETITION: Final = re.compile(r"(?:[*+]|\{[0-9]*(?:,[0-9]*)?\})[?+]?")


def _behind_repetition(pattern: str, at: int) -> int:
    m = _REPETITION.match(pattern, at)
    if m is None:
        raise _UnreadError
    return m.end()
