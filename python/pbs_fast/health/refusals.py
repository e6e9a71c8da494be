"""Which refused logins are logged without `--debug`: one line an hour for each address and reason, and not too many.

Pure. Whoever can log in, or write to a log, chooses addresses, so lines are bounded, and memory by them.
"""

from __future__ import annotations

from typing import Final

#: Seconds until the same address and reason are logged again.
PAUSE: Final = 3_600
#: Lines within PAUSE seconds. What is remembered is at most twice as much.
MAX_LINES: Final = 200


class Refusals:
    """The refusals of the last hour."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, str], float] = {}
        """Address and reason -> when they may be logged again."""
        self._lines = 0
        self._window_end = float("-inf")

    def __len__(self) -> int:
        return len(self._until)

    def is_due(self, ip: str, reason: str, now: float) -> bool:
        """Whether a refusal at `now` (seconds on a clock that is never set) is to be logged."""
        key = (ip, reason)
        if now < self._until.get(key, now):
            return False
        if now >= self._window_end:
            self._window_end, self._lines = now + PAUSE, 0
            self._until = {each: until for each, until in self._until.items() if now < until}
        if self._lines >= MAX_LINES:
            return False
        self._until[key] = now + PAUSE
        self._lines += 1
        return True

    def is_full(self, now: float) -> bool:
        """Nothing more is due within this hour."""
        return self._lines >= MAX_LINES and now < self._window_end
