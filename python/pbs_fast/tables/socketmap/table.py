"""`socketmap:`, answered from memory: no file, no restarts, each row's end exact to the moment of the look-up.

Invariants
- A row that has ended by the ledger's clock is never OK, even before it is removed.
- TEMP (the MTA's temporary refusal) is the answer for unknown keys only before the first `rebuild`, while the log is
  still being read. After that it is NOTFOUND.
- Nothing is saved: after a restart the log is read again, and until the daemon listens Postfix answers 451.
- With `prefix6=N` an IPv6 row is valid for its whole network of N bits, for hosts that change their address (RFC 8981).

The server's thread only reads: the rows are replaced as a whole, or change by single operations on dicts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from pbs_fast.errors import UsageError
from pbs_fast.events import Delta, Grant
from pbs_fast.metrics.families import ANSWERS, LOOKUP_BOUNDS
from pbs_fast.metrics.snapshot import Histogram
from pbs_fast.serving.netstring import Decoder, encode
from pbs_fast.serving.server import Port, Server
from pbs_fast.tables.keys import is_canonical
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.socketmap import endpoint
from pbs_fast.tables.value import Template
from pbs_fast.util.addresses import canonical
from pbs_fast.util.addresses import parse as parse_address

log = logging.getLogger(__name__)

NOT_FOUND = b"NOTFOUND "
UNKNOWN = b"TEMP the log is still being read"
OTHER_MAP = b"PERM there is no map of this name"

#: The longest request in bytes: Postfix sends at most 10 000, with the map's name (dict_sockmap.c).
LONGEST_REQUEST = 10_000

#: A wider network than /56 is a whole site's (RFC 6177), so none is granted.
WIDEST, NARROWEST = 56, 64


class _Rows:
    """The rows by address and, with `bits`, by IPv6 network."""

    def __init__(self, bits: int | None) -> None:
        self._drop = None if bits is None else 128 - bits
        self.exact: dict[str, tuple[int, bytes]] = {}
        """Address -> its end and the answer."""
        self._networks: dict[int, dict[str, tuple[int, bytes]]] = {}

    def put(self, ip: str, row: tuple[int, bytes]) -> None:
        self.exact[ip] = row
        if (network := self._network(ip)) is not None:
            # The dict is replaced, so that the server's thread never iterates over one that changes.
            self._networks[network] = {**self._networks.get(network, {}), ip: row}

    def remove(self, ip: str) -> None:
        self.exact.pop(ip, None)
        if (network := self._network(ip)) is not None and network in self._networks:
            left = {other: row for other, row in self._networks[network].items() if other != ip}
            if left:
                self._networks[network] = left
            else:
                del self._networks[network]

    def find(self, ip: str) -> tuple[int, bytes] | None:
        """The row for this address that ends last."""
        found = self.exact.get(ip)
        if self._drop is None or (network := self._network(ip)) is None:
            return found
        return max(self._networks.get(network, {}).values(), default=found)

    def _network(self, ip: str) -> int | None:
        if self._drop is None or ":" not in ip or (address := parse_address(ip)) is None or address[0] != 128:
            return None
        return address[1] >> self._drop


class SocketmapTable:
    """Rows in memory, served by a thread."""

    file = None
    window = 0.0

    def __init__(self, spec: TableSpec, options: TableOptions) -> None:
        """Listen and answer. Raises UsageError for a bad endpoint or option, TableError if it cannot listen."""
        self.spec = str(spec)
        self.refused = 0
        self.answers = dict.fromkeys(ANSWERS, 0)
        self.seconds = Histogram(LOOKUP_BOUNDS)
        self._options = options
        self._template = Template(options.value)
        self._endpoint = endpoint.parse(spec)
        self._bits = _bits(spec)
        self._asked = self._endpoint.map.encode()
        self._rows = _Rows(self._bits)
        self._missing = UNKNOWN
        path = self._endpoint.path
        self._lock = None if path is None else TableLock(path)
        try:
            self._server = self._serve()
        except BaseException:
            if self._lock is not None:
                self._lock.close()
            raise

    @property
    def clients(self) -> int:
        return self._server.clients

    @property
    def requests(self) -> int:
        return sum(self.answers.values())

    def load(self) -> dict[str, Row]:
        found = ((ip, self._template.parse(answer[3:])) for ip, (_, answer) in self._rows.exact.items())
        return {ip: row for ip, row in found if row is not None}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        fresh = _Rows(self._bits)
        for ip, grant in rows.items():
            self._put(fresh, ip, grant)
        self._rows = fresh
        self._missing = NOT_FOUND

    def apply(self, delta: Delta) -> None:
        for ip in delta.removed:
            self._rows.remove(ip)
        for ip, grant in delta.set.items():
            self._put(self._rows, ip, grant)

    def heartbeat(self) -> None:
        if self._lock is not None:
            self._lock.touch()
        self.check()

    def check(self) -> None:
        if self._server.alive and self._in_place():
            return
        log.warning("%s: the socket was removed or replaced, or its server ended; listening again", self.spec)
        self._server.close()
        self._server = self._serve()

    def close(self) -> None:
        path = self._endpoint.path
        if path is not None and self._in_place():
            path.unlink()
        self._server.close()
        if self._lock is not None:
            self._lock.close()

    def answer(self, request: bytes) -> bytes:
        """The reply to `MAP KEY`; called in the server's thread."""
        begun = time.perf_counter()
        reply = self._find(request)
        self.answers[reply.partition(b" ")[0].decode().lower()] += 1
        self.seconds.observe(time.perf_counter() - begun)
        return reply

    def _find(self, request: bytes) -> bytes:
        name, _, raw = request.partition(b" ")
        if name != self._asked:
            return OTHER_MAP
        missing = self._missing  # read before the rows: NOTFOUND then refers to the rebuilt ones
        row = self._rows.find(raw.decode("latin-1")) or self._rows.find(_canonical(raw))
        if row is None or row[0] <= self._options.now():
            return missing
        return row[1]

    def _put(self, rows: _Rows, ip: str, grant: Grant) -> None:
        if ip in rows.exact or is_canonical(ip):
            rows.put(ip, (grant.expires, b"OK " + self._template.render(grant, self._options.wall)))
            return
        self.refused += 1
        log.error("%s: rejected the key %.80r, which is not one canonical address; please report it", self.spec, ip)

    def _serve(self) -> Server:
        named = self._template.names_users
        listener = self._endpoint.listen(0o660 if named else 0o666, self._options.group if named else "")
        self._bound = None if self._endpoint.path is None else self._endpoint.path.stat().st_ino
        port = Port(listener, lambda: Decoder(LONGEST_REQUEST), lambda _, request: encode(self.answer(request)))
        server = Server([port], name="socketmap")
        server.start()
        return server

    def _in_place(self) -> bool:
        """Whether the path still leads to our socket."""
        path = self._endpoint.path
        try:
            return path is None or path.stat().st_ino == self._bound
        except OSError:
            return False


def _bits(spec: TableSpec) -> int | None:
    if "prefix6" not in dict(spec.options):
        return None
    text = spec.option("prefix6")
    if not (text.isascii() and text.isdigit() and WIDEST <= int(text) <= NARROWEST):
        raise UsageError(f"table {spec}: prefix6={text}: needs a number from {WIDEST} to {NARROWEST}")
    return int(text)


def _canonical(raw: bytes) -> str:
    """The address of a key; "" for a name. Sendmail's popauth asks for `pop:ipv6:2001:db8:0:0:0:0:0:1`."""
    text = raw.decode("latin-1").lower().removeprefix("pop:").removeprefix("ipv6:")
    return canonical(text) or ""
