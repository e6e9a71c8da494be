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
from pbs_fast.tables.served.rows import END
from pbs_fast.tables.served.table import Reply, ServedTable
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


class Login(NamedTuple):
    """What is known of a row's user. Most rows are the ledger's as they are, until somebody asks: each login makes a
    row, and one in a thousand is asked for while it is new."""

    end: int
    ip: str
    user: str | None
    since: int
    """When the user logged in, in seconds since the epoch; of a row that an open session keeps, when we heard of it."""
    others: tuple[tuple[str, int], ...]
    """Users who logged in from there before, the newest first, and when."""


class PolicyTable(ServedTable[Grant | Login]):
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
        self._back = 0
        """From the end of a login's row to when that was, in seconds; of all rows that are a Grant."""
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
        ip, row = address, self._live(address)
        if row is None and (spelled := canonical(address)) is not None:
            ip, row = spelled, self._live(spelled)
        return None if row is None else self._login(ip, row)

    def _login(self, ip: str, row: Grant | Login) -> Login:
        if isinstance(row, Login):
            return row
        return Login(row.expires, ip, row.user, row.expires + self._back, ())

    def _remember(self, instance: str, login: Login) -> None:
        self._accepted[instance] = login
        if len(self._accepted) > _MESSAGES:
            del self._accepted[next(iter(self._accepted))]

    def _made(self, grants: Mapping[str, Grant]) -> Mapping[str, Grant | Login]:
        now = int(self._options.clock())
        # The row of a login ends one grace after it; one that ends later is kept by an open session or by hand. The
        # clocks are asked once for all rows of a change.
        back = self._options.wall(0) - self._options.grace
        rows = self._rows.exact
        if back != self._back:  # the clock was set: what was so far came by the old one
            rows.update({ip: self._login(ip, row) for ip, row in rows.items()})
            self._back = back
        if self._bits is not None:  # a row serves other addresses too, so it names its own
            return {ip: self._newer(ip, grant, rows.get(ip), back, now) for ip, grant in grants.items()}
        if rows.keys().isdisjoint(grants) and max(map(END, grants.values()), default=0) + back <= now:
            return grants  # a burst makes many, and all are new
        made: dict[str, Grant | Login] = {}
        for ip, grant in grants.items():
            row = rows.get(ip)
            alike = row is None or (type(row) is Grant and row.user in (None, grant.user))
            plain = alike and grant.expires + back <= now
            made[ip] = grant if plain else self._newer(ip, grant, row, back, now)
        return made

    def _newer(self, ip: str, grant: Grant, row: Grant | Login | None, back: int, now: int) -> Login:
        """The row of a grant, which comes after `row`."""
        user, since = grant.user, grant.expires + back
        before = None if row is None else self._login(ip, row)
        if since > now:
            since = before.since if before is not None and before.user == user else now
        others: tuple[tuple[str, int], ...] = ()
        if before is not None:
            others = before.others
            if before.user is not None and before.user != user:
                others = ((before.user, before.since), *others)
            if others:
                others = tuple(each for each in others if each[0] != user and each[1] > now - TOGETHER)[:_OTHERS]
        return Login(grant.expires, ip, user, since, others)

    def _shown(self, row: Grant | Login) -> Row:
        return Row("OK", row.user, None)
