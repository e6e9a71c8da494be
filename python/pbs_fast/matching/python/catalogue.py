"""Matcher: formats and zone compiled once; splits a piece into parts for the walk (docs/MATCHING.md).

A piece's first line has no newline before it, and its last may have none after it. Both are walked as separate small
parts, so that the walk over the buffer sees only complete lines.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pbs_fast.formats.bounded import Regex, Way, compiled
from pbs_fast.matching.protocol import SYSLOG
from pbs_fast.matching.python import envelope
from pbs_fast.matching.python import prefilter as sieve
from pbs_fast.matching.python.address import Addresses
from pbs_fast.matching.python.cuts import Cuts
from pbs_fast.matching.python.scan import MAX_LINE, Layout, Scan, Walk
from pbs_fast.matching.python.tags import Routes
from pbs_fast.matching.python.timestamp import Clock, Timestamps
from pbs_fast.matching.python.wholeline import WholeLines

if TYPE_CHECKING:
    from pbs_fast.formats import Format


class Matcher:
    """Compiled formats and a zone; see `protocol.Matcher`. May be used from several threads at once."""

    def __init__(self, formats: Sequence[Format], zone: Sequence[tuple[int, int]]) -> None:
        """Raises FormatError for a pattern that no engine here takes, ValueError for a zone without ascending rows."""
        self._routes = Routes(formats)
        self.joins = self._routes.joins()
        """Formats with logouts that may take their address from their session's login."""
        self.stepped = self._routes.stepped()
        """Formats with sessions over several lines."""
        self._whole_lines = WholeLines(formats)
        self._clock = Clock(zone)
        self._layouts = {
            SYSLOG: Layout(sieve.syslog(*self._routes.tags()), envelope.LINE, self._routes.by_tag, has_tags=True)
        }
        self._probes: dict[str, Regex] = {}
        for fmt in formats:
            if fmt.own_probe is not None:
                routes = {b"": self._routes.by_layout(fmt.name)}
                own = sieve.own(fmt.own_prefix), envelope.own(fmt.own_prefix)
                self._layouts[fmt.name] = Layout(*own, routes, has_tags=False)
                self._probes[fmt.name] = compiled(fmt.own_probe, Way.START)
        tagged = [(next((tag for tag in fmt.program if tag[:2] != "*/"), None), fmt) for fmt in formats]
        self.nested = [(tag, fmt.own_probe) for tag, fmt in tagged if tag and fmt.own_probe and fmt.own_in_syslog]
        """See `protocol.Matcher.nested`."""
        self._addresses = Addresses()
        self._timestamps = Timestamps(self._clock, 0)

    def sniff(self, data: bytes) -> str | None:
        """The layout that the first conclusive line shows: "syslog" or a format's name; None while undecided."""
        start = 0
        while start < len(data):
            newline = data.find(b"\n", start)
            line = data[start:] if newline < 0 else data[start:newline].removesuffix(b"\r")
            if len(line) <= MAX_LINE:
                for name, probe in self._probes.items():
                    m = self._layouts[name].line.match(line)
                    if m is not None and probe.run(line[m.end() :]):
                        return name
                if envelope.LINE.match(line) or self._whole_lines.find(line) is not None:
                    return SYSLOG
            if newline < 0:
                break
            start = newline + 1
        return None

    def timestamp(self, line: bytes, *, layout: str = SYSLOG, reference: int) -> int | None:
        """The timestamp of one line (earlier reading), whatever its tag; None when it has no envelope or no possible
        date.

        Raises ValueError for a layout that no format has.
        """
        m = self._layout(layout).line.match(line) if len(line) <= MAX_LINE else None
        when = None if m is None else envelope.envelope_of(m).when
        return None if when is None else self._stamps_for(reference)[when][0]

    def scan(
        self,
        data: bytes,
        *,
        start: int = 0,
        stop: int | None = None,
        offset: int = 0,
        layout: str = SYSLOG,
        reference: int,
    ) -> Scan:
        """The records of the lines in data[start:stop]; see `protocol.Matcher.scan`.

        Raises ValueError for a layout that no format has, or bounds outside data.
        """
        stop = len(data) if stop is None else stop
        if not 0 <= start <= stop <= len(data):
            raise ValueError(f"data[{start}:{stop}] is not within the {len(data)} bytes given")
        return self._scan(data, start, stop, offset, self._layout(layout), reference, Cuts())

    def _scan(self, data: bytes, start: int, stop: int, offset: int, how: Layout, reference: int, before: Cuts) -> Scan:
        began = time.perf_counter()
        too_long = _count_too_long(data, start, stop)
        # One carriage return sends the whole piece through the exact grammar: asking each line cost all logs.
        usual = not too_long and data.find(b"\r", start, stop) < 0
        walk = Walk(self._stamps_for(reference), self._addresses, self._whole_lines, Cuts(before))
        shift = offset - start

        first = data.find(b"\n", start, stop)
        last = data.rfind(b"\n", start, stop)
        if first >= 0:
            line = b"\n" + data[start : first + 1]
            walk.part(how, line, 0, len(line), offset - 1, usual=usual)
            walk.part(how, data, first, last + 1, shift, usual=usual)
        tail = start if last < 0 else last + 1
        if tail < stop:
            # Without a newline a carriage return belongs to the line, so one more is appended to be dropped.
            line = b"\n" + data[tail:stop] + b"\r\n"
            walk.part(how, line, 0, len(line), tail + shift - 1, usual=False)
        return Scan(
            matcher=self,
            lines=data.count(b"\n", start, stop) + (tail < stop),
            too_long=too_long,
            reference=reference,
            fields=walk.fields,
            ambiguous=walk.ambiguous,
            cuts=walk.cuts,
            after=partial(self._scan, data, start, stop, offset, how, reference),
            has_steps=walk.has_steps,
            marks=walk.marks,
            seconds=time.perf_counter() - began,
        )

    def _layout(self, name: str) -> Layout:
        try:
            return self._layouts[name]
        except KeyError:
            raise ValueError(f"no format has a layout {name!r}; there are: {', '.join(self._layouts)}") from None

    def _stamps_for(self, reference: int) -> Timestamps:
        # One reference at a time is in use: a replay has one for all its pieces, a live source goes on to the next.
        timestamps = self._timestamps
        if timestamps.reference != reference:
            self._timestamps = timestamps = Timestamps(self._clock, reference)
        return timestamps


def _count_too_long(data: bytes, start: int, stop: int) -> int:
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
