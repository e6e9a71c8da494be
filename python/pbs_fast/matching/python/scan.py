"""The scan: turns one piece of a source into records, and the walk that makes them (docs/MATCHING.md, 1 to 4).

A walk sees the lines whose tag some format knows, in order, each parsed once by the prefilter's regex and once by its
route's; all other lines are only counted. Stream resolves what depends on earlier pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pbs_fast.matching.python.cuts import Cuts, Refusal
from pbs_fast.matching.python.envelope import OWN_HEADER, envelope_of, unrepeated
from pbs_fast.matching.python.heads import Heads, Hours, Place, Places
from pbs_fast.matching.python.record import NOBODY, joined, missed, tuples
from pbs_fast.matching.python.starts import LENGTH
from pbs_fast.matching.python.tags import ENDINGS
from pbs_fast.matching.python.timestamp import SECONDS, UNREADABLE, Reading

if TYPE_CHECKING:
    from pbs_fast.matching.python.address import Addresses
    from pbs_fast.matching.python.record import Fields, Key, Record
    from pbs_fast.matching.python.tags import Nested, Picks, Route
    from pbs_fast.matching.python.timestamp import Timestamps
    from pbs_fast.matching.python.wholeline import Found, WholeLines

MAX_LINE: Final = 16_384
"""Bytes of a line, without its end, above which it is dropped (docs/MATCHING.md, 1)."""

_START: Final = slice(LENGTH)
"""Made once: to make it for each message costs 0.02 us."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one piece of a source holds. Immutable."""

    matcher: object
    """Whose scan it is."""
    lines: int
    seconds: float
    reference: int
    too_long: int
    fields: Fields
    """Those of events, missed lines and steps of sessions, in order (`records`)."""
    ambiguous: dict[int, int]
    """Offset of an event -> distance from its timestamp to its later reading, in seconds."""
    cuts: Cuts
    """Writers whose last record in the piece is a cut one."""
    after: Callable[[Cuts], Scan]
    """The scan of the same piece after records that left these open."""
    has_steps: bool
    """Whether a step of a session, or an ending, is among the records."""
    marks: dict[int, tuple[str, str, Key]]
    """Offset of a login that may be marked -> MARKED or UNMARKED, its format, and its writer."""


class Layout:
    """How the lines of one layout are found, taken apart and matched. Immutable but for what it remembers."""

    __slots__ = ("_heads", "_hours", "exact", "has_tags", "line", "sieve")

    def __init__(
        self,
        sieve: re.Pattern[bytes],
        line: re.Pattern[bytes],
        routes: Mapping[bytes, Route | None],
        *,
        has_tags: bool,
    ) -> None:
        """`routes` is by tag, which is empty in an own layout."""
        self.sieve, self.line, self.has_tags = sieve, line, has_tags
        self._hours = Hours(routes)
        self._heads: Heads | None = None
        self.exact = Places(None, routes)

    def heads(self, timestamps: Timestamps) -> Heads:
        """Those of the timestamps' reference; remembered for one reference at a time."""
        heads = self._heads
        if heads is None or heads.timestamps is not timestamps:
            self._heads = heads = Heads(self._hours, timestamps)
        return heads


