"""Heads of common lines, in the prefilter's pieces: each piece is parsed once and remembered.

A head is the text before the message. Its first part, up to the seconds, is the same for a minute; its second part,
from the zone to the tag, is the same for a writer. So there are few of both, while there are as many whole heads as
seconds and process ids. A head that is None here is uncommon and parsed by the exact grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pbs_fast.matching.python import envelope
from pbs_fast.matching.python.timestamp import offset_of

if TYPE_CHECKING:
    from pbs_fast.matching.python.record import Key
    from pbs_fast.matching.python.success import Success
    from pbs_fast.matching.python.tags import Cutting, Picks, Route
    from pbs_fast.matching.python.timestamp import Timestamps

REMEMBERED: Final = 1 << 14
"""Pieces of each kind; strangers' text where a format has `*/NAME`, so emptied at this size."""

LONGEST: Final = 512
"""Bytes of a text that is remembered; a stranger's may be 16 KiB long, and is taken apart each time it comes."""


Place = tuple[bytes, "int | None", str, "Key", "Picks", "Success", "Cutting", int]
"""Who wrote a line: zone, what this is east of UTC in seconds (None where there is none), host, Key, the route's parts.

Like all that is taken apart for each line a plain tuple: one with names costs 0.1 us more.
"""


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
            zone = m["zone"] or b""
            offset = offset_of(zone) if zone else None
            # A zone that cannot be is for the exact grammar to tell.
            place = None if zone and offset is None else self.place(host, m["tag"], zone, offset)
        if len(text) <= LONGEST:
            self[text] = place
        return place

    def place(self, host: bytes, tag: bytes, zone: bytes = b"", offset: int | None = None) -> Place | None:
        """None for a tag that no format fits, and for RFC 5424's `-`."""
        route = None if tag == b"-" else self._routes[tag]
        return None if route is None else (zone, offset, host.decode("utf-8", "replace"), (host, tag), *route)


Head = tuple[Places, "int | None", "int | None", bytes]
"""What precedes the seconds: the Places that fit behind it; its second 0 where no zone follows, and where one
does, read as UTC (each None where that has not one reading); the timestamp's part of it."""


class Hours(dict[bytes, tuple[Places, bytes]]):
    """From the text before the minutes to the Places that fit behind it, and the timestamp's part of it."""

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
        hour = self._unusual, b""
        if len(text) <= LONGEST:
            self[text] = hour
        return hour


class Heads(dict[bytes, Head]):
    """From the text before the seconds to the Head, of one reference."""

    __slots__ = ("_hours", "timestamps")

    def __init__(self, hours: Hours, timestamps: Timestamps) -> None:
        super().__init__()
        self._hours, self.timestamps = hours, timestamps

    def __missing__(self, text: bytes) -> Head:
        if len(self) >= REMEMBERED:
            self.clear()
        # The sieve saw to the minute's two digits and their colon.
        places, before = self._hours[text[:-3]]
        before += text[-3:] if before else b""
        minutes = self.timestamps.minutes
        # A month's name is before no zone; nothing is known of what is no timestamp.
        local = minutes[before] if before else None
        zulu = minutes[before + b"Z"] if before[:1].isdigit() else None
        head = places, local, zulu, before
        if len(text) <= LONGEST:
            self[text] = head
        return head
