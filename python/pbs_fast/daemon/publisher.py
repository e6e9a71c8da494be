"""All tables of a daemon: each takes every change, and each fails and recovers by itself.

Knows no logs and no expiry. Imports events and tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from pbs_fast.control import replies, why_reply
from pbs_fast.daemon.left_tables import LeftTables
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import Row, Table
from pbs_fast.tables.protocol import AnsweringTable, CountingTable
from pbs_fast.tables.queue import Pending
from pbs_fast.util.text import rfc3339


class Publisher:
    """The tables with what each has still to take, and those that an earlier configuration left."""

    def __init__(
        self, tables: Sequence[Table], left: LeftTables | None = None, value: Callable[[Grant], str] = lambda _: ""
    ) -> None:
        """`value` is the value of a row in all tables."""
        self._value = value
        self._pending = [Pending(table) for table in tables]
        self._left = left

    @property
    def writes(self) -> bool:
        """False in a dry run, which has no tables."""
        return bool(self._pending)

    @property
    def specs(self) -> list[str]:
        """The tables as they stand in the MTA's configuration."""
        return [each.table.spec for each in self._pending]

    @property
    def files(self) -> list[Path]:
        """The files of those tables that have one."""
        return [file for each in self._pending if (file := each.table.file) is not None]

    @property
    def failing(self) -> list[str]:
        """The line of each failure that lasts."""
        return [each.failing for each in self._pending if each.failing is not None]

    @property
    def asked(self) -> dict[str, int]:
        """Of the tables that are asked for each recipient: how many so far."""
        return {each.table.spec: each.table.asked for each in self._pending if isinstance(each.table, CountingTable)}

    def status(self, rows: int, rate: Callable[[str, int], float]) -> list[replies.Table]:
        """How each table is; `rows` is how many it should hold, `rate` how fast a count of `asked` grows."""
        return [_status(each, rows, rate) for each in self._pending]

    @property
    def pending(self) -> Sequence[Pending]:
        """Each table with what it has still to take."""
        return self._pending

    def answers(self, ip: str, grant: Grant | None) -> list[why_reply.TableAnswer]:
        """What each table says of an address, whose row is `grant`."""
        value = None if grant is None else self._value(grant)
        return [
            {"spec": each.table.spec, "value": value, "waiting": ip in each, "failing": each.failing}
            for each in self._pending
        ]

    def unwritten(self, ips: Collection[str]) -> list[why_reply.TableAnswer]:
        """The tables that fail while changes of some of these addresses wait."""
        return [
            {"spec": each.table.spec, "value": None, "waiting": True, "failing": each.failing}
            for each in self._pending
            if each.failing is not None and any(ip in each for ip in ips)
        ]

    @property
    def due(self) -> float:
        """When `flush` is worth calling next, on time.monotonic's clock; infinite without tables."""
        left = float("inf") if self._left is None else self._left.due
        return min((left, *(each.due for each in self._pending)))

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
        if self._left is not None:
            self._left.flush()

    def close(self) -> bool:
        """Write what waits and let the tables go, their rows staying; whether all was written."""
        written = [each.close() for each in self._pending]
        return all(written)


def _status(pending: Pending, rows: int, rate: Callable[[str, int], float]) -> replies.Table:
    table = pending.table
    per_s = rate(table.spec, table.asked) if isinstance(table, CountingTable) else None
    served: replies.Served | None = None
    if isinstance(table, AnsweringTable):
        served = {"clients": table.clients, "requests": table.requests, "recipients_per_s": per_s}
    failing_s = pending.failing_s
    return {
        "spec": table.spec,
        "rows": rows,
        "waiting": len(pending),
        "last_write": None if pending.last_write is None else rfc3339(pending.last_write),
        "failing": pending.failing,
        "failing_s": None if failing_s is None else round(failing_s, 1),
        "served": served,
    }
