"""What commands may change in the running daemon: revoke, grant, undo, reload.

Each is an audit line with uid, pid and reason. The order of each change: the state file, then guards and ledger, then
the tables; so a kill at any moment leaves a denial in force, or was not answered.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from math import floor
from typing import TYPE_CHECKING

from pbs_fast.control import replies
from pbs_fast.control.protocol import LONGEST_MANUAL, Grant, RequestError, Revoke, Target, Undo
from pbs_fast.daemon.explain import spelled
from pbs_fast.daemon.manual import made_by, spoken, until_of
from pbs_fast.guards import LOCAL
from pbs_fast.ledger.manual import ManualDenial, ManualError, ManualGrant, Whom, key_of
from pbs_fast.log.records import event
from pbs_fast.share.message import LONGEST_WHY
from pbs_fast.share.tombstones import Denied
from pbs_fast.util.accounts import user_name
from pbs_fast.util.addresses import parse, parse_network
from pbs_fast.util.text import fold_user, printable, rfc3339

if TYPE_CHECKING:
    from pbs_fast.control.peers import Peer
    from pbs_fast.daemon.live import LiveState
    from pbs_fast.daemon.measures import Cause
    from pbs_fast.daemon.rows import Rows
    from pbs_fast.daemon.share import Share

log = logging.getLogger(__name__)

#: Rows that are looked at in one turn while those of a user or a network are searched: about 1 ms.
STEP = 5_000
#: Removed addresses that a reply names.
_NAMED = 100


class Changes:
    """Makes them, in the loop."""

    def __init__(self, live: LiveState, rows: Rows, share: Share) -> None:
        """`share` tells the other nodes."""
        self._ledger, self._guards, self._publisher = live.ledger, live.guards, live.publisher
        self._manual, self._clock, self._rows, self._share = live.manual, live.clock, rows, share
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
        for denial in self._manual.state.denials.values():
            self._tell(denial, denial.until)
        for denial in self._manual.state.undone.values():
            self._tell(denial, _undone(denial))
        for denial in self._manual.state.others.values():
            self._share.revocations.remember(self._shared(denial, denial.until))

    def revoke(self, request: Revoke, peer: Peer) -> Iterator[replies.Revoked | None]:
        """Deny, then remove the rows, in parts. Raises RequestError."""
        self._check_node(request)
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
        longest = self._ledger.grace if request.node is None else LONGEST_MANUAL
        made, until = until_of(self._clock, request.for_s or longest)
        state = self._manual.state.copy()
        denial = ManualDenial(request.kind, request.what, until, made, uid, request.reason)
        state.deny(denial)
        key = key_of(request.kind, request.what)
        denial = state.denials[key] = state.denials[key]._replace(number=self._share.revocations.next_number())
        until = denial.until
        if request.ip is not None:
            state.forget([request.ip])
        unsaved = self._manual.save(state)
        self._guards.deny_manually(self._manual.denials())
        log.info(f"denied {_named(request.kind, request.what)} until={spelled(until)} ({by})")
        if unsaved is not None:
            log.warning(f"{unsaved}; the denial of {request.what} ends with this daemon")
        self._tell(denial, until)
        return self._removed(request, by, cause, denial, unsaved)

    def _check_node(self, target: Target) -> None:
        """Raise RequestError for a node that cannot be meant."""
        if target.node is not None and not self._share.links:
            raise RequestError("refused", "there are no other nodes: share.hubs is empty")
        if target.node is not None and target.node == self._share.node:
            raise RequestError("refused", f"{target.node} is this node; say it on the others")

    def _shared(self, denial: ManualDenial, until: int) -> Denied:
        by = denial.by or f"{user_name(denial.uid)}@{self._share.node}"
        end = until + self._clock.shift()
        node = denial.node or self._share.node
        return Denied(node, denial.kind, denial.what, end, denial.number, by, _short(denial.reason))

    def _tell(self, denial: ManualDenial, until: int) -> None:
        """Have the other nodes put it into force, or with an end that has come, out of force."""
        if self._share.links:
            number = denial.number or self._share.revocations.next_number()
            self._share.revocations.tell(self._shared(denial._replace(number=number), until))

    def deny_as_others(self, denied: Sequence[Denied]) -> Iterator[None]:
        """Put what other nodes deny into force, or out of it; then remove the rows, in parts."""
        state, wall = self._manual.state.copy(), floor(self._clock.wall())
        covered: list[tuple[Target, str, bool]] = []
        for node, kind, what, end, number, by, why in denied:
            until = min(floor(end) - self._clock.shift(), wall + LONGEST_MANUAL)
            said = made_by(by, node) + (f": {why}" if why else "")
            if kind == "node" and what == self._share.node:
                again = "again" if until <= wall else "no more"
                log.warning("%s trusts this node %s (%s)", node, again, said)
            elif until <= wall:
                before = state.others.pop((node, *key_of(kind, what)), None)
                if before is not None and before.until > wall:
                    log.info("denial of %s undone (%s)", _named(kind, what), said)
                if kind != "node":  # logins until then are found again at a start
                    state.deny_as_others(ManualDenial(kind, what, until, until - 1, 0, why, node, by, number))
                covered.append((Target(**{kind: what}), said, True))
            elif state.deny_as_others(ManualDenial(kind, what, until, wall, 0, why, node, by, number)):
                log.info("denied %s until=%s (%s)", _named(kind, what), spelled(until), said)
                covered.append((Target(**{kind: what}), said, False))
            else:
                log.warning(
                    "there are too many denials by other nodes; not in force: %s (%s)", _named(kind, what), said
                )
        if (unsaved := self._manual.save(state)) is not None:
            log.warning("%s; the denials by other nodes end with this daemon", unsaved)
        self._guards.deny_manually(self._manual.denials())
        for target, said, over in covered:
            if target.node is not None:
                self._rows.distrust([target.node])
            for some in self._matching(target):
                # Of one that is over, logins since then count; those of other nodes are read again.
                ips = [ip for ip in some if not over or self._share.revocations.covers(ip)]
                if ips:
                    self._rows.revoke(ips, said, "manual")
                yield

    def distrust(self, nodes: Iterable[str]) -> None:
        """These nodes are not trusted any more: neither their rows count, nor what they deny."""
        names = frozenset(nodes)
        self._rows.distrust(names)
        state = self._manual.state.copy()
        of_theirs = [key for key in state.others if key[0] in names]
        if not of_theirs:
            return
        for key in of_theirs:
            del state.others[key]
        if (unsaved := self._manual.save(state)) is not None:
            log.warning("%s; what %s denied holds again after a restart", unsaved, " and ".join(sorted(names)))
        self._guards.deny_manually(self._manual.denials())

    def _removed(
        self, request: Revoke, by: str, cause: Cause, denial: ManualDenial, unsaved: str | None
    ) -> Iterator[replies.Revoked | None]:
        removed: list[str] = []
        for some in self._matching(request):
            if some:
                self._rows.revoke(some, by, cause)
                removed += some
            yield None
        if request.node is not None:
            removed = self._rows.distrust([request.node])
        self._publisher.flush()
        reply: replies.Revoked = {
            "what": request.what,
            "kind": request.kind,
            "revoked": len(removed),
            "addresses": removed[:_NAMED],
            "until": rfc3339(denial.until),
        }
        if request.user is not None and cause == "manual" and (sent := self._caps.sent_lately(request.user)):
            reply["messages"] = sent
        if self._share.links:
            reply["revocation"] = denial.number
        if unsaved is not None:
            reply["warning"] = f"{unsaved}; the denial ends with this daemon"
        yield reply

    def _matching(self, request: Target) -> Iterator[list[str]]:
        """The addresses with rows that are meant, part by part; none for a node, whose rows are not ours to revoke."""
        rows = self._ledger
        if request.node is not None:
            return
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
        if denial is not None and denial.until <= self._clock.wall():
            state.deny(denial)
            denial = None
        if denial is None and grant is None:
            key = key_of(request.kind, request.what)
            found = [each for (_, *subject), each in state.others.items() if tuple(subject) == key]
            makers = sorted(each.node for each in found if each.until > self._clock.wall())
            where = f" made here; it was denied at {', '.join(makers)}: undo it there" if makers else ""
            raise RequestError("unknown", f"there is no manual denial or grant of {request.what}{where}")
        if denial is not None and self._share.links:
            wall, number = floor(self._clock.wall()), self._share.revocations.next_number()
            denial = state.undone[key_of(denial.kind, denial.what)] = denial._replace(made=wall, number=number)
        if (why := self._manual.try_save(state)) is not None:
            raise RequestError("internal", f"{why}; nothing was undone")
        by = spoken(peer.uid, peer.pid, request.reason)
        undone: list[replies.Undoable] = []
        if denial is not None:
            self._guards.deny_manually(self._manual.denials())
            log.info(f"denial of {_named(request.kind, request.what)} undone ({by})")
            self._tell(denial, _undone(denial))
            undone.append("denial")
        if grant is not None:
            row = self._ledger.get(grant.ip)
            if row is not None and row.why == "manual":
                self._rows.revoke([grant.ip], f"undone; {by}", "manual")
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


def _undone(denial: ManualDenial) -> int:
    """Until when an undone denial holds: the rows of a node count again as they are, an address or a user has to log in
    again."""
    return 0 if denial.kind == "node" else denial.made


def _short(reason: str) -> str:
    """As other nodes accept it."""
    return printable(reason).encode()[:LONGEST_WHY].decode(errors="ignore")


def _named(kind: Whom, what: str) -> str:
    return f"node {what}" if kind == "node" else what


def spoken_again(grant: ManualGrant) -> str:
    """Who had granted it in an earlier run."""
    return spoken(grant.uid, 0, grant.reason).replace(" pid=0", " from an earlier run")


def _against(guard: str) -> str:
    return "it may relay anyway, as an address of mynetworks" if guard == LOCAL else f"the guard {guard} refuses it"
