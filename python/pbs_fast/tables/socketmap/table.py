"""`socketmap:`, answered from memory: no file, no restarts, each row's end exact to the moment of the look-up.

Invariants, besides those of `tables/served/table.py`
- TEMP (the MTA's temporary refusal) is the answer for unknown keys only before the first `rebuild`, while the log is
  still being read. After that it is NOTFOUND.
- Until the daemon listens Postfix answers 451.
- With `prefix6=N` an IPv6 row is valid for its whole network of N bits, for hosts that change their address (RFC 8981).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pbs_fast.events import Grant
from pbs_fast.serving.netstring import Decoder, encode
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.served import endpoint
from pbs_fast.tables.served.table import Reply, ServedTable
from pbs_fast.tables.value import Template
from pbs_fast.util.addresses import canonical

NOT_FOUND = b"NOTFOUND "
UNKNOWN = b"TEMP the log is still being read"
OTHER_MAP = b"PERM there is no map of this name"

#: The longest request in bytes: Postfix sends at most 10 000, with the map's name (dict_sockmap.c).
LONGEST_REQUEST = 10_000


class Answer(NamedTuple):
    """A row."""

    end: int
    value: bytes


class SocketmapTable(ServedTable[Answer]):
    """Rows in memory, served by a thread."""

    def __init__(self, spec: TableSpec, options: TableOptions) -> None:
        """Listen and answer. Raises UsageError for a bad endpoint or option, TableError if it cannot listen."""
        self._template = Template(options.value)
        self._asked = endpoint.parse(spec).map.encode()
        super().__init__(spec, options, ("ok", "notfound", "temp", "perm"), private=self._template.names_users)

    def _decoder(self) -> Decoder:
        return Decoder(LONGEST_REQUEST)

    def _reply(self, request: bytes) -> Reply:
        """The reply to `MAP KEY`."""
        name, _, raw = request.partition(b" ")
        if name != self._asked:
            return Reply("perm", encode(OTHER_MAP))
        known = self._known  # read before the rows: NOTFOUND then refers to the rebuilt ones
        row = self._live(raw.decode("latin-1")) or self._live(_canonical(raw))
        if row is not None:
            return Reply("ok", encode(b"OK " + row.value))
        return Reply("notfound", encode(NOT_FOUND)) if known else Reply("temp", encode(UNKNOWN))

    def _made(self, grants: Mapping[str, Grant]) -> Mapping[str, Answer]:
        render, wall = self._template.render, self._options.wall
        return {ip: Answer(grant.expires, render(grant, wall)) for ip, grant in grants.items()}

    def _shown(self, row: Answer) -> Row | None:
        return self._template.parse(row.value)


def _canonical(raw: bytes) -> str:
    """The address of a key; "" for a name. Sendmail's popauth asks for `pop:ipv6:2001:db8:0:0:0:0:0:1`."""
    text = raw.decode("latin-1").lower().removeprefix("pop:").removeprefix("ipv6:")
    return canonical(text) or ""