class Walk:
    """Makes the records of one piece, part by part. One thread's."""

    def __init__(self, timestamps: Timestamps, addresses: Addresses, whole_lines: WholeLines, cuts: Cuts) -> None:
        """`cuts` is what the records before left open; it goes on with those walked here."""
        self.fields: Fields = []
        self.ambiguous: dict[int, int] = {}
        self.cuts = cuts
        self.has_steps = False
        self.marks: dict[int, tuple[str, str, Key]] = {}
        self._timestamps, self._addresses = timestamps, addresses
        self._whole_lines = whole_lines

    def part(self, layout: Layout, data: bytes, low: int, high: int, shift: int, *, usual: bool) -> None:
        """Walk data[low:high], which starts with the newline before its first line and ends with one.

        The offset of a byte in the source is its index in `data` + `shift`. `usual`: no line is too long, and none ends
        in a carriage return.
        """
        if self._whole_lines:
            self._with_whole_lines(layout, data, low, high, shift, usual=usual)
        else:
            self._by_tag(layout, data, low, high, shift, usual=usual)

    def _by_tag(
        self,
        layout: Layout,
        data: bytes,
        low: int,
        high: int,
        shift: int,
        *,
        usual: bool,
        decided: set[int] | None = None,
        refusals: dict[int, Refusal] | None = None,
    ) -> None:
        """Offsets of lines decided here go into `decided`, what forbids any event in another into `refusals`."""
        extend, addresses, ambiguous = self.fields.extend, self._addresses, self.ambiguous
        timestamps, seconds_of = self._timestamps, SECONDS
        heads, cuts = layout.heads(timestamps), self.cuts
        is_open = cuts.is_open
        timestamp: int | None
        # A newline precedes each line.
        shift += 1
        for candidate in layout.sieve.finditer(data, low, high):
            head, seconds, behind, pid, procid, message = candidate.groups()
            place: Place | None = None
            reading: Reading | None = None
            if usual and message is not None:
                places, local, zulu, before = heads[head]
                place = places[behind]
            if place is None:
                found = self._exactly(layout, data, candidate)
                is_open = cuts.is_open
                if found is None:
                    continue
                reading, place, pid, message = found
                procid = None
            zone, offset, host, key, picks, success, cutting, cut, nested = place
            # Nearly all messages start with a small letter, and no header does.
            if nested is not None and message < b"a" and layout.has_tags:
                message = self._behind_header(layout, message, nested, picks)
            refused = refusal = None
            if is_open or len(message) >= cut:
                when = timestamps[before + seconds + zone] if reading is None else reading
                refused = cuts.take(key, message, cutting, when[0])
                is_open = cuts.is_open
                refusal = None if refused is None else refused.of_any
            for pick in picks[message[_START]]:
                match = pick[0](message)
                if match is not None:
                    break
            else:
                lost = None
                for hint in success.hints:
                    # `in` costs 0.04 us more: it asks first whether the hint is a number.
                    if message.find(hint) >= 0:
                        lost = success.find(message)
                        if lost is not None and refusal is None:
                            extend(missed(candidate.start() + shift, lost, host, "no-pattern"))
                        break
                if decided is not None and refusals is not None:
                    if lost is not None:
                        decided.add(candidate.start() + shift)
                    elif refused is not None:
                        refusals[candidate.start() + shift] = refused
                continue
            if decided is not None:
                decided.add(candidate.start() + shift)
            _, kind, is_step, name, (of_ip, of_user, of_session, of_lip, of_tls, of_pid), over_tls, mark = pick
            groups = match.groups()
            ip_text, user, session, lip = groups[of_ip], groups[of_user], groups[of_session], groups[of_lip]
            ip = None if ip_text is None else addresses[ip_text]
            if reading is None:
                minute, second = local if offset is None else zulu, seconds_of[seconds]
                if minute is not None and second is not None:
                    timestamp, distance = minute + second - (offset or 0), 0
                else:
                    timestamp, distance = timestamps[before + seconds + zone]
            else:
                timestamp, distance = reading
            at = candidate.start() + shift
            if refused is not None and kind == "logout":
                refusal = refused.of_logout
            if is_step:
                if refusal is None and timestamp is None and kind == "success":
                    refusal = "bad-stamp"
                if refusal is not None and kind != "success":
                    continue
                if kind in ENDINGS:
                    if timestamp is None:
                        continue
                    ip = None
                self.has_steps = True
            elif refusal is None:
                if ip is None and (kind == "login" or ip_text is not None):
                    refusal = "bad-address"
                elif timestamp is None:
                    refusal = "bad-stamp"
            if refusal is not None:
                extend(missed(at, name, host, refusal))
                continue
            if distance:
                ambiguous[at] = distance
            if mark is not None:
                self.marks[at] = mark, name, key
            try:
                user_text = None if user is None else user.decode()
                session_text = session.decode() if session else None
            except UnicodeDecodeError:
                # Naming codec and errors costs 0.05 us a text.
                user_text = None if user is None else user.decode("utf-8", "replace")
                session_text = session.decode("utf-8", "replace") if session else None
            extend(
                (
                    at,
                    kind,
                    ip,
                    timestamp,
                    name,
                    user_text,
                    host,
                    session_text,
                    over_tls if groups[of_tls] is None else True,
                    lip is not None and ip is not None and addresses[lip] == ip,
                    None,
                    key,
                    groups[of_pid] or (pid if procid is None else procid if procid.isdigit() else None),
                )
            )

    def _with_whole_lines(self, layout: Layout, data: bytes, low: int, high: int, shift: int, *, usual: bool) -> None:
        decided: set[int] = set()
        refusals: dict[int, Refusal] = {}
        first = len(self.fields)
        self._by_tag(layout, data, low, high, shift, usual=usual, decided=decided, refusals=refusals)
        at = low + 1 + shift
        for text in data[low + 1 : high - 1].split(b"\n"):
            line = text.removesuffix(b"\r")
            if at not in decided and len(line) <= MAX_LINE:
                found = self._whole_lines.find(line)
                if found is not None:
                    self.fields.extend(self._of_line(at, found, refusals.get(at)))
            at += len(text) + 1
        self.fields[first:] = joined(sorted(tuples(self.fields[first:]), key=lambda record: record[0]))

    def _of_line(self, at: int, found: Found, refused: Refusal | None) -> Record:
        """The record of a line in which a whole-line pattern was found."""
        pick = found.pick
        refusal = None if refused is None else refused.of_logout if pick.kind == "logout" else refused.of_any
        ip = None if found.ip is None else self._addresses[found.ip]
        timestamp, distance = UNREADABLE if found.when is None else self._timestamps[found.when]
        host = "" if found.host is None else found.host.decode("utf-8", "replace")
        if refusal is None:
            if ip is None and (pick.kind == "login" or found.ip is not None):
                refusal = "bad-address"
            elif timestamp is None:
                refusal = "bad-stamp"
        if refusal is not None:
            return missed(at, pick.format, host, refusal)
        if distance:
            self.ambiguous[at] = distance
        return (
            at,
            pick.kind,
            ip,
            timestamp,
            pick.format,
            None if found.user is None else found.user.decode("utf-8", "replace"),
            host,
            found.session.decode("utf-8", "replace") if found.session else None,
            found.tls,
            found.lip is not None and ip is not None and self._addresses[found.lip] == ip,
            None,
            NOBODY,
            found.pid,
        )

    def _behind_header(self, layout: Layout, message: bytes, nested: Nested, picks: Picks) -> bytes:
        """The message behind a second header, or the message if it starts with none (docs/MATCHING.md, 2)."""
        if m := OWN_HEADER.match(message):
            rest = message[m.end() :]
            if nested(rest):
                return rest
        if m := layout.line.match(message):
            tag = envelope_of(m).tag
            place = None if tag is None else layout.exact.place(b"", tag)
            if place is not None and place[4] is picks:
                return unrepeated(message[m.end() :])
        return message

    def _exactly(
        self, layout: Layout, data: bytes, candidate: re.Match[bytes]
    ) -> tuple[Reading, Place, bytes | None, bytes] | None:
        """Timestamp, writer, pid and message by the exact grammar; None when it is no line of a known tag."""
        at, end = candidate.span()
        at += 1
        if data[end - 1] == 13:
            end -= 1
        # Of a line that is too long the beginning tells whose it is.
        too_long, end = end - at > MAX_LINE, min(end, at + MAX_LINE)
        m = layout.line.match(data, at, end)
        if m is None:
            return None
        when, host, tag, pid = envelope_of(m)
        place = None if tag is None else layout.exact.place(host, tag)
        if place is None:
            return None
        message = data[m.end() : end]
        if layout.has_tags:
            message = unrepeated(message)
        reading = UNREADABLE if when is None else self._timestamps[when]
        if too_long:
            if place[8] is not None and layout.has_tags:
                message = self._behind_header(layout, message, place[8], place[4])
            self.cuts.take(place[3], message, place[6], reading[0], too_long=True)
            return None
        return reading, place, pid, message
