"""Says that a limit keeps new clients out: they are refused by our doing, which the administrator must learn.

Pure: told what was refused and the time, it answers with the warnings to write. Imports guards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pbs_fast.guards import Refusal

#: The guards that refuse good logins because of their number (guards/limits.py).
LIMITS: Final = ("max_rows", "max_new_per_minute")
#: Seconds until the same limit is worth another warning.
PAUSE: Final = 600


class LimitAlarm:
    """At most one warning a limit and PAUSE."""

    def __init__(self) -> None:
        self._quiet_until: dict[str, float] = {}

    def saw(self, refused: Sequence[Refusal], now: float) -> list[str]:
        """Note refusals at `now` (seconds on a clock that is not stepped); the warnings that are due."""
        warnings = []
        for refusal in refused:
            guard = refusal.guard
            if guard in LIMITS and now >= self._quiet_until.get(guard, now):
                self._quiet_until[guard] = now + PAUSE
                warnings.append(
                    f"guards.{guard} is reached: {refusal.ip} and other new addresses get no grant; "
                    "raise it if these logins are good"
                )
        return warnings
