"""Standing notices: what an administrator should act on, for as long as it lasts.

Pure data, for the log, systemd's state line and `status`. The daemon's loop owns the list; the daemon's own codes
and the logs that it follows are keys, so forged lines add none; of logins and addresses over a cap there are a few.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

#: Notices kept: a bound in case that a pattern in `watchlog` fits very many logs. The newest are left out.
MAX_NOTICES: Final = 256
#: Characters of a text that are kept.
LONGEST: Final = 1_000

Code = Literal[
    "cap",
    "drift",
    "hub_down",
    "log_behind",
    "log_missing",
    "log_stale",
    "logger_lost",
    "manual_damaged",
    "node_silent",
    "not_understood",
    "refused_entries",
    "reload_failed",
    "table_fails",
]


class Notice(NamedTuple):
    """One of them."""

    code: Code
    text: str
    """One printable line: what, where, what to do."""
    since: float
    """When it began, in seconds since the epoch."""


class Notices:
    """One notice for each code and source, in the order in which they began."""

    def __init__(self) -> None:
        self._standing: dict[tuple[Code, str], Notice] = {}

    def __len__(self) -> int:
        return len(self._standing)

    def set(self, code: Code, source: str, text: str, now: float) -> bool:
        """It holds from `now` (seconds since the epoch) on, or still holds, then with this text; whether it is new."""
        known = self._standing.get((code, source))
        if known is None and len(self._standing) >= MAX_NOTICES:
            return False
        self._standing[code, source] = Notice(code, text[:LONGEST], now if known is None else known.since)
        return known is None

    def clear(self, code: Code, source: str) -> bool:
        """It holds no more; whether it did."""
        return self._standing.pop((code, source), None) is not None

    def drop(self, source: str) -> None:
        """Its source is gone."""
        for key in [key for key in self._standing if key[1] == source]:
            del self._standing[key]

    def sources(self, code: Code) -> Iterable[str]:
        """The sources for which this notice holds."""
        return [source for each, source in self._standing if each == code]

    def list(self) -> list[Notice]:
        """All of them, the oldest first."""
        return list(self._standing.values())
