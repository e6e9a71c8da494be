"""Heads of usual lines, in the sieve's pieces: each piece is read exactly once and remembered.

A head is what stands before the message. Up to the seconds it is the same for a minute, from the zone to the tag the
same for a writer, so both are few, while whole heads are as many as seconds and process ids. What is None here is
not usual, and read by the exact grammar. Knows envelopes and routes; no messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.matching.pure import envelope

if TYPE_CHECKING:
    from pbs_fast.matching.pure.records import Key
    from pbs_fast.matching.pure.routes import Route
    from pbs_fast.matching.pure.stamps import Stamps

REMEMBERED: Final = 1 << 14
"""Pieces of each kind; strangers' text where a format has `*/NAME`, so emptied at this size."""


class Place(NamedTuple):
    """Who wrote a line."""

    zone: bytes
    host: str
    key: Key
    route: Route


class Places(dict[bytes, Place | None]):
    """From the text behind the fraction, up to the byte after the tag, to its Place, for one shape of envelope."""

    __slots__ = ("_routes", "_shape")

    def __init__(self, shape: re.Pattern[bytes] | None, routes: Mapping[bytes, Route | None]) -> None:
        super().__init__()
        self._shape, self._routes = shape, routes

    def __missing__(self, text: bytes) -> Place | None:
        if len(self) >= REMEMBERED:
            self.clear()
        m = None if self._shape is None else self._shape.fullmatch(text)
        place = None
        if m is not None:
            host = m["from"][:-1] if m["from"] else m["host"] or b""
            place = self.place(host, m["tag"], m["zone"] or b"")
        self[text] = place
        return place

    def place(self, host: bytes, tag: bytes, zone: bytes = b"") -> Place | None:
        """None for a tag that no format fits, and for RFC 5424's `-`."""
        route = None if tag == b"-" else self._routes[tag]
        return None if route is None else Place(zone, host.decode("utf-8", "replace"), (host, tag), route)


class Minutes(dict[bytes, "int | None"]):
    """Zone -> second 0 of one minute, None where it has not one reading.

    Kept by its minute's text, so that of an event only its zone is looked up, which is an object whose hash is known:
    0.15 us with its seconds, 0.45 when text and zone were joined first.
    """

    __slots__ = ("_read", "before")

    def __init__(self, before: bytes, read: Mapping[bytes, int | None]) -> None:
        super().__init__()
        self._read, self.before = read, before

    def __missing__(self, zone: bytes) -> int | None:
        self[zone] = minute = self._read[self.before + zone]
        return minute


class Hours(dict[bytes, tuple[Places, bytes]]):
    """From the text before the minutes to the Places that fit behind it, and the stamp's part of it."""

    __slots__ = ("_shapes", "_unusual")

    def __init__(self, routes: Mapping[bytes, Route | None]) -> None:
        super().__init__()
        self._shapes = tuple((shape, Places(place, routes)) for shape, place in envelope.SHAPES)
        self._unusual = Places(None, routes)

    def __missing__(self, text: bytes) -> tuple[Places, bytes]:
        if len(self) >= REMEMBERED:
            self.clear()
        for shape, places in self._shapes:
            if m := shape.fullmatch(text + b"00:"):
                self[text] = hour = places, m[1][:-3]
                return hour
        self[text] = hour = self._unusual, b""
        return hour


class Heads(dict[bytes, tuple[Places, Minutes]]):
    """From the text before the seconds to the Places that fit behind it, and the minute by zone, of one reference."""

    __slots__ = ("_hours", "stamps")

    def __init__(self, hours: Hours, stamps: Stamps) -> None:
        super().__init__()
        self._hours, self.stamps = hours, stamps

    def __missing__(self, text: bytes) -> tuple[Places, Minutes]:
        if len(self) >= REMEMBERED:
            self.clear()
        # The sieve saw to the minute's two digits and their colon.
        places, before = self._hours[text[:-3]]
        self[text] = head = places, Minutes(before + text[-3:], self.stamps.minutes)
        return head
