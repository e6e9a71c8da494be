"""`null:`, a table that holds its rows in memory only: for trying the daemon without touching anything."""

from __future__ import annotations

from collections.abc import Mapping

from pbs_fast.events import Delta, Grant
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.value import Template


class NullTable:
    """Rows that nobody reads."""

    file = None
    window = 0.0
    refused = 0

    def __init__(self, spec: TableSpec, options: TableOptions) -> None:
        self.spec = str(spec)
        self._template = Template(options.value)
        self._wall = options.wall
        self._rows: dict[str, Grant] = {}

    def load(self) -> dict[str, Row]:
        values = ((ip, self._template.render(grant, self._wall)) for ip, grant in self._rows.items())
        return {ip: row for ip, value in values if (row := self._template.parse(value)) is not None}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        self._rows = dict(rows)

    def apply(self, delta: Delta) -> None:
        self._rows.update(delta.set)
        for ip in delta.removed:
            self._rows.pop(ip, None)

    def check(self) -> None:
        pass

    def heartbeat(self) -> None:
        pass

    def close(self) -> None:
        pass
