"""Which streams of a source are at the start of a line, where wrappers cut lines into entries.

A stranger's text decides where a runtime or a supervisor cuts, so neither parts nor the entry that ends them are passed
on. Runtimes mark their parts; other writers, those in a container too, do not, so any text of `SPLIT` bytes may be one.
Runtimes also rotate between two parts, so the beginning of a file proves nothing about its first entry.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from pbs_fast.matching.protocol import SPLIT

if TYPE_CHECKING:
    from pbs_fast.matching.rewrite.wrapper import Entry

LASTS: Final = 60
"""Seconds without an entry of a stream after which none of its lines is still being written (docs/MATCHING.md, 8)."""
REMEMBERED: Final = 4_096
"""Streams of which something is known. A container has two; a journal's records have one for each process."""


class Streams:
    """The streams of one source. Not thread-safe."""

    def __init__(self) -> None:
        self._within: dict[str, bool] = {}
        self._is_lost = False
        self._since: float | None = None

    def lose(self) -> None:
        """An entry that cannot be read: any stream may be within a line."""
        self._within.clear()
        self._is_lost = True
        self._since = None

    def is_whole(self, entry: Entry, *, proves_starts: bool) -> bool:
        """Whether this entry is a whole line, which of `proves_starts` only one before it shows; notes what follows.

        A stream of which nothing was seen for LASTS seconds, while others were read, is at the start of a line.
        """
        within = self._within.get(entry.stream)
        if within is None:
            within = self._is_lost or proves_starts
            if within and (second := _second(entry.timestamp)) is not None:
                self._since = second if self._since is None else self._since
                within = second - self._since <= LASTS
        cut = not entry.is_line and len(entry.text) >= SPLIT
        goes_on = entry.is_part or cut
        if goes_on or self._is_lost or proves_starts:
            self._within[entry.stream] = goes_on
            if len(self._within) > REMEMBERED:
                # What was known of the others is lost, so their next entries are in doubt.
                self.lose()
                self._within[entry.stream] = goes_on
        else:
            self._within.pop(entry.stream, None)
        return not within and not entry.is_part


def _second(timestamp: bytes) -> float | None:
    """Of a timestamp with a zone; other clocks may step."""
    try:
        when = datetime.fromisoformat(timestamp.decode("ascii"))
    except ValueError:
        return None
    return None if when.tzinfo is None else when.timestamp()
