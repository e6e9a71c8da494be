"""What the last day of a log holds: lines and logins by tag, hosts, addresses, and how far its timestamps are off.

Read as `match` and the daemon read it, through the source and the same matcher. Memory is bounded.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pbs_fast.errors import SourceError
from pbs_fast.matching.protocol import SYSLOG
from pbs_fast.matching.python.envelope import LINE, envelope_of
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.open import open_log
from pbs_fast.sources.protocol import SourceOptions
from pbs_fast.sources.registry import find_scheme, make_source

if TYPE_CHECKING:
    from pbs_fast.events import Event
    from pbs_fast.formats import Format
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.rewrite.logtime import LogTime
    from pbs_fast.sources.lines import Piece
    from pbs_fast.sources.protocol import TimestampOf

#: Seconds, and bytes, of a log that are looked at.
WINDOW: Final = 86_400
MOST_BYTES: Final = 200 << 20
#: Names, addresses and hosts that are remembered of each kind.
MOST_NAMES: Final = 4_096
#: Bytes that are read to learn when a place in a file was written.
_BLOCK: Final = 65_536
#: Lines at the end whose greatest timestamp shows the clock of who wrote them.
_LAST_LINES: Final = 32


@dataclass
class Recent:
    """One log's last day."""

    lines: int = 0
    bytes: int = 0
    is_cut: bool = False
    """There was more than MOST_BYTES."""
    tags: Counter[str] = field(default_factory=Counter)
    """Lines by known tag."""
    logins: Counter[str] = field(default_factory=Counter)
    """Logins by format."""
    missed: Counter[str] = field(default_factory=Counter)
    """Lines that look like a login of a format and match no pattern."""
    hosts: Counter[str] = field(default_factory=Counter)
    """Logins by the host field of their line."""
    addresses: Counter[str] = field(default_factory=Counter)
    """Logins by the client's address."""
    users: set[str] = field(default_factory=set)
    last_login: int | None = None
    """Seconds since the epoch."""
    last_line: int | None = None
    """The greatest timestamp of the last lines, in seconds since the epoch."""
    modified: int | None = None
    """When the log was last written, in seconds since the epoch."""

    def saw(self, event: Event) -> None:
        """Count one event."""
        if event.kind == "missed":
            self.missed[event.format] += 1
        elif event.kind == "login":
            self.logins[event.format] += 1
            for counter, name in ((self.hosts, event.host), (self.addresses, event.ip or "")):
                if name in counter or len(counter) < MOST_NAMES:
                    counter[name] += 1
            if event.user is not None and len(self.users) < MOST_NAMES:
                self.users.add(event.user[:256])
            if event.timestamp is not None:
                self.last_login = max(self.last_login or 0, event.timestamp)


class Tags:
    """Counts the lines of known tags in whole lines of a layout."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self.known = {tag for each in formats for tag in (*each.program, *each.tls_program)}
        words = b"|".join(re.escape(tag.encode()) for tag in sorted(self.known, key=len, reverse=True))
        # A tag is followed by its process id, a colon, or in RFC 5424 a blank; LINE decides.
        self._words = re.compile(rb"(?<=[ \[])(?:" + words + rb")(?=[\[:\] ])" if words else rb"(?!)")

    def count(self, data: bytes, start: int, stop: int, layout: str, into: Counter[str]) -> None:
        """Add the lines of data[start:stop]; in a server's own log every line is one of its format."""
        if layout != SYSLOG:
            into[layout] += data.count(b"\n", start, stop)
            return
        place = start
        while (word := self._words.search(data, place, stop)) is not None:
            begin = data.rfind(b"\n", start, word.start()) + 1 or start
            end = data.find(b"\n", word.end(), stop)
            end = stop if end < 0 else end
            if (found := LINE.match(data, begin, end)) is not None:
                tag = (envelope_of(found).tag or b"").decode("ascii", "replace")
                if tag in self.known:
                    into[tag] += 1
            place = end


def read_recent(
    spec: str, backend: Backend, matcher: Matcher, formats: Sequence[Format], logtime: LogTime | None
) -> Recent:
    """The last WINDOW seconds of a log, or its last MOST_BYTES. Raises SourceError and UsageError."""
    found, tags, now = Recent(), Tags(formats), time.time()
    reader = Reader(backend, matcher, source="", gap=0, live=False, fold=False, logtime=logtime)
    source = make_source(spec, SourceOptions(tags=tuple(tags.known)))
    with closing(source):
        source.open()
        if source.trouble is not None:
            return found
        found.modified = source.modified
        last: tuple[bytes, int] = (b"", int(now))
        since = _since(spec, source.modified, now, reader.timestamp)
        past = source.replay(since, reader.timestamp, now)
        with closing(past):
            while not past.done:
                for piece, reference, _ in past.step():
                    # Twice: what is read begins before the window, because lines are not quite in order.
                    if found.bytes >= 2 * MOST_BYTES:
                        found.is_cut = True
                        return found
                    last = (_take(reader, tags, piece, reference, found) or last[0], reference)
    found.last_line = _greatest(reader, *last)
    return found


def _since(spec: str, modified: int | None, now: float, timestamp_of: TimestampOf) -> float:
    """The start of the window: of a log that rests, the last day that it has; of a large file, its last MOST_BYTES."""
    start = (min(now, modified) if modified is not None else now) - WINDOW
    if modified is None or find_scheme(spec) is not None:
        return start
    with suppress(SourceError), open_log(spec) as log:
        if log.seekable and log.size() > MOST_BYTES:
            lines = log.read_at(log.size() - MOST_BYTES, _BLOCK).split(b"\n")[1:-1]
            stamps = [timestamp_of(line, modified) for line in lines[:_LAST_LINES]]
            start = max([start, *(each for each in stamps if each is not None)])
    return start


def _take(reader: Reader, tags: Tags, piece: Piece, reference: int, found: Recent) -> bytes:
    """Read a piece; its last lines."""
    if piece.offset == 0:
        reader.begin_file()
    ready = reader.ready(piece.data, piece.start, piece.stop, offset=piece.offset)
    before = reader.counters["lines"]
    for event in reader.stream.events(reader.scan(ready, reference)):
        found.saw(event)
    found.lines += reader.counters["lines"] - before
    found.bytes += piece.stop - piece.start
    tags.count(ready.data, ready.start, ready.stop, ready.layout, found.tags)
    reader.forget()
    return b"\n".join(list(_last_lines(piece))[::-1])


def _last_lines(piece: Piece) -> Iterator[bytes]:
    end = piece.stop - piece.data.endswith(b"\n", piece.start, piece.stop)
    for _ in range(_LAST_LINES):
        begin = piece.data.rfind(b"\n", piece.start, end) + 1 or piece.start
        yield piece.data[begin:end]
        if begin == piece.start:
            return
        end = begin - 1


def _greatest(reader: Reader, lines: bytes, reference: int) -> int | None:
    stamps = [reader.timestamp(line, reference) for line in lines.split(b"\n") if line]
    return max((each for each in stamps if each is not None), default=None)
