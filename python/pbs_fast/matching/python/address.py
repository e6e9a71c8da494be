"""Addresses: strict text in, canonical text out, on integers (docs/MATCHING.md, 4).

Does not use the platform's `inet_ntop`, whose text for `::a.b.c.d` and for single zero groups differs between systems.
"""

from __future__ import annotations

import re

_OCTET = rb"(?:1[0-9]{0,2}|2(?:[0-4][0-9]?|5[0-5]?|[6-9]|)|[3-9][0-9]?|0)"
_IPV4 = re.compile(rb"\.".join([_OCTET] * 4))
_is_ipv4 = _IPV4.fullmatch
# Eight groups without a zero group, in lower case and without leading zeros: nothing to be done (0.4 us instead of 5;
# a repetition instead of the eight costs 1).
_CANONICAL = re.compile(b":".join([rb"[1-9a-f][0-9a-f]{0,3}"] * 8))
_MAPPED = b"::ffff:"
_GROUP = re.compile(rb"[0-9A-Fa-f]{1,4}")
_MAX_TEXT = 45
"""Bytes of the longest text form: six groups of four digits and a dotted end."""

CACHE_SIZE = 1 << 14
"""Texts remembered at most; at about 200 bytes each, 3 MB, which a processor's caches hold: to ask a larger memory
costs as much as to read an IPv4 text again."""


class Addresses(dict[bytes, str | None]):
    """Text -> canonical text, or None for what is no address; computed on first sight, emptied when full."""

    __slots__ = ()

    def __missing__(self, text: bytes) -> str | None:
        if len(self) >= CACHE_SIZE:
            self.clear()
        # Most are IPv4, which are as they should be.
        self[text] = address = text.decode() if _is_ipv4(text) else canonical(text)
        return address


def canonical(text: bytes) -> str | None:
    """The canonical text of an IPv4 or IPv6 address (RFC 4291, 2.2), mapped IPv6 as IPv4; None for all else."""
    if len(text) > _MAX_TEXT:
        return None
    if _is_ipv4(text) or _CANONICAL.fullmatch(text):
        return text.decode("ascii")
    if b":" not in text:
        return None
    if text.startswith(_MAPPED) and _is_ipv4(text, len(_MAPPED)):
        return text[len(_MAPPED) :].decode("ascii")
    if _is_canonical_with_gap(text):
        return text.decode("ascii")
    words = _ipv6(text)
    return None if words is None else _text(words)


def _is_canonical_with_gap(text: bytes) -> bool:
    """Whether all is canonical with any groups in place of an inner `::`, which replaces at least two zero groups.

    False also for some that are: those with further zero groups, and those that begin or end with the gap.
    """
    head, gap, tail = text.partition(b"::")
    missing = 6 - head.count(b":") - tail.count(b":")
    return bool(gap) and missing >= 2 and _CANONICAL.fullmatch(head + b":f" * missing + b":" + tail) is not None


def _ipv4(text: bytes) -> tuple[int, int] | None:
    """The two 16-bit halves of a dotted address."""
    if not _is_ipv4(text):
        return None
    a, b, c, d = map(int, text.split(b"."))
    return a << 8 | b, c << 8 | d


def _ipv6(text: bytes) -> list[int] | None:
    head_text, gap, tail_text = text.partition(b"::")
    head = _words(head_text, dotted_end=not gap)
    tail = _words(tail_text, dotted_end=True)
    if head is None or tail is None:
        return None
    missing = 8 - len(head) - len(tail)
    if gap:
        # `::` replaces at least one zero group.
        return [*head, *([0] * missing), *tail] if missing >= 1 else None
    return head if missing == 0 else None


def _words(text: bytes, *, dotted_end: bool) -> list[int] | None:
    """The 16-bit groups of `text`, whose last may be a dotted IPv4 address where `dotted_end`."""
    if not text:
        return []
    *groups, last = text.split(b":")
    words = []
    for group in groups:
        if not _GROUP.fullmatch(group):
            return None
        words.append(int(group, 16))
    if dotted_end and b"." in last:
        halves = _ipv4(last)
        return None if halves is None else [*words, *halves]
    return [*words, int(last, 16)] if _GROUP.fullmatch(last) else None


def _text(words: list[int]) -> str:
    dotted = f"{words[6] >> 8}.{words[6] & 255}.{words[7] >> 8}.{words[7] & 255}"
    if words[:6] == [0, 0, 0, 0, 0, 0xFFFF]:
        return dotted
    start, length = _longest_zero_run(words)
    if (start, length) == (0, 6):
        return f"::{dotted}"
    groups = [f"{word:x}" for word in words]
    if length < 2:
        return ":".join(groups)
    return f"{':'.join(groups[:start])}::{':'.join(groups[start + length :])}"


def _longest_zero_run(words: list[int]) -> tuple[int, int]:
    """Start and length of the longest run of zero groups, the first of equal ones."""
    best, start = (0, 0), 0
    for i in range(9):
        if i == 8 or words[i]:
            if i - start > best[1]:
                best = (start, i - start)
            start = i + 1
    return best
