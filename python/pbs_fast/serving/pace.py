"""A thread that uses no more than its share of a processor: it rests after work."""

from __future__ import annotations

import time

#: Processor seconds that may be used at once, some ten requests; then the thread rests until it may use as many
#: again. Few bursts cost other threads less than many single requests: each that falls into their work makes them wait
#: for the GIL, and on a busy machine for a processor.
CREDIT = 0.0006
#: Longest rest in seconds.
_LONGEST_REST = 1.0


class Pace:
    """The thread that works calls `begin` and `end`."""

    def __init__(self, share: float | None) -> None:
        """`share`: the part of one processor, above 0; None: all."""
        self._share = share
        self._begun, self._at = 0.0, time.monotonic()
        self._credit = CREDIT

    def begin(self) -> None:
        """Work begins."""
        if self._share is not None:
            self._begun = time.thread_time()

    def end(self) -> None:
        """It ended; rest if the share is used up."""
        if self._share is None:
            return
        now = time.monotonic()
        self._credit = min(CREDIT, self._credit + (now - self._at) * self._share)
        self._credit -= time.thread_time() - self._begun
        self._at = now
        if self._credit < 0:
            time.sleep(min(_LONGEST_REST, (CREDIT - self._credit) / self._share))
