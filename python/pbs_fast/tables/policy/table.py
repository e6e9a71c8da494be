"""`policy:`: Postfix asks for each relayed recipient, and at DATA; answered from the rows in memory, and counted.

Two ways, one code (docs/MTA-POSTFIX.md). In front of a table of files it only caps: what it does not decide, DUNNO
leaves to the table. Alone (`?alone`) it is the table, and DUNNO leaves it to reject_unauth_destination.

Invariants, besides those of `tables/served/table.py`
- OK is for a client with a live row only; somebody who authenticated is never ours.
- Before the first `rebuild` a client without row gets DUNNO; where we are alone it waits for the log, PATIENCE at
  most since our start, and then gets DEFER: never a permanent refusal.
- Each accepted recipient was counted once, in the thread that answers.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from pbs_fast.errors import UsageError
from pbs_fast.events import Grant
from pbs_fast.serving.policy import Decoder, Request, encode, parse
from pbs_fast.serving.port import Client
from pbs_fast.serving.server import Server
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.served.table import MakeRow, Reply, ServedTable
from pbs_fast.tables.value import as_word
from pbs_fast.util.addresses import canonical

DUNNO = Reply("dunno", encode("DUNNO"))
OK = Reply("ok", encode("OK"))
#: 4.3.0 is an undefined status of the mail system (RFC 3463, 3.4): the fault is ours, not the client's.
UNKNOWN = Reply("defer", encode("DEFER 4.3.0 the log is still being read"))

#: Seconds that a start may take before a client of ours is deferred. Postfix waits for 5, as our guide has it, and most
#: logs are replayed sooner; so a restart is a wait.
PATIENCE = 3.0
#: Seconds for which a user counts among those behind an address.
TOGETHER = 3_600
#: Users remembered behind one address, besides the newest.
_OTHERS = 50
#: Messages whose recipients may be under way at a time; the oldest is forgotten first, and would count as new.
_MESSAGES = 4_096
#: Characters of a user in Postfix's log; RFC 5321 allows 254 for an address.
_LONGEST_USER = 254

_new_tuple = tuple.__new__


class Login(NamedTuple):
    """A row."""

    end: int
    ip: str
    user: str | None
    since: int
    """When the user logged in, in seconds since the epoch; of a row that an open session keeps, when we heard of it."""
    others: tuple[tuple[str, int], ...]
    """Users who logged in from there before, the newest first, and when."""


class PolicyTable(ServedTable[Login]):
    """Rows in memory, asked for each recipient."""

    def __init__(self, spec: TableSpec, options: TableOptions) -> None:
        """Listen and answer. Raises UsageError for a bad endpoint or option, TableError if it cannot listen."""
        self._alone = spec.flag("alone")
        if self._alone and options.caps.holds:
            raise UsageError(
                f"table {spec}: caps.action = hold needs a table behind the policy service, because HOLD decides "
                'nothing (access(5)); set caps.action = "defer", or add a table and leave alone out'
            )
        self.asked = self.recipients = self.messages = 0
        self._waiting: deque[tuple[int, bytes]] = deque()
        """Clients, by their numbers, with their requests that wait for the log to be read."""
        self._patient = self._alone
        """Whether requests may wait for it."""
        self._accepted: dict[str, Login] = {}
        """By instance, the messages that have an accepted recipient, and whose it is."""
        # The answers name users, and asking counts: that is for Postfix alone.
        super().__init__(spec, options, ("ok", "dunno", "defer", "hold", "info"), private=True)
        self._timer = threading.Timer(PATIENCE, self._release)
        self._timer.daemon = True
        if self._alone:
            self._timer.start()

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        """Hold exactly these; from now on an address without row has none."""
        super().rebuild(rows)
        self._release()

    def close(self) -> None:
        """Answer no more. A socket of systemd's goes on listening."""
        self._timer.cancel()
        super().close()

    def _serve(self) -> Server:
        self._waiting.clear()  # clients of a server that ended
        return super()._serve()

    def _answer(self, client: Client, request: bytes) -> bytes | None:
        data = super()._answer(client, request)
        if data is None:
            self._waiting.append((client.number, request))
            if not self._patient:  # since we looked
                self._release()
        return data

    def _release(self) -> None:
        """Answer what waits, and let nothing wait from now on."""
        self._patient = False
        with suppress(IndexError):
            while True:
                number, request = self._waiting.popleft()
                self._server.deliver(number, partial(self._answer_now, request))
        self._server.send_delivered()

    def _answer_now(self, request: bytes) -> bytes:
        return self.answer(request) or b""  # which is an answer, because nothing may wait any more

    def _decoder(self) -> Decoder:
        return Decoder()

    def _reply(self, request: bytes) -> Reply | None:
        asked = parse(request)
        if asked.protocol_state == "RCPT":
            reply = DUNNO if asked.sasl_username else self._recipient(asked)
            self.asked += reply is not None
            return reply
        if asked.protocol_state == "DATA" and not asked.sasl_username:
            return self._data(asked)
        return DUNNO

    def _recipient(self, asked: Request) -> Reply | None:
        patient, known = self._patient, self._known  # read before the rows: DUNNO then refers to the rebuilt ones
        login = self._find(asked.client_address)
        if login is None:
            unread = self._alone and not known
            return DUNNO if not unread else None if patient else UNKNOWN
        new = asked.instance not in self._accepted
        verdict = self._options.caps.count(
            *(login.user, login.ip, asked.instance, asked.queue_id, self._options.now()), new_message=new
        )
        # With `alone` nobody could carry a hold out: a reload may have brought it.
        if verdict.kind == "over" or (verdict.kind == "hold" and self._alone):
            return Reply("defer", encode(f"DEFER 4.7.1 {verdict.text}"))
        self.recipients += 1
        if new:
            self.messages += 1
            self._remember(asked.instance, login)
        return Reply("hold", encode(f"HOLD {verdict.text}")) if verdict.kind == "hold" else OK

    def _data(self, asked: Request) -> Reply:
        # The login that its recipients were counted for, even if the row has ended or changed since.
        counted = self._accepted.get(asked.instance)
        login = counted or self._find(asked.client_address)
        if login is None:
            return DUNNO
        now = self._options.clock()
        if counted is not None:
            self._options.caps.queued(login.user, login.ip, asked.instance, asked.queue_id, self._options.now())
        more = sum(at > now - TOGETHER for _, at in login.others)
        since = time.strftime("%H:%M:%S", time.localtime(login.since))
        return Reply(
            "info",
            encode(
                f"INFO pbs-fast: login={as_word(login.user, _LONGEST_USER)}{f' ({more} more)' * bool(more)} "
                f"since={since}"
            ),
        )

    def _find(self, address: str) -> Login | None:
        return self._live(address) or self._live(canonical(address) or "")

    def _remember(self, instance: str, login: Login) -> None:
        self._accepted[instance] = login
        if len(self._accepted) > _MESSAGES:
            del self._accepted[next(iter(self._accepted))]

    def _maker(self) -> MakeRow[Login]:
        now = int(self._options.clock())
        # The row of a login ends one grace after it; one that ends later is kept by an open session or by hand. The
        # clocks are asked once for all rows of a change.
        back = self._options.wall(0) - self._options.grace

        def make(ip: str, grant: Grant, before: Login | None) -> Login:
            expires, user = grant.expires, grant.user
            since = expires + back
            if since > now:
                since = before.since if before is not None and before.user == user else now
            if before is None:
                return _new_tuple(Login, (expires, ip, user, since, ()))  # a burst makes many: half as long
            others = before.others
            if before.user not in (None, user):
                others = ((before.user, before.since), *others)
            if others:
                others = tuple(each for each in others if each[0] != user and each[1] > now - TOGETHER)[:_OTHERS]
            return Login(expires, ip, user, since, others)

        return make

    def _shown(self, row: Login) -> Row:
        return Row("OK", row.user, None)
