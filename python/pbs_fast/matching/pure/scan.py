"""The scan: one piece of a source to its records, and the walk that makes them (docs/MATCHING.md, 1 to 4).

A walk sees the lines whose tag some format knows, in order, each taken apart once by the sieve's regex and once by
its route's; all other lines are only counted. Settles nothing that depends on what came before the piece: that is
Stream's. Knows no files, no clock, no folding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.matching.pure.envelope import HOST, TAG, WHEN, ZONE, envelope_of
from pbs_fast.matching.pure.stamps import UNREADABLE

if TYPE_CHECKING:
    from pbs_fast.matching.pure.addresses import Addresses
    from pbs_fast.matching.pure.routes import Route
    from pbs_fast.matching.pure.stamps import Stamps

MAX_LINE: Final = 16_384
"""Bytes of a line, without its end, above which it is dropped (docs/MATCHING.md, 1)."""

TEXTS_REMEMBERED: Final = 1 << 16

Record = tuple[
    int, str, "str | None", "int | None", str, "str | None", str, "str | None", "bool | None", bool, "str | None"
]
"""The fields of `events.Event` in its order; a plain tuple costs a third of a named one."""
Key = tuple[bytes, bytes]
"""Host and tag, as they stand in the line."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one piece of a source holds. Immutable."""

    matcher: object
    """Whose scan it is."""
    lines: int
    seconds: float
    reference: int
    too_long: int
    records: list[Record]
    """Events and missed lines, in order."""
    ambiguous: dict[int, int]
    """Offset of an event -> distance from its stamp to its later reading, in seconds."""
    first_of: dict[Key, int]
    """Offset of the first record of each host and tag whose format's writer cuts."""
    cut: frozenset[Key]
    """Hosts and tags whose last record in the piece is a cut one."""


class Texts(dict[bytes, str]):
    """Bytes -> text, with U+FFFD for what is not UTF-8; computed on first sight, emptied when full."""

    __slots__ = ()

    def __missing__(self, raw: bytes) -> str:
        if len(self) >= TEXTS_REMEMBERED:
            self.clear()
        self[raw] = text = raw.decode("utf-8", "replace")
        return text


class Layout(NamedTuple):
    """How the lines of one layout are found, taken apart and matched."""

    sieve: re.Pattern[bytes]
    line: re.Pattern[bytes]
    routes: Mapping[bytes, Route | None]
    """By tag, which is empty in an own layout."""


class Walk:
    """Makes the records of one piece, part by part. One thread's."""

    def __init__(self, stamps: Stamps, addresses: Addresses, texts: Texts) -> None:
        self.records: list[Record] = []
        self.ambiguous: dict[int, int] = {}
        self.first_of: dict[Key, int] = {}
        self.cut: set[Key] = set()
        self._stamps, self._addresses, self._texts = stamps, addresses, texts

    def part(self, layout: Layout, data: bytes, low: int, high: int, shift: int) -> None:
        """Walk data[low:high], which starts with the newline before its first line and ends with one.

        A byte of `data` stands in the source at its index + `shift`.
        """
        records, stamps, addresses, texts = self.records, self._stamps, self._addresses, self._texts
        append, envelope_at, routes = records.append, layout.line.match, layout.routes
        when: bytes | None
        for candidate in layout.sieve.finditer(data, low, high):
            at, end = candidate.span()
            at += 1
            if data[end - 1] == 13:
                end -= 1
            m = envelope_at(data, at, end)
            if m is None or end - at > MAX_LINE:
                continue
            when, zone, host, tag = m.group(WHEN, ZONE, HOST, TAG)
            if tag is None:
                when, host, tag = envelope_of(m)
                zone = None
                if tag is None:
                    continue
            route = routes[tag]
            if route is None:
                continue
            fullmatch, picks, success, cut = route
            begin = m.end()
            at += shift
            refusal = self._cut_or_continued((host or b"", tag), at, end - begin >= cut) if cut else None
            match = fullmatch(data, begin, end)
            if match is None:
                if refusal is None:
                    found = success.find(data[begin:end])
                    if found is not None:
                        append(missed(at, found, texts[host or b""], "no-pattern"))
                continue
            kind, name, groups, over_tls = picks[match.lastindex]
            ip_text, user, session, lip, tls = match.group(*groups)
            ip = None if ip_text is None else addresses[ip_text]
            stamp, distance = UNREADABLE if when is None else stamps[when if zone is None else when + zone]
            if refusal is None:
                if ip is None and (kind == "login" or ip_text is not None):
                    refusal = "bad-address"
                elif stamp is None:
                    refusal = "bad-stamp"
            sender = texts[host] if host else ""
            if refusal is not None:
                append(missed(at, name, sender, refusal))
                continue
            if distance:
                self.ambiguous[at] = distance
            append(
                (
                    at,
                    kind,
                    ip,
                    stamp,
                    name,
                    None if user is None else texts[user],
                    sender,
                    session.decode("utf-8", "replace") if session else None,
                    over_tls if tls is None else True,
                    lip is not None and ip is not None and addresses[lip] == ip,
                    None,
                )
            )

    def _cut_or_continued(self, key: Key, at: int, is_cut: bool) -> str | None:
        """The reason why this record of a format whose writer cuts makes no event; keeps the books of the next."""
        self.first_of.setdefault(key, at)
        continued = key in self.cut
        if is_cut:
            self.cut.add(key)
            return "cut-record"
        if continued:
            self.cut.discard(key)
            return "continuation"
        return None


def missed(at: int, name: str, host: str, reason: str) -> Record:
    """The record of a missed line."""
    return (at, "missed", None, None, name, None, host, None, None, False, reason)


def count_too_long(data: bytes, start: int, stop: int) -> int:
    """Lines of more than MAX_LINE bytes in data[start:stop]; looks at about one newline in 16 KiB."""
    count = 0
    find, rfind = data.find, data.rfind
    at = start
    while stop - at > MAX_LINE:
        # All lines that end within MAX_LINE bytes of a line's start are short: go on after the last of them.
        newline = rfind(b"\n", at, at + MAX_LINE + 1)
        if newline < 0:
            newline = find(b"\n", at, stop)
            end = stop if newline < 0 else newline
            if newline >= 0 and data[end - 1] == 13:
                end -= 1
            count += end - at > MAX_LINE
            if newline < 0:
                break
        at = newline + 1
    return count
