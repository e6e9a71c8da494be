"""The event in each line of some logs, in file order, and the missed lines.

For testing patterns: netblocks, guards and grace are not applied. Several files are read as one log, in the given
order, so that a session that ends in the second file finds its login in the first. Memory is bounded for logs of any
size.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pbs_fast.errors import SourceError
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.lines import Piece, pieces
from pbs_fast.sources.open import LogReader, open_log
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from typing import IO

    from pbs_fast.events import Event
    from pbs_fast.formats import Format
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.rewrite.logtime import LogTime

#: Missed lines are shown after all events; more than this many bytes of them wait in a temporary file.
_KEPT_IN_MEMORY = 8 << 20

#: What a terminal must not be made to obey: control characters, those that turn the direction of text, surrogates.


#: Gives the line of an event as it was scanned, and its layout; asked only by who shows it.
Source = Callable[[], tuple[bytes, str]]


class Render(Protocol):
    """How an event, or a missed line, becomes text with its newline."""

    def event(self, file: str, line: int, event: Event, source: Source) -> str: ...
    def missed(self, file: str, line: int, reason: str, text: str) -> str: ...


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
    ) -> None:
        """`now` is the second that years are judged from; None means each file's time of last modification."""
        self._reader = Reader(core, matcher, source="", gap=0, live=False, fold=False, logtime=logtime)
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
                    with open_log(file) as log:
                        self._log(log, missed)
                except SourceError as error:
                    self._summary.faults.append(error)
                    self._complain(error)
            missed.seek(0)
            while text := missed.read(1 << 20):
                self._write(text)
        counters = self._reader.counters
        self._summary.lines, self._summary.logins = counters["lines"], counters["login"]
        self._summary.logouts = counters["logout"]
        return self._summary

    def _log(self, log: LogReader, missed: IO[str]) -> None:
        reference = log.reference(self._now)
        self._reader.begin_file()
        line = 1
        for piece in pieces(log):
            lines = self._reader.counters["lines"]
            events = self._reader.events(piece.data, piece.start, piece.stop, offset=piece.offset, reference=reference)
            shown = self._piece(log.name, line, piece, events, missed)
            if shown:
                self._write(shown)
            line += self._reader.counters["lines"] - lines

    def _piece(self, file: str, line: int, piece: Piece, events: list[Event], missed: IO[str]) -> str:
        """The text of a piece's events; its first line has the number `line`."""
        shown = []
        place = piece.start
        for event in events:
            at = event.offset - piece.offset + piece.start
            line += piece.data.count(b"\n", place, at)
            place = at
            self._summary.formats.setdefault(event.format, Counter())[event.kind] += 1
            if event.kind != "missed":
                shown.append(
                    self._render.event(file, line, event, lambda at=at: self._reader.plain(_line(piece, at)))  # type: ignore[misc]
                )
                continue
            self._summary.missed += 1
            if self._show_missed:
                text = _line(piece, at)
                missed.write(self._render.missed(file, line, event.reason or "", text.decode("utf-8", "replace")))
        return "".join(shown)


def _line(piece: Piece, at: int) -> bytes:
    """The line that starts at a byte of a piece, without its end."""
    end = piece.data.find(b"\n", at, piece.stop)
    text = piece.data[at : end if end >= 0 else piece.stop]
    return text.removesuffix(b"\r") if end >= 0 else text


class AsJson:
    """One JSON object a line, ASCII."""

    def event(self, file: str, line: int, event: Event, source: Source) -> str:  # noqa: ARG002 - it shows no line
        record = {
            "file": file,
            "line": line,
            "event": event.kind,
            "ip": event.ip,
            "time": iso(event.timestamp),
            "format": event.format,
            "user": event.user,
        }
        return json.dumps(record) + "\n"

    def missed(self, file: str, line: int, reason: str, text: str) -> str:
        return json.dumps({"file": file, "line": line, "missed": reason, "text": text}) + "\n"


#: The colour of each field of a line, which is also that of the same thing in what is said of it.
COLOURS = {"time": "cyan", "host": "yellow", "tag": "blue", "user": "magenta", "ip": "green", "session": "bright_black"}


class AsText:
    """For people: place, what, address, time, format, user.

    With `paint(text, colour)`, for a terminal that shows colours, the line itself follows, its fields in theirs.
    """

    def __init__(self, paint: Callable[[str, str], str] | None = None, formats: Sequence[Format] = ()) -> None:
        self._paint = paint or (lambda text, _: text)
        self._formats = formats if paint else ()

    def event(self, file: str, line: int, event: Event, source: Source) -> str:
        paint = self._paint
        kind = paint(f"{event.kind:<6}", "green" if event.kind == "login" else "blue")
        ip, when = paint(f"{event.ip or '-':<15}", COLOURS["ip"]), paint(iso(event.timestamp) or "-", COLOURS["time"])
        said = f"{self._place(file, line)}  {kind}  {ip}  {when}  {event.format:<13}  "
        said += paint(printable(event.user or "-"), COLOURS["user"]) + "\n"
        return said + self._line(event, *source()) if self._formats else said

    def _line(self, event: Event, line: bytes, layout: str) -> str:
        """The line with its fields in colour; a field of another address than the event's is not coloured."""
        from pbs_fast.match.fields import fields  # only here: on a terminal

        text, place = "    ", 0
        for name, start, end in fields(line, event, layout, self._formats):
            if name in COLOURS:
                text += _shown(line[place:start]) + self._paint(_shown(line[start:end]), COLOURS[name])
                place = end
        return text + _shown(line[place:]) + "\n"

    def missed(self, file: str, line: int, reason: str, text: str) -> str:
        return f"{self._place(file, line)}  {self._paint('missed', 'yellow')}  {reason}: {printable(text)}\n"

    def _place(self, file: str, line: int) -> str:
        return self._paint(f"{printable(file)}:{line}", "cyan")


def iso(timestamp: int | None) -> str | None:
    """A second as UTC, `2026-11-21T03:04:05Z`."""
    return None if timestamp is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(timestamp))


def _shown(data: bytes) -> str:
    return printable(data.decode("utf-8", "replace"))
