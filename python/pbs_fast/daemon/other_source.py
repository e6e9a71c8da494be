"""Notices that the followed file is written no more while the journal is: the logging daemon was removed, for example.

journalctl may take long, so it is asked in a thread, and seldom: only while no followed file has grown for IDLE.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

#: Seconds by which the journal's newest entry of a mail server must be newer than the last line of any followed file.
IDLE: Final = 600.0


class OtherSource:
    """The journal next to the followed files."""

    def __init__(self, newest: Callable[[], float | None]) -> None:
        """`newest` says when the journal's newest entry of a mail server was stored, in seconds since the epoch; None
        for unknown. It is called in a thread of its own."""
        self._newest = newest
        self._thread: threading.Thread | None = None
        self._answer: float | None = None
        self._next = 0.0
        self.is_ahead = False
        """The journal has entries that the followed files lack."""

    def turned(self, now: float, last: float) -> bool:
        """Ask if it is time; whether `is_ahead` has just become true. `last` is when a followed file last grew.

        Both are seconds since the epoch.
        """
        if now - last < IDLE:
            self.is_ahead = False
            return False
        if self._thread is not None:
            if self._thread.is_alive():
                return False
            self._thread = None
            was_ahead, self.is_ahead = self.is_ahead, self._answer is not None and self._answer - last >= IDLE
            return self.is_ahead and not was_ahead
        if not 0 <= self._next - now <= IDLE:
            self._next = now + IDLE
            self._thread = threading.Thread(target=self._ask, name="journal-newest", daemon=True)
            self._thread.start()
        return False

    def _ask(self) -> None:
        self._answer = self._newest()
