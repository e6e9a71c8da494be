"""What each line of some logs says: the matcher's events in file order, and the lines that it missed.

For trying patterns: netblocks, guards and grace play no part. Several files are read as one log, in the order given,
so that a session that ends in the second finds its login in the first. Memory is bounded for logs of any size. Imports
sources and the matcher's protocols; must not import typer, tables or the ledger.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pbs_fast.errors import SourceError
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.opening import LogFile, open_log
from pbs_fast.sources.pieces import Piece, pieces

if TYPE_CHECKING:
    from typing import IO

    from pbs_fast.events import Event
    from pbs_fast.matching import Core, Matcher
    from pbs_fast.matching.rewrite import LogTime

#: Missed lines are shown after all events; more than this many bytes of them wait in a temporary file.
_KEPT_IN_MEMORY = 8 << 20

#: What a terminal must not be made to obey: control characters, those that turn the direction of text, surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Render(Protocol):
    """How an event, or a missed line, becomes one line of text with its newline."""

    def event(self, file: str, line: int, event: Event) -> str: ...
    def missed(self, file: str, line: int, reason: str, text: str) -> str: ...


@dataclass
class Summary:
    """What a run saw."""

    lines: int = 0
    logins: int = 0
    logouts: int = 0
    missed: int = 0
    faults: list[SourceError] = field(default_factory=list)


class Run:
    """Matches files one after the other; `write` gets text to show at once, `complain` each fault as it happens."""

    def __init__(
        self,
        core: Core,
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

    def _log(self, log: LogFile, missed: IO[str]) -> None:
        reference = self._now
        if reference is None:
            reference = int(time.time()) if log.mtime is None else log.mtime
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
            if event.kind != "missed":
                shown.append(self._render.event(file, line, event))
                continue
            self._summary.missed += 1
            if self._show_missed:
                end = piece.data.find(b"\n", at, piece.stop)
                text = piece.data[at : end if end >= 0 else piece.stop]
                text = text.removesuffix(b"\r") if end >= 0 else text
                missed.write(self._render.missed(file, line, event.reason or "", text.decode("utf-8", "replace")))
        return "".join(shown)


class AsJson:
    """One JSON object a line, ASCII."""

    def event(self, file: str, line: int, event: Event) -> str:
        record = {
            "file": file,
            "line": line,
            "event": event.kind,
            "ip": event.ip,
            "time": iso(event.stamp),
            "format": event.format,
            "user": event.user,
        }
        return json.dumps(record) + "\n"

    def missed(self, file: str, line: int, reason: str, text: str) -> str:
        return json.dumps({"file": file, "line": line, "missed": reason, "text": text}) + "\n"


class AsText:
    """For people: place, what, address, time, format, user. `paint(text, colour)` colours it for a terminal."""

    def __init__(self, paint: Callable[[str, str], str] | None = None) -> None:
        self._paint = paint or (lambda text, _: text)

    def event(self, file: str, line: int, event: Event) -> str:
        kind = self._paint(f"{event.kind:<6}", "green" if event.kind == "login" else "blue")
        rest = f"{event.ip or '-':<15}  {iso(event.stamp)}  {event.format:<13}  {safe(event.user or '-')}"
        return f"{self._place(file, line)}  {kind}  {rest}\n"

    def missed(self, file: str, line: int, reason: str, text: str) -> str:
        return f"{self._place(file, line)}  {self._paint('missed', 'yellow')}  {reason}: {safe(text)}\n"

    def _place(self, file: str, line: int) -> str:
        return self._paint(f"{safe(file)}:{line}", "cyan")


def iso(stamp: int | None) -> str | None:
    """A second as UTC, `2026-11-21T03:04:05Z`."""
    return None if stamp is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))


def safe(text: str) -> str:
    """Text that a terminal shows and does not obey: control characters as escapes."""
    return _UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)
