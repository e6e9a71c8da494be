"""Warns when a limit of ours keeps new clients out.

Pure: takes refusals and the time, returns the warnings to log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pbs_fast.guards import Refusal

#: The guards that may refuse legitimate logins, because there are too many (guards/limits.py).
LIMITS: Final = ("max_rows", "max_new_per_minute")
#: Seconds between two warnings about the same limit.
PAUSE: Final = 600


class LimitAlarm:
    """At most one warning per limit within PAUSE seconds."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, float] = {}

    def saw(self, refused: Sequence[Refusal], now: float) -> list[str]:
        """Note refusals at `now` (seconds on a clock that is never set). Returns the warnings that are due."""
        warnings = []
        for refusal in refused:
            guard = refusal.guard
            if guard in LIMITS and now >= self._quiet_until.get(guard, now):
                self._quiet_until[guard] = now + PAUSE
                warnings.append(
                    f"the limit guards.{guard} is reached: {refusal.ip} and other new addresses get no grant; "
                    "raise it if these logins are legitimate"
                )
        return warnings
