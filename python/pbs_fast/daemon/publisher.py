"""All tables of a daemon: each takes every change, and each fails and recovers by itself.

Knows no logs and no expiry. Imports events and tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pbs_fast.events import Delta, Grant
from pbs_fast.tables import Row, Table
from pbs_fast.tables.queue import Pending


class Publisher:
    """The tables with what each has still to take."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._pending = [Pending(table) for table in tables]

    @property
    def specs(self) -> list[str]:
        """The tables as they stand in the MTA's configuration."""
        return [each.table.spec for each in self._pending]

    @property
    def failing(self) -> list[str]:
        """The line of each failure that lasts."""
        return [each.failing for each in self._pending if each.failing is not None]

    @property
    def due(self) -> float:
        """When `flush` is worth calling next, on time.monotonic's clock; infinite without tables."""
        return min((each.due for each in self._pending), default=float("inf"))

    def found(self) -> dict[str, Row]:
        """The rows that stand in any of the tables. Raises TableError when one holds what is not ours."""
        rows: dict[str, Row] = {}
        for each in self._pending:
            rows |= each.table.load()
        return rows

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        """Make each table hold exactly these rows, whatever waited. Raises TableError, but not for a full disk."""
        for each in self._pending:
            each.rebuild(rows)

    def add(self, delta: Delta) -> None:
        """Take changes up; they are written by `flush`."""
        if delta:
            for each in self._pending:
                each.add(delta)

    def flush(self) -> None:
        """Write what is due. Raises nothing: what a table cannot take now waits."""
        for each in self._pending:
            each.flush()

    def close(self) -> bool:
        """Write what waits and let the tables go, their rows staying; whether all was written."""
        written = [each.close() for each in self._pending]
        return all(written)
