"""Texts without which a log line cannot be about an address or a login, so that most of a log is passed over unread.

A login is found by scanning the lines around each hit. Lines before a hit are scanned too, because a record that its
writer cut is recognised by the part before it. Where a server logs the address in one line and the success in another,
the process of the first line, `tag[pid]`, becomes a needle for the lines after it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.util.addresses import parse

if TYPE_CHECKING:
    from pbs_fast.formats import Format

#: Bytes of lines before a hit that are scanned with it: several of the longest records.
CONTEXT = 32_768
#: More needles than this cost more than to scan everything: each takes 0.05 to 0.1 s over 200 MB, a scan by the Rust
#: backend 0.5 s, by the Python one 2 s.
MOST = 24

_PROCESS = re.compile(rb"[^\s:\[\]<>]+\[[0-9]+\]")


class Needles:
    """What to look for in one log. `None` in place of needles: nothing can be passed over."""

    def __init__(
        self, exact: Iterable[bytes], folded: Iterable[bytes] = (), session_tags: Collection[str] = ()
    ) -> None:
        """`exact` are looked for as they are, `folded` (in lower case) in any case. `session_tags` are the tags of
        servers that log a login in several lines."""
        self._exact = list(dict.fromkeys(exact))
        self._folded = list(dict.fromkeys(folded))
        words = b"|".join(re.escape(tag.encode()) for tag in sorted(session_tags))
        self._tags = re.compile(rb"(?<![\w.-])(?:" + words + rb")(?![\w.-])") if words else None
        self._by_user = bool(self._folded)
        self.incomplete = False
        """A line is of a session of several lines, and the others cannot be found by a text: earlier ones, without the
        user, those of a process that is not written `tag[pid]`, or of too many. Everything must be read."""

    def hits(self, data: bytes, start: int, stop: int) -> list[int]:
        """Where a needle is in data[start:stop], in ascending order. Learns the processes of sessions."""
        found = set(_places(data, self._exact, start, stop))
        if self._folded:
            lower = data[start:stop].lower()
            found.update(start + place for place in _places(lower, self._folded, 0, len(lower)))
        if self._tags is not None:
            for place in sorted(found):
                begin, end = line_at(data, place, start, stop)
                if self._tags.search(data, begin, end) is not None:
                    found.update(self._session(data, begin, end, stop))
        return sorted(found)

    def _session(self, data: bytes, begin: int, end: int, stop: int) -> list[int]:
        """Where further lines of the session are that a line of such a server, data[begin:end], belongs to."""
        processes = [name[0] for name in _PROCESS.finditer(data, begin, end)]
        fresh = [name for name in processes if name not in self._exact]
        if self._by_user or not processes or len(self._exact) + len(fresh) > MOST:
            self.incomplete = True
            return []
        self._exact += fresh
        return _places(data, fresh, end, stop)

    def windows(self, data: bytes, start: int, stop: int) -> list[tuple[int, int]]:
        """The parts of whole lines data[start:stop] that must be scanned: whole lines, in order, none twice."""
        found: list[tuple[int, int]] = []
        for place in [] if self.incomplete else self.hits(data, start, stop):
            if found and place < found[-1][1]:
                continue
            begin = max(start, place - CONTEXT)
            begin = start if begin == start else data.find(b"\n", begin, place) + 1 or place
            begin = min(begin, line_at(data, place, start, stop)[0])
            _, end = line_at(data, place, start, stop)
            if found and begin <= found[-1][1]:
                begin = found.pop()[0]
            found.append((begin, end))
        return found


def line_at(data: bytes, place: int, start: int, stop: int) -> tuple[int, int]:
    """The line around a place in data[start:stop], with its line feed."""
    begin = data.rfind(b"\n", start, place) + 1 or start
    end = data.find(b"\n", place, stop)
    return begin, stop if end < 0 else end + 1


def for_addresses(addresses: Sequence[str], formats: Iterable[Format]) -> Needles | None:
    """The needles of canonical addresses; None if lines about one of them need not hold a certain text."""
    texts: list[bytes] = []
    for address in addresses:
        found = _texts(address)
        if not found:
            return None
        texts += found
    return Needles(texts, session_tags=session_tags(formats)) if len(texts) <= MOST else None


def for_user(user: str, formats: Iterable[Format]) -> Needles | None:
    """The needles of a login name; None for one that a server may write in several ways."""
    if not re.fullmatch(r"[A-Za-z0-9@._+=-]+", user):
        return None
    return Needles((), [user.lower().encode()], session_tags(formats))


def session_tags(formats: Iterable[Format]) -> set[str]:
    """The tags of the formats that join several lines."""
    return {
        tag.removeprefix("*/")
        for each in formats
        if each.session_address or each.session_success
        for tag in (*each.program, *each.tls_program)
    }


def _texts(address: str) -> list[bytes]:
    """Texts of which each way to write the address holds at least one."""
    parsed = parse(address)
    if parsed is None:
        return []
    width, value = parsed
    if width == 32:
        # Also as ::ffff:cb00:7105; the more usual ::ffff:203.0.113.5 holds the address itself.
        mapped = f"{value >> 16:x}:{value & 0xFFFF:x}"
        return [address.encode(), mapped.encode(), mapped.upper().encode()]
    # The last two groups may be written as four decimal numbers, zeros may be left out; the first is that of many.
    first, *groups = [f"{value >> shift & 0xFFFF:x}" for shift in range(112, 31, -16)]
    longest = max(groups, key=len)
    longest = first if longest == "0" else longest
    return [] if longest == "0" else [longest.encode(), longest.upper().encode()]


def _places(data: bytes, needles: Iterable[bytes], start: int, stop: int) -> list[int]:
    found = []
    for needle in needles:
        place = data.find(needle, start, stop)
        while place >= 0:
            found.append(place)
            # One hit a line is enough.
            end = data.find(b"\n", place, stop)
            place = data.find(needle, end, stop) if end >= 0 else -1
    return found
