"""The base of tables that the daemon answers itself: their socket, rows and counters; the thread that answers.

Invariants
- A row that has ended by the ledger's clock is never a permission, even before it is removed.
- Nothing is saved: after a restart the log is read again.
- A request that cannot be answered is not answered by a guess: its connection is closed, and the MTA takes what it is
  set to do without us.

The server's thread only reads rows: they are replaced as a whole, or change by single operations on dicts.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple

from pbs_fast.events import Delta, Grant
from pbs_fast.metrics.families import ERROR, LOOKUP_BOUNDS
from pbs_fast.metrics.snapshot import Histogram
from pbs_fast.serving.framing import Decoder, FramingError
from pbs_fast.serving.port import Client, Port
from pbs_fast.serving.server import Server
from pbs_fast.tables.keys import strange
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.served import endpoint
from pbs_fast.tables.served.rows import END, R, Rows, network_bits

log = logging.getLogger(__name__)


class Reply(NamedTuple):
    """What goes back to the MTA."""

    answer: str
    """The name by which it is counted, of those given to `ServedTable`."""
    data: bytes
    """Framed."""


class ServedTable(ABC, Generic[R]):
    """Rows in memory, served by a thread. Its subclass speaks the protocol."""

    file = None
    window = 0.0

    def __init__(self, spec: TableSpec, options: TableOptions, answers: Iterable[str], *, private: bool) -> None:
        """Listen and answer. `private`: by default only the MTA's group may connect to a Unix socket.

        Raises UsageError for a bad endpoint or option, TableError if it cannot listen.
        """
        self.spec = str(spec)
        self.refused = 0
        self.answers = dict.fromkeys((*answers, ERROR), 0)
        self.seconds = Histogram(LOOKUP_BOUNDS)
        self._options = options
        self._private = private
        self._endpoint = endpoint.parse(spec)
        self._bits = network_bits(spec)
        self._rows: Rows[R] = Rows(self._bits)
        self._known = False
        """The log was read: an address without row has none."""
        self._bound: int | None = None
        path = None if options.listener is not None else self._endpoint.path
        self._lock = None if path is None else TableLock(path)
        try:
            self._server = self._serve()
        except BaseException:
            if self._lock is not None:
                self._lock.close()
            raise

    @property
    def clients(self) -> int:
        """Those that are connected."""
        return self._server.clients

    @property
    def requests(self) -> int:
        """Look-ups since the table was opened."""
        return sum(self.answers.values())

    def load(self) -> dict[str, Row]:
        """The rows, as the MTA would be told of them."""
        found = ((ip, self._shown(row)) for ip, row in self._rows.exact.items())
        return {ip: row for ip, row in found if row is not None}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        """Hold exactly these; from now on an address without row has none."""
        fresh: Rows[R] = Rows(self._bits)
        self._put(fresh, rows)
        self._rows = fresh
        self._known = True

    def apply(self, delta: Delta) -> None:
        """Publish the changes."""
        for ip in delta.removed:
            self._rows.remove(ip)
        self._put(self._rows, delta.set)

    def heartbeat(self) -> None:
        """Set the heartbeat of the table lock, and check."""
        if self._lock is not None:
            self._lock.touch()
        self.check()

    def check(self) -> None:
        """Listen again if the socket was removed or replaced."""
        if self._server.alive and self._in_place():
            return
        log.warning("%s: the socket was removed or replaced, or its server ended; listening again", self.spec)
        self._server.close()
        self._server = self._serve()

    def close(self) -> None:
        """Answer no more. A socket of systemd's goes on listening."""
        path = self._endpoint.path
        if self._options.listener is not None:
            self._options.listener.close()
        elif path is not None and self._in_place():
            path.unlink()
        self._server.close()
        if self._lock is not None:
            self._lock.close()

    def answer(self, request: bytes) -> bytes | None:
        """The framed reply to a request, or None for later; called in the server's thread. Raises FramingError to end
        the connection."""
        begun = time.perf_counter()
        try:
            reply = self._reply(request)
        except FramingError:
            raise
        except Exception as error:
            if not self.answers[ERROR]:
                log.error(  # noqa: TRY400 - one line
                    "%s: a request was not answered, its connection closed, and so are more like it: %s: %s (this is a "
                    "bug; please report it)",
                    *(self.spec, type(error).__name__, error),
                )
            self.answers[ERROR] += 1
            raise FramingError from error
        if reply is None:
            return None
        self.answers[reply.answer] += 1
        self.seconds.observe(time.perf_counter() - begun)
        return reply.data

    @abstractmethod
    def _decoder(self) -> Decoder:
        """A decoder of requests, for one client."""

    @abstractmethod
    def _reply(self, request: bytes) -> Reply | None:
        """What to answer; None for later. Raises FramingError for what is no request."""

    @abstractmethod
    def _made(self, grants: Mapping[str, Grant]) -> Mapping[str, R]:
        """The rows of these grants, before which `self._rows` are in force."""

    @abstractmethod
    def _shown(self, row: R) -> Row | None:
        """The row as `load` has it."""

    def _live(self, ip: str) -> R | None:
        """The row of this address that ends last, if it has not ended."""
        row = self._rows.find(ip)
        return None if row is None or END(row) <= self._options.now() else row

    def _put(self, rows: Rows[R], grants: Mapping[str, Grant]) -> None:
        """Set the rows of grants in `rows`."""
        refused = strange(
            grants if rows.exact.keys().isdisjoint(grants) else [ip for ip in grants if ip not in rows.exact]
        )
        for ip in refused:
            self.refused += 1
            log.error("%s: rejected the key %.80r, which is not one canonical address; please report it", self.spec, ip)
        if refused:
            grants = {ip: grant for ip, grant in grants.items() if ip not in refused}
        rows.put(self._made(grants))

    def _serve(self) -> Server:
        given = self._options.listener
        if given is not None:
            # A duplicate, so that it can be served again should the server's thread end.
            listener = given.dup()
            listener.setblocking(False)
        else:
            listener = self._endpoint.listen(
                0o660 if self._private else 0o666, self._options.group if self._private else ""
            )
            self._bound = None if self._endpoint.path is None else self._endpoint.path.stat().st_ino
        port = Port(listener, self._decoder, self._answer)
        server = Server([port], name=self.spec.partition(":")[0])
        server.start()
        return server

    def _answer(self, client: Client, request: bytes) -> bytes | None:  # noqa: ARG002 - for those that answer later
        """The reply to a client; None if it is delivered later."""
        return self.answer(request)

    def _in_place(self) -> bool:
        """Whether the path still leads to our socket."""
        path = self._endpoint.path
        if path is None or self._options.listener is not None:
            return True
        try:
            return path.stat().st_ino == self._bound
        except OSError:
            return False
