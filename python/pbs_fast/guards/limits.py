"""How many rows there may be, and how many new ones in a minute. At a limit, new grants stop; renewals continue.

Pure: no clock. Grants are counted by the ledger, so rows that it declined do not count.
"""

from __future__ import annotations

from collections.abc import Container, Sized
from typing import Protocol


class Live(Container[str], Sized, Protocol):
    """The part of the ledger that guards use."""

    granted: int
    """New rows since it started."""


class Limits:
    """`max_rows` and `max_new_per_minute`."""

    def __init__(self, max_rows: int, max_new_per_minute: int) -> None:
        self.max_rows = max_rows
        self.max_new_per_minute = max_new_per_minute
        self._minute_end = 0.0
        self._new = 0
        """New rows of this minute, without those of a replay."""
        self._granted = 0
        self._was_replay = False

    def room(self, live: Live, now: float, *, replay: bool) -> tuple[int, str]:
        """How many new rows are allowed (at least 0), and the guard that sets this limit.

        Grants since the last call belong to that call's rows: a replay and live lines take turns.
        """
        if not self._was_replay:
            self._new += live.granted - self._granted
        self._granted, self._was_replay = live.granted, replay
        if now >= self._minute_end:
            self._minute_end = now + 60
            self._new = 0
        rows = max(self.max_rows - len(live), 0)
        new = max(self.max_new_per_minute - self._new, 0)
        if replay or rows <= new:
            return rows, "max_rows"
        return new, "max_new_per_minute"

    def new(self, live: Live, now: float) -> int:
        """New rows of this minute."""
        if now >= self._minute_end:
            return 0
        return self._new + (0 if self._was_replay else live.granted - self._granted)
