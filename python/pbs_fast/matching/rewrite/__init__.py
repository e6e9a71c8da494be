"""Rewrites the lines of a source before they are scanned: wrappers and unusual timestamps become a plain timestamp.

For log entries of Docker and CRI and for timestamps that a site describes (`logtime`). Line by line, one for one, so
that line numbers stay; a new line is `TIMESTAMP REST` as in docs/MATCHING.md, 2. A timestamp (and PRI) in the original
line is dropped, because the new one has a zone. One implementation for both backends.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.formats.timestamps import BSD, ISO
from pbs_fast.matching.rewrite.containers import MAX_LINE, READERS, Entry, Streams, find_entry

if TYPE_CHECKING:
    from pbs_fast.matching.rewrite.logtime import LogTime

__all__ = ["LOGTIME", "READERS", "Lines", "Rewriter", "find_entry", "read_logtime"]

LOGTIME: Final = "logtime"

_PRI = rb"(?:<[0-9]{1,3}>)?"
_INNER = re.compile(_PRI + rb"(?:" + BSD.encode() + rb"|" + ISO.encode() + rb")(?= )")
#: RFC 5424's timestamp is between other fields and stays there.
_RFC5424 = re.compile(rb"(<[0-9]{1,3}>1 )(?:" + ISO.encode() + rb"|-)(?= )")


def read_logtime(text: str, where: str = "") -> LogTime:
    """A site's `logtime`. Raises ConfigError, which begins with `where`, for a text that is not a time format."""
    # Its patterns take 4 ms to compile, so they are compiled only when needed.
    from pbs_fast.matching.rewrite.logtime import LogTime

    return LogTime(text, where)


class Lines(NamedTuple):
    """Rewritten lines, and where each starts, there and in the original."""

    data: bytes
    starts: array[int]
    originals: array[int]


class Rewriter:
    """The wrapper or unusual timestamps of one source. Not thread-safe."""

    def __init__(self, logtime: LogTime | None = None) -> None:
        self.logtime = logtime
        self._streams = Streams()
        self.parts = 0
        """Entries that are no whole line, or not known to be one."""
        self.wrapper: str | None = None
        """`docker`, `cri` or `logtime`; None while lines are as they are."""

    def begin_file(self) -> None:
        """Another file of the source begins: its wrapper is to be found again. A line may go on in it all the same."""
        self.wrapper = None

    def doubt(self) -> None:
        """Unknown lines were skipped: the next entry may be the end of anything."""
        self._streams.lose()

    def lines(self, data: bytes, start: int, stop: int) -> Lines:
        """The lines data[start:stop], each of them rewritten or as it is."""
        out: list[bytes] = []
        starts, originals = array("q"), array("q")
        at, place = start, 0
        while at < stop:
            newline = data.find(b"\n", at, stop)
            end = stop if newline < 0 else newline + 1
            # An empty rest without a line end is no line.
            new = self._line(data[at:end]) or b"-"
            starts.append(place)
            originals.append(at - start)
            out.append(new)
            place += len(new)
            at = end
        return Lines(b"".join(out), starts, originals)

    def peek(self, line: bytes) -> bytes:
        """One line, without its end, as it would be if it were whole; nothing is remembered of it."""
        if self.wrapper in READERS:
            entry = READERS[self.wrapper](line)
            return b"" if entry is None else self._unwrapped(entry)
        return self._restamped(line) if self.wrapper == LOGTIME else line

    def _line(self, line: bytes) -> bytes:
        body = line.removesuffix(b"\n")
        end = line[len(body) :]
        if end and body.endswith(b"\r"):
            body, end = body[:-1], b"\r\n"
        if self.wrapper not in READERS:
            return line if len(body) > MAX_LINE else self._restamped(body) + end
        if len(body) > MAX_LINE:
            # No one says how such an entry ends: of some, the source hands on the beginning only.
            self._streams.lose()
            return line
        entry = READERS[self.wrapper](body)
        if entry is None:
            self._streams.lose()
            return end
        if not self._streams.is_whole(entry):
            self.parts += 1
            return end
        return self._unwrapped(entry) + end

    def _unwrapped(self, entry: Entry) -> bytes:
        text = entry.text
        if m := _RFC5424.match(text):
            return m[1] + entry.timestamp + text[m.end() :]
        found = None if self.logtime is None else self.logtime.head(text)
        if found is not None:
            text = text[found[1] :].lstrip(b" ")
        elif m := _INNER.match(text):
            text = text[m.end() :].lstrip(b" ")
        return entry.timestamp + b" " + text

    def _restamped(self, line: bytes) -> bytes:
        found = None if self.logtime is None else self.logtime.head(line)
        if found is None:
            return line
        timestamp, end = found
        rest = line[end:].lstrip(b" ")
        if m := _INNER.match(rest):
            rest = rest[m.end() :].lstrip(b" ")
        return timestamp + b" " + rest
