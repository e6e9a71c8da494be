"""What commands may change in the running daemon: revoke, grant, undo, reload.

Each is an audit line with uid, pid and reason. The order of each change: the state file, then guards and ledger, then
the tables; so a kill at any moment leaves a denial in force, or was not answered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pbs_fast.control import replies
from pbs_fast.control.protocol import Grant, RequestError, Revoke, Undo
from pbs_fast.daemon.explain import spelled
from pbs_fast.daemon.manual import spoken, until_of
from pbs_fast.guards import LOCAL
from pbs_fast.ledger.manual import ManualDenial, ManualError, ManualGrant
from pbs_fast.log.records import event
from pbs_fast.util.addresses import parse, parse_network
from pbs_fast.util.text import fold_user, rfc3339

if TYPE_CHECKING:
    from pbs_fast.control.peers import Peer
    from pbs_fast.daemon.live import LiveState
    from pbs_fast.daemon.measures import Cause

log = logging.getLogger(__name__)

#: Rows that are looked at in one turn while those of a user or a network are searched: about 1 ms.
STEP = 5_000
#: Removed addresses that a reply names.
_NAMED = 100


class Changes:
    """Makes them, in the loop."""

    def __init__(self, live: LiveState, revoke: Callable[[Sequence[str], str, Cause], None]) -> None:
        """`revoke` removes rows from ledger and tables and their manual grants; its text is in the audit lines."""
        self._ledger, self._guards, self._publisher = live.ledger, live.guards, live.publisher
        self._manual, self._clock, self._revoke = live.manual, live.clock, revoke
        self._caps = live.caps

    def begin(self) -> None:
        """At a start, before the replay: what is in force from an earlier run."""
        granted: list[str] = []
        for grant, end in self._manual.grants():
            guard = self._guards.against(grant.ip, None, self._clock.wall())
            if guard:
                log.info(f"no manual grant of {grant.ip} any more: {_against(guard)}")
                granted.append(grant.ip)
            else:
                self._put(grant, end, spoken_again(grant))
        self._manual.forget(granted)

    def revoke(self, request: Revoke, peer: Peer) -> Iterator[replies.Revoked | None]:
        """Deny, then remove the rows, in parts. Raises RequestError."""
        by = spoken(peer.uid, peer.pid, request.reason)
        try:
            return self._deny(request, peer.uid, by, "manual")
        except ManualError as error:
            raise RequestError("busy", str(error)) from None

    def deny_over_cap(self, user: str, seconds: int, why: str) -> Iterator[replies.Revoked | None]:
        """The same for a login that is over a cap again and again; `why` is the reason that `why` and `status` show."""
        try:
            yield from self._deny(Revoke(user=user, for_s=seconds, reason=why), os.geteuid(), f"cap: {why}", "cap")
        except ManualError as error:
            log.warning(f"{user} is over a cap and is not revoked: {error}")

    def _deny(self, request: Revoke, uid: int, by: str, cause: Cause) -> Iterator[replies.Revoked | None]:
        """Raises ManualError."""
        made, until = until_of(self._clock, request.for_s or self._ledger.grace)
        state = self._manual.state.copy()
        denial = ManualDenial(request.kind, request.what, until, made, uid, request.reason)
        state.deny(denial)
        until = max(each.until for each in state.denials.values() if each[:2] == denial[:2])
        if request.ip is not None:
            state.forget([request.ip])
        unsaved = self._manual.save(state)
        self._guards.deny_manually(self._manual.denials())
        log.info(f"denied {request.what} until={spelled(until)} ({by})")
        if unsaved is not None:
            log.warning(f"{unsaved}; the denial of {request.what} ends with this daemon")
        return self._removed(request, by, cause, until, unsaved)

    def _removed(
        self, request: Revoke, by: str, cause: Cause, until: int, unsaved: str | None
    ) -> Iterator[replies.Revoked | None]:
        removed: list[str] = []
        for some in self._matching(request):
            if some:
                self._revoke(some, by, cause)
                removed += some
            yield None
        self._publisher.flush()
        reply: replies.Revoked = {
            "what": request.what,
            "kind": request.kind,
            "revoked": len(removed),
            "addresses": removed[:_NAMED],
            "until": rfc3339(until),
        }
        if request.user is not None and cause == "manual" and (sent := self._caps.sent_lately(request.user)):
            reply["messages"] = sent
        if unsaved is not None:
            reply["warning"] = f"{unsaved}; the denial ends with this daemon"
        yield reply

    def _matching(self, request: Revoke) -> Iterator[list[str]]:
        """The addresses with rows that are meant, part by part."""
        rows = self._ledger
        if request.ip is not None:
            yield [request.ip] if request.ip in rows else []
            return
        addresses = rows.addresses()
        for start in range(0, len(addresses), STEP):
            part = addresses[start : start + STEP]
            if request.user is not None:
                user = fold_user(request.user)
                named = ((ip, row.user) for ip in part if (row := rows.get(ip)) is not None)
                yield [ip for ip, name in named if name is not None and fold_user(name) == user]
            else:
                network = parse_network(request.network or "")
                yield [ip for ip in part if (found := parse(ip)) and network.holds(*found) and ip in rows]

    def grant(self, request: Grant, peer: Peer) -> replies.Granted:
        """Let an address relay, unless a guard refuses it."""
        if guard := self._guards.against(request.ip, None, self._clock.wall()):
            raise RequestError("refused", f"{request.ip}: {_against(guard)}", guard=guard)
        if request.ip not in self._ledger and len(self._ledger) >= self._guards.max_rows:
            raise RequestError("refused", "the table holds guards.max_rows rows", guard="max_rows")
        made, until = until_of(self._clock, request.for_s)
        grant = ManualGrant(request.ip, until, made, peer.uid, request.reason)
        state = self._manual.state.copy()
        try:
            state.grant(grant)
        except ManualError as error:
            raise RequestError("busy", str(error)) from None
        if (why := self._manual.try_save(state)) is not None:
            raise RequestError("internal", f"{why}; nothing was granted")
        self._put(grant, until + self._clock.shift(), spoken(peer.uid, peer.pid, request.reason))
        self._publisher.flush()
        row = self._ledger.get(request.ip)
        return {"ip": request.ip, "until": rfc3339(until if row is None else self._clock.to_wall(row.expires))}

    def undo(self, request: Undo, peer: Peer) -> replies.Undone:
        """End a denial or a grant."""
        state = self._manual.state.copy()
        denial, grant = state.undo(request.kind, request.what)
        if denial is None and grant is None:
            raise RequestError("unknown", f"there is no manual denial or grant of {request.what}")
        if (why := self._manual.try_save(state)) is not None:
            raise RequestError("internal", f"{why}; nothing was undone")
        by = spoken(peer.uid, peer.pid, request.reason)
        undone: list[replies.Undoable] = []
        if denial is not None:
            self._guards.deny_manually(self._manual.denials())
            log.info(f"denial of {request.what} undone ({by})")
            undone.append("denial")
        if grant is not None:
            row = self._ledger.get(grant.ip)
            if row is not None and row.why == "manual":
                self._revoke([grant.ip], f"undone; {by}", "manual")
            else:
                self._publisher.add(self._ledger.ungrant(grant.ip, self._clock.now()))
            self._publisher.flush()
            undone.append("grant")
        return {"what": request.what, "kind": request.kind, "undone": undone}

    def _put(self, grant: ManualGrant, end: int, by: str) -> None:
        delta = self._ledger.grant(grant.ip, end)
        self._publisher.add(delta)
        if delta:
            said = f"added {grant.ip} to DB user=- format=- host=- until={spelled(grant.until)} ({by})"
            log.info(said, extra=event("granted", [*delta.set.items()], by))
        else:
            log.info(f"manual grant of {grant.ip} until={spelled(grant.until)}: a login gave it more ({by})")


def spoken_again(grant: ManualGrant) -> str:
    """Who had granted it in an earlier run."""
    return spoken(grant.uid, 0, grant.reason).replace(" pid=0", " from an earlier run")


def _against(guard: str) -> str:
    return "it may relay anyway, as an address of mynetworks" if guard == LOCAL else f"the guard {guard} refuses it"
