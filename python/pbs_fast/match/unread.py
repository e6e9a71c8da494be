"""Decides after a run of `match` whether few or none of the lines were understood, and why.

"Few" is one of three things: there is no event at all; more lines were missed than understood; or most lines of a file
have no envelope of a known layout, and fewer than one in FEW is an event. Other programs' lines in a known envelope are
no reason: of a usual mail log they are the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pbs_fast.matching.census import LONGEST_SAMPLE, NAME_THE_LOG, Census, Unread, named, share, shown
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.events import Event
    from pbs_fast.formats import Format
    from pbs_fast.matching.reader import Reader
    from pbs_fast.sources.lines import Piece

#: Lines that are looked at one by one: so many at the beginning, then so many of each piece of about 8,000. More would
#: make `match` much slower than what reads the lines.
WHOLE: Final = 20_000
PER_PIECE: Final = 200
#: Where most lines have no envelope, one event in so many lines is enough.
FEW: Final = 100
#: Files that are named; a run may read thousands.
MOST_FILES: Final = 5


class Understanding:
    """What a run has seen so far. `begin_file`, `piece` for each piece, `end_file`; then `findings`."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self._census = Census(formats)
        self._file = ""
        self._files: list[Unread] = []
        self._events = 0
        self._missed_sample = b""

    def begin_file(self, name: str) -> None:
        """The next log."""
        self._file, self._events = printable(name), 0
        self._census.begin_file()

    def piece(self, reader: Reader, piece: Piece, reference: int, events: Sequence[Event]) -> None:
        """A piece of the log, which `reader` has read, and its events, missed lines included."""
        shift = piece.start - piece.offset
        missed = [event.offset + shift for event in events if event.kind == "missed"]
        understood = {event.offset + shift for event in events if event.kind != "missed"}
        self._events += len(understood)
        if missed and not self._missed_sample:
            at = missed[0]
            self._missed_sample = piece.data[at : at + LONGEST_SAMPLE].partition(b"\n")[0].removesuffix(b"\r")
        most = PER_PIECE if self._census.lines >= WHOLE else WHOLE
        self._census.look(reader, piece.data, piece.start, piece.stop, reference, most, understood)

    def end_file(self, lines: int) -> None:
        """The log ends; it has so many lines."""
        census = self._census
        if census.file_headless * 2 > census.file_lines and self._events * FEW < lines:
            reason = census.headless_reason()
            self._files.append(reason._replace(what=f"{self._file}: {reason.what}"))

    @property
    def left(self) -> str:
        """How many lines belong to no known log, or to no known server; "" if none."""
        census = self._census
        if not census.headless and not census.unknown:
            return ""
        parts = []
        if census.headless:
            parts.append(f"{census.headless:,} that begin like those of no known log")
        if census.unknown:
            parts.append(f"{census.unknown:,} with the tag of no known server ({named(census.unknown_tags)})")
        return f"of {census.lines:,} lines looked at: {', '.join(parts)}"

    def findings(self, lines: int, events: int, missed: int) -> list[Unread]:
        """Why few or none of the lines were understood; empty if that is not so."""
        found = self._files[:MOST_FILES]
        if more := len(self._files) - len(found):
            found.append(found[-1]._replace(what=f"the same holds for {more} more files", sample=""))
        if lines and missed > events:
            what = share(missed, lines, "looks like a login but matches", "look like a login but match")
            return [
                *found,
                Unread(
                    "missed",
                    f"{what} no pattern, more than are understood",
                    shown(self._missed_sample),
                    "--missed shows them; write a [[format]] for them (docs/FORMATS.md) and report them",
                ),
            ]
        if not lines and not found:
            return [Unread("no_lines", "there is no line to read", "", NAME_THE_LOG)]
        if not events and not found:
            reason = self._census.reason()
            none = "the only line is not understood" if lines == 1 else f"none of {lines:,} lines is understood"
            found.append(reason._replace(what=f"{none}: {reason.what}"))
        return found
