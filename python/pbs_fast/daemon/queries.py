"""What commands may ask the running daemon: why, list, refusals. Reads only, and bounded work a turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from pbs_fast.control import replies, why_reply
from pbs_fast.control.protocol import PAGE, List, RequestError, Why
from pbs_fast.daemon.changes import STEP
from pbs_fast.daemon.refusals import by_guard, shown
from pbs_fast.guards.deny import Denial
from pbs_fast.ledger.origins import row_origin
from pbs_fast.util.text import fold_user, rfc3339

if TYPE_CHECKING:
    from pbs_fast.daemon.live import LiveState
    from pbs_fast.daemon.refusals import Refusals
    from pbs_fast.daemon.share_view import ShareView
    from pbs_fast.events import Grant

#: Refusals, and denials, in one reply.
MOST = 1_000


class Queries:
    """Answers them, in the loop."""

    def __init__(
        self,
        live: LiveState,
        refusals: Refusals,
        notices: Callable[[], list[replies.StandingNotice]],
        share: ShareView,
    ) -> None:
        """`notices` gives the trouble that lasts."""
        self._ledger, self._guards, self._publisher = live.ledger, live.guards, live.publisher
        self._manual, self._logs, self._clock, self._refusals = live.manual, live.logs, live.clock, refusals
        self._notices, self._caps, self._share = notices, live.caps, share

    def why(self, request: Why, *, ready: bool) -> Iterator[why_reply.Why | None]:
        """All that is known of an address, or of a user, whose rows are searched in parts."""
        rows: list[replies.Row] = []
        if request.ip is not None:
            rows = self._shown([request.ip])
        elif request.user is not None:
            addresses, user = self._ledger.addresses(), fold_user(request.user)
            for start in range(0, len(addresses), STEP):
                part = ((ip, self._ledger.get(ip)) for ip in addresses[start : start + STEP])
                rows += self._shown([ip for ip, row in part if row and row.user and fold_user(row.user) == user])
                yield None
        wall = self._clock.wall()
        users = {row["user"]: row["ip"] for row in rows if row["user"]} if request.user is None else {request.user: ""}
        refusals = [*self._refusals.of(request.ip, request.user)]
        # Of an address: also what denies those who were refused there.
        denied = {fold_user(each.user) for each in refusals[:MOST] if each.guard == "deny" and each.user}
        yield {
            "ip": request.ip,
            "user": request.user,
            "now": rfc3339(wall),
            "ready": ready,
            "grace_s": self._ledger.grace,
            "window_s": self._ledger.window,
            "guard": self._guards.against(request.ip, request.user, wall) or None,
            "rows": rows,
            "refusals": [*map(shown, refusals[:MOST])],
            "refused": by_guard(refusals),
            "refusals_since": self._refusals.since,
            "denials": denials(
                [
                    each
                    for each in self._guards.denials(wall)
                    if each.covers(request.ip, request.user) or not denied.isdisjoint(each.users)
                ],
                MOST,
            ),
            "tables": self._publisher.unwritten([row["ip"] for row in rows])
            if request.ip is None
            else self._publisher.answers(request.ip, self._ledger.get(request.ip)),
            "notices": self._notices(),
            "caps": self._caps.uses(users, [] if request.ip is None else [request.ip]),
            "mail": self._caps.mail(request.user, request.ip),
            "logs": [follower.path for follower in self._logs],
        }

    def rows(self, request: List) -> Iterator[replies.Rows]:
        """All rows, a page a turn: those that were there when it began and are there still."""
        if request.table is not None and request.table not in self._publisher.specs:
            specs = ", ".join(self._publisher.specs)
            raise RequestError("unknown", f"the daemon writes no table {request.table}; it writes {specs or 'none'}")
        return self._pages(iter(self._ledger.addresses()))

    def _pages(self, left: Iterator[str]) -> Iterator[replies.Rows]:
        page = [*islice(left, PAGE)]
        while True:
            following = [*islice(left, PAGE)]
            yield {"rows": self._shown(page), "more": bool(following)}
            if not following:
                return
            page = following

    def _shown(self, ips: list[str]) -> list[replies.Row]:
        shift = self._clock.to_wall(0)
        graces = self._share.graces()
        return [self._row(ip, row, shift, graces) for ip in ips if (row := self._ledger.get(ip)) is not None]

    def _row(self, ip: str, row: Grant, shift: int, graces: Mapping[str, int]) -> replies.Row:
        origin = row_origin(row) or "own"
        since: float | None = None
        manual = self._manual.state.grants.get(ip) if origin == "manual" else None
        if manual is not None:
            since = manual.made
        elif row.node:
            since = row.expires + shift - graces[row.node] if row.node in graces else None
        elif row.why in ("new", "renewed") and not self._ledger.is_open(ip):
            since = row.expires + shift - self._ledger.grace
        shown: replies.Row = {
            "ip": ip,
            "user": row.user,
            "since": None if since is None else rfc3339(since),
            "until": None if self._ledger.is_open(ip) else rfc3339(row.expires + shift),
            "format": row.format or None,
            "host": row.host or None,
            "node": row.node or None,
            "origin": origin,
        }
        if manual is not None:
            shown |= {"by": f"uid={manual.uid}", "reason": manual.reason}
        return shown


def denials(some: list[Denial], most: int) -> list[replies.Denial]:
    """As they are sent: one entry for each address, network and user."""
    found: list[replies.Denial] = []
    for denial in some:
        until = None if denial.until == inf else rfc3339(denial.until)
        by = denial.by or ("deny.toml" if denial.uid is None else f"uid={denial.uid}")
        for what in (*map(str, denial.networks), *denial.users, *(f"node {name}" for name in denial.nodes)):
            if len(found) == most:
                return found
            found.append({"what": what, "until": until, "by": by, "reason": denial.reason})
            if denial.maker:
                found[-1]["node"] = denial.maker
    return found
