"""The event in each line of some logs, in file order, and the missed lines.

For testing patterns: netblocks, guards and grace are not applied. Several files are read as one log, in the given
order, so that a session that ends in the second file finds its login in the first. Memory is bounded for logs of any
size.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pbs_fast.errors import SourceError
from pbs_fast.match.follow import Following, is_source
from pbs_fast.match.render import Render
from pbs_fast.match.unread import Understanding
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.lines import Piece, pieces
from pbs_fast.sources.open import LogReader, open_log

if TYPE_CHECKING:
    from typing import IO

    from pbs_fast.events import Event
    from pbs_fast.formats import Format
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.census import Unread
    from pbs_fast.matching.rewrite import Shape
    from pbs_fast.matching.rewrite.logtime import LogTime

#: Missed lines are shown after all events; more than this many bytes of them wait in a temporary file.
_KEPT_IN_MEMORY = 8 << 20


@dataclass
class Summary:
    """What a run saw."""

    lines: int = 0
    logins: int = 0
    logouts: int = 0
    missed: int = 0
    formats: dict[str, Counter[str]] = field(default_factory=dict)
    """Format -> how many of each kind of event; missed lines by the format they look like."""
    faults: list[SourceError] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    """Why few or no lines are understood, where it is so; `what` begins with the log."""
    left: str = ""
    """How many of the lines looked at belong to no known log or server, in words; "" if none."""


class Run:
    """Matches files one after the other; `write` gets text to show at once, `complain` each fault as it happens."""

    def __init__(
        self,
        core: Backend,
        matcher: Matcher,
        *,
        now: int | None,
        render: Render,
        write: Callable[[str], object],
        complain: Callable[[SourceError], object],
        show_missed: bool,
        logtime: LogTime | None = None,
        shape: Shape | None = None,
        formats: Sequence[Format] | None = None,
    ) -> None:
        """`now` is the second that years are judged from; None means each file's time of last modification.

        With `formats`, those of the matcher, the Summary says why few or no lines are understood.
        """
        self._understanding = None if formats is None else Understanding(formats)

        def new_reader() -> Reader:
            # Nothing is granted, so a container's first entry is shown.
            return Reader(
                core, matcher, source="", gap=0, live=False, fold=False, logtime=logtime, shape=shape, starts_whole=True
            )

        self._new_reader: Callable[[], Reader] = new_reader
        self._reader = self._new_reader()
        self._now = now
        self._render = render
        self._write = write
        self._complain = complain
        self._show_missed = show_missed
        self._summary = Summary()

    def __call__(self, files: Iterable[str]) -> Summary:
        with tempfile.SpooledTemporaryFile(_KEPT_IN_MEMORY, "w+", encoding="utf-8", newline="") as missed:
            for file in files:
                try:
                    if is_source(file):
                        self._source(file, missed)
                    else:
                        with open_log(file) as log:
                            self._log(log, missed)
                except SourceError as error:
                    self._fault(error)
            missed.seek(0)
            while text := missed.read(1 << 20):
                self._write(text)
        counters = self._reader.counters
        self._summary.lines, self._summary.logins = counters["lines"], counters["login"]
        self._summary.logouts = counters["logout"]
        if self._understanding is not None:
            summary = self._summary
            understood = summary.logins + summary.logouts
            if summary.lines or not summary.faults:
                summary.unread = self._understanding.findings(summary.lines, understood, summary.missed)
            summary.left = self._understanding.left
        return self._summary

    def follow(self, files: Iterable[str]) -> None:
        """Show what is in the logs, and go on as they grow, through rotation, until the process is interrupted.

        Each file is a log of its own. Missed lines are shown where they are. Raises PbsError for what waiting cannot
        fix.
        """
        with Following(files, self._complain) as sources:
            places = {source: _Place(source.name, self._new_reader()) for source in sources}
            for source, pieces_ in sources.pieces():
                for piece in pieces_:
                    self._take(places[source], piece, self._year_of(source.modified), self._write)

    def _source(self, spec: str, missed: IO[str]) -> None:
        """What a source that is no file holds now."""
        with Following([spec], self._fault, to_end=True) as sources:
            place = self._begin(spec)
            for source, pieces_ in sources.pieces():
                place.file = source.name
                for piece in pieces_:
                    self._take(place, piece, self._year_of(None), missed.write, begins=False)
            self._end(place)

    def _log(self, log: LogReader, missed: IO[str]) -> None:
        place = self._begin(log.name)
        for piece in pieces(log):
            self._take(place, piece, log.reference(self._now), missed.write, begins=False)
        self._end(place)

    def _begin(self, name: str) -> _Place:
        self._reader.begin_file()
        if self._understanding is not None:
            self._understanding.begin_file(name)
        return _Place(name, self._reader, self._understanding)

    def _end(self, place: _Place) -> None:
        if place.understanding is not None:
            place.understanding.end_file(place.line - 1)

    def _fault(self, error: SourceError) -> None:
        self._summary.faults.append(error)
        self._complain(error)

    def _year_of(self, modified: int | None) -> int:
        """The second from which years are judged."""
        if self._now is not None:
            return self._now
        return int(time.time()) if modified is None else modified

    def _take(
        self,
        place: _Place,
        piece: Piece,
        reference: int,
        missed: Callable[[str], object],
        *,
        begins: bool = True,
    ) -> None:
        """Show a piece; with `begins`, one at offset 0 is the beginning of another file."""
        reader = place.reader
        if begins and piece.offset == 0:
            reader.begin_file()
            place.line = 1
        lines = reader.counters["lines"]
        events = reader.events(piece.data, piece.start, piece.stop, offset=piece.offset, reference=reference)
        if place.understanding is not None:
            place.understanding.piece(reader, piece, reference, events)
        if shown := self._piece(place, piece, events, missed):
            self._write(shown)
        place.line += reader.counters["lines"] - lines

    def _piece(self, place: _Place, piece: Piece, events: list[Event], missed: Callable[[str], object]) -> str:
        """The text of a piece's events."""
        shown = []
        plain = place.reader.plain
        line, counted = place.line, piece.start
        if events:
            last = events[-1].offset - piece.offset + piece.start
            self._render.prepare(place.file, line + piece.data.count(b"\n", counted, last), events)
        for event in events:
            at = event.offset - piece.offset + piece.start
            line += piece.data.count(b"\n", counted, at)
            counted = at
            self._summary.formats.setdefault(event.format, Counter())[event.kind] += 1
            if event.kind != "missed":
                shown.append(
                    self._render.event(place.file, line, event, lambda at=at: plain(_line(piece, at)))  # type: ignore[misc]
                )
                continue
            self._summary.missed += 1
            if self._show_missed:
                text = _line(piece, at)
                missed(self._render.missed(place.file, line, event.reason or "", text.decode("utf-8", "replace")))
        return "".join(shown)


@dataclass
class _Place:
    """How far a log was read."""

    file: str
    reader: Reader
    understanding: Understanding | None = None
    line: int = 1
    """Number of the next line."""


def _line(piece: Piece, at: int) -> bytes:
    """The line that starts at a byte of a piece, without its end."""
    end = piece.data.find(b"\n", at, piece.stop)
    text = piece.data[at : end if end >= 0 else piece.stop]
    return text.removesuffix(b"\r") if end >= 0 else text
