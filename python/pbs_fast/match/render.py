"""How an event, or a missed line, becomes text: JSON, or lines for people, on a terminal in colour and to its width.

Invariants: text of strangers goes through `printable` here; with a width no line is broken within a word, however long.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.events import Event
    from pbs_fast.formats import Format

#: Gives the line of an event as it was scanned, and its layout; asked only by who shows it.
Source = Callable[[], tuple[bytes, str]]

#: The colour of each field of a line, which is also that of the same thing in what is said of it.
COLOURS = {"time": "cyan", "host": "yellow", "tag": "blue", "user": "magenta", "ip": "green", "session": "bright_black"}

#: Characters of the longest IPv4 address.
_IPV4 = 15
#: Blanks before a line of the log, and before what goes on in the next line of the terminal.
_INDENT, _HANGING = 4, 6
_GAP = "  "


class Render(Protocol):
    """How an event, or a missed line, becomes text with its newline."""

    def prepare(self, file: str, last: int, events: Sequence[Event]) -> None:
        """Gets the events that `event` and `missed` will get next, and the number of the last one's line."""

    def event(self, file: str, line: int, event: Event, source: Source) -> str: ...
    def missed(self, file: str, line: int, reason: str, text: str) -> str: ...


class AsJson:
    """One JSON object a line, ASCII."""

    def prepare(self, file: str, last: int, events: Sequence[Event]) -> None:
        """Nothing: it has no columns."""

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


class Span(NamedTuple):
    """Printable text in a colour, or in none."""

    text: str
    colour: str = ""


class AsText:
    """For people: place, what, address, time, format, user.

    With `paint(text, colour)`, for a terminal that shows colours, the line itself follows, its fields in theirs. With a
    `width` in characters, that of a terminal, what is longer goes on in further lines, indented.
    """

    def __init__(
        self,
        paint: Callable[[str, str], str] | None = None,
        formats: Sequence[Format] = (),
        width: int | None = None,
    ) -> None:
        self._paint = paint or (lambda text, _: text)
        self._formats = formats if paint else ()
        self._width = width
        self._place_width, self._ip_width = 0, _IPV4
        self._apart = False
        """Whether places get lines of their own, once a row was too wide."""

    def prepare(self, file: str, last: int, events: Sequence[Event]) -> None:
        # Widths only grow, so that columns do not move back and forth between the pieces of a log.
        self._place_width = max(self._place_width, len(_place(file, last)))
        self._ip_width = max(self._ip_width, *(len(event.ip or "-") for event in events))

    def event(self, file: str, line: int, event: Event, source: Source) -> str:
        said = self._row(
            file,
            line,
            [
                Span(f"{event.kind:<6}", "green" if event.kind == "login" else "blue"),
                Span(f"{event.ip or '-':<{self._ip_width}}", COLOURS["ip"]),
                Span(iso(event.timestamp) or "-", COLOURS["time"]),
                Span(f"{event.format:<13}"),
                Span(printable(event.user or "-"), COLOURS["user"]),
            ],
        )
        return said + self._line(event, *source()) if self._formats else said

    def missed(self, file: str, line: int, reason: str, text: str) -> str:
        return self._row(file, line, [Span("missed", "yellow"), Span(f"{reason}: {printable(text)}")])

    def _row(self, file: str, line: int, columns: Sequence[Span]) -> str:
        place = Span(f"{_place(file, line):<{self._place_width}}", "cyan")
        others = [span for column in columns for span in (Span(_GAP), column)]
        row = [place, *others]
        # As in the tables of other commands: the first cell gets a line of its own.
        if self._width is not None and not self._apart:
            self._apart = _cells("".join(span.text for span in row)) > self._width
        if self._apart:
            return self._painted([place], 0) + self._painted(others[1:], len(_GAP))
        return self._painted(row, 0)

    def _line(self, event: Event, line: bytes, layout: str) -> str:
        """The line with its fields in colour; a field of another address than the event's is not coloured."""
        from pbs_fast.match.fields import fields  # only here: on a terminal

        spans, place = [], 0
        for name, start, end in fields(line, event, layout, self._formats):
            if name in COLOURS:
                spans += [Span(_shown(line[place:start])), Span(_shown(line[start:end]), COLOURS[name])]
                place = end
        return self._painted([*spans, Span(_shown(line[place:]))], _INDENT)

    def _painted(self, spans: Sequence[Span], indent: int) -> str:
        """Spans as one line, or as several where they are wider than the terminal."""
        text = "".join(span.text for span in spans)
        if self._width is None:
            return " " * indent + self._between(spans, 0, len(text)) + "\n"
        text = text.rstrip()
        out = ""
        for start, end in breaks(text, self._width - indent, self._width - _HANGING):
            out += " " * (_HANGING if start else indent) + self._between(spans, start, end) + "\n"
        return out

    def _between(self, spans: Sequence[Span], start: int, end: int) -> str:
        """The spans' characters from `start` to `end`, each in its colour."""
        out, place = "", 0
        for span in spans:
            part = span.text[max(0, start - place) : max(0, end - place)]
            place += len(span.text)
            if part:
                out += self._paint(part, span.colour) if span.colour else part
        return out


def breaks(text: str, first: int, rest: int) -> Iterator[tuple[int, int]]:
    """Where each line of a text starts and ends: at most `first` columns, then `rest`, but for a single longer word."""
    start, room = 0, first
    while True:
        fits = start + _fitting(text[start:], max(1, room))
        if fits >= len(text):
            yield start, len(text)
            return
        # A blank at which a line ends may be the one behind it.
        end = text.rfind(" ", start + 1, fits + 1)
        if end < 0 or not text[start:end].strip():
            end = text.find(" ", fits)
        if end < 0:
            yield start, len(text)
            return
        yield start, start + len(text[start:end].rstrip())
        start = end + len(text[end:]) - len(text[end:].lstrip(" "))
        room = rest


def _fitting(text: str, width: int) -> int:
    """How many characters take at most so many columns."""
    if text.isascii():
        return min(width, len(text))
    taken = 0
    for number, char in enumerate(text):
        taken += _cells(char)
        if taken > width:
            return number
    return len(text)


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _place(file: str, line: int) -> str:
    return f"{printable(file)}:{line}"


def iso(timestamp: int | None) -> str | None:
    """A second as UTC, `2026-11-21T03:04:05Z`."""
    return None if timestamp is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(timestamp))


def _shown(data: bytes) -> str:
    return printable(data.decode("utf-8", "replace"))
