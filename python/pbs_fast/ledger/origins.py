"""Rows that no login of our own logs explains: found in a table, granted by hand, or sent by another node. Pure.

There is one row an address. Where one that our own logs explain is hidden by a longer one of another node, or by a
manual grant, it is remembered here: it is what this node tells the others, and what stays when that node is no longer
trusted. Invariants, held by tests/ledger:
- a hidden row belongs to a live row that is no own one, and does not end after it;
- `merge` gives the same rows in whatever order, and however often, rows of other nodes come.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from math import floor
from typing import Final, Literal, Protocol

from pbs_fast.events import Counters, Delta, Grant, SharedRow
from pbs_fast.ledger.expiry import ExpiryQueue

NEW: Final = "new"
RENEWED: Final = "renewed"
RECOVERED: Final = "recovered"
MANUAL: Final = "manual"
HUB: Final = "hub"

#: Why there is a row that a login set.
_BY_LOGIN: Final = (NEW, RENEWED)

Covers = Callable[[str, Grant, int | None], bool]
"""Whether a row of an address is revoked. With the second of its login; None for a row of another node, and for one
that no login explains."""

Origin = Literal["recovered", "manual", "hub"]

_new_tuple = tuple.__new__


class Held(Protocol):
    """The part of the rows that open sessions hold (`counting.py`)."""

    idle: dict[str, int]
    others: dict[str, Grant]


def row_origin(row: Grant) -> Origin | None:
    """Why there is a row that no login of our own logs explains; None for one that such a login does.

    Rows of a checkpoint are "recovered" too, but a login explained them: they have its format.
    """
    if row.node:
        return HUB
    if row.why == MANUAL:
        return MANUAL
    return RECOVERED if row.why == RECOVERED and not row.format else None


class Origins:
    """Counts the rows that no own login explains, and keeps the own rows that they hide."""

    def __init__(self, rows: dict[str, Grant], queue: ExpiryQueue, counters: Counters) -> None:
        """`rows` and `queue` are the ledger's."""
        self.marked: dict[str, int] = {RECOVERED: 0, MANUAL: 0, HUB: 0}
        """How many rows there are of each origin."""
        self.hidden: dict[str, Grant] = {}
        """Own rows behind longer ones."""
        self._rows, self._queue, self._counters = rows, queue, counters

    def mark(self, *rows: Grant) -> None:
        """Count rows that come."""
        for row in rows:
            if (origin := row_origin(row)) is not None:
                self.marked[origin] += 1

    def unmark(self, *rows: Grant) -> None:
        """Count rows that go, or that a login explains from now on."""
        if any(self.marked.values()):
            for row in rows:
                if (origin := row_origin(row)) is not None:
                    self.marked[origin] -= 1

    def hide(self, ip: str, own: Grant) -> bool:
        """Remember an own row behind the live row of its address, if that is not one itself; whether it is news."""
        if row_origin(self._rows[ip]) is None:
            return False
        before = self.hidden.get(ip)
        if before is not None and before.expires >= own.expires:
            return False
        self.hidden[ip] = own
        return True

    def replace(self, ip: str, row: Grant) -> None:
        """Put a longer row of another origin in the place of a live one."""
        before = self._rows[ip]
        if row_origin(before) is None:
            self.hidden[ip] = before
        self.unmark(before)
        self._rows[ip] = row
        self.mark(row)

    def ended(self, ips: Iterable[str]) -> None:
        """The rows of these addresses are gone."""
        if self.hidden:
            for ip in ips:
                self.hidden.pop(ip, None)

    def own(self, ip: str) -> Grant | None:
        """The row of an address that our own logs explain, hidden or not."""
        row = self._rows.get(ip)
        if row is None:
            return None
        origin = row_origin(row)
        if origin is None:
            return row
        return self.hidden.get(ip)

    def owns(self, ips: Iterable[str]) -> list[tuple[str, Grant]]:
        """Those of these addresses that have an own row (`own`), with it: many at once for a burst of logins."""
        # Where no row is of another origin, as on a node that hears of no others, each is an own one.
        own = self.own if any(self.marked.values()) else self._rows.get
        return [(ip, row) for ip in ips if (row := own(ip)) is not None]

    def owns_of(self, rows: Mapping[str, Grant]) -> list[tuple[str, Grant]]:
        """The same for the addresses of these rows, which were just set, or hidden as own ones."""
        if not any(self.marked.values()):
            return list(rows.items())
        # A login set nearly all of them, and an own login's row is an own one.
        return [
            (ip, own)
            for ip, row in rows.items()
            if (own := row if row[3] in _BY_LOGIN and not row[5] else self.own(ip)) is not None
        ]

    def adopt(self, users: Mapping[str, str | None], end: int) -> dict[str, Grant]:
        """Take over rows of a table that nothing explains; those that are new."""
        found = {ip: Grant(end, user, "", RECOVERED) for ip, user in users.items() if ip not in self._rows}
        for ip in found:
            self._queue.add(ip, end)
        self._rows.update(found)
        self.marked[RECOVERED] += len(found)
        return found

    def grant(self, ip: str, end: int, held: Held) -> Delta:
        """Let an address relay until `end` by an administrator's word; nothing where it may for longer already."""
        if ip in held.idle:
            held.idle[ip] = max(held.idle[ip], end)
        row = self._rows.get(ip)
        granted = Grant(end, None, "", MANUAL)
        if row is None:
            self._queue.add(ip, end)
            self._rows[ip] = granted
            self.marked[MANUAL] += 1
        elif row.expires > end:
            return Delta()
        else:
            self.replace(ip, granted)
        return Delta(set={ip: granted})

    def ungrant(self, ip: str, end: int, held: Held) -> Delta:
        """Cut what a manual grant added to a row that logins or their sessions explain."""
        if ip in held.idle:
            held.idle[ip] = min(held.idle[ip], end)
            return Delta()
        row = self._rows.get(ip)
        if row is None or row.expires <= end or row.node:
            return Delta()
        self._queue.discard([ip])
        self._queue.add(ip, end)
        self._rows[ip] = row = row._replace(expires=end)
        return Delta(set={ip: row})

    def merge(self, rows: Iterable[SharedRow], now: float, held: Held) -> tuple[dict[str, Grant], int]:
        """Take rows of other nodes; what changed, and how many rows are new."""
        live, over, bucket = self._rows, floor(now), self._queue.bucket
        changed: dict[str, Grant] = {}
        new = renewed = late = 0
        for ip, end, _, user, format_, host, node in rows:
            row = live.get(ip)
            if end <= over:
                late += 1
            elif row is None:
                live[ip] = changed[ip] = _new_tuple(Grant, (end, user, format_, NEW, host, node))
                bucket(end).append(ip)
                new += 1
            elif ip in held.idle:
                other = held.others.get(ip)
                if other is None or _counts_more(end, node, other):
                    held.others[ip] = Grant(end, user, format_, RENEWED, host, node)
                    renewed += 1
                else:
                    late += 1
            elif _counts_more(end, node, row):
                why = NEW if ip in changed and changed[ip].why == NEW else RENEWED
                changed[ip] = longer = _new_tuple(Grant, (end, user, format_, why, host, node))
                if row.node:
                    live[ip] = longer  # nothing of our own logs is behind it that was not before
                else:
                    self.replace(ip, longer)
                renewed += 1
            else:
                late += 1
        self.marked[HUB] += new
        self._counters.update(hub_new=new, hub_renewed=renewed, hub_late=late)
        return changed, new

    def judge(self, ip: str, covers: Covers, login: int | None, now: float, held: Held) -> tuple[bool, Grant | None]:
        """Whether something of an address is revoked, and the row that it keeps if its live row is."""
        row = self._rows[ip]
        other = row if row.node else held.others.get(ip)
        mine = self.hidden.get(ip) if row.node else row
        own_goes = mine is not None and covers(ip, mine, login)
        other_goes = other is not None and covers(ip, other, None)
        if row.node and own_goes and not other_goes:
            del self.hidden[ip]
        elif not row.node and other_goes and not own_goes:
            del held.others[ip]
        elif own_goes or other_goes:
            left = other if own_goes else mine
            gone = other_goes if left is other else own_goes
            return True, None if left is None or gone or left.expires <= now else left
        return False, None

    def put_back(self, rows: dict[str, Grant]) -> None:
        """Insert rows of addresses that have none."""
        for ip, row in rows.items():
            self._queue.add(ip, row.expires)
        self._rows.update(rows)
        self.mark(*rows.values())

    def distrust(self, nodes: Container[str], now: float, held: Held) -> tuple[Delta, dict[str, Grant]]:
        """Remove the rows of these nodes, but for what our own logs explain; what changed, and the rows removed."""
        changed: dict[str, Grant] = {}
        gone: dict[str, Grant] = {}
        for ip, row in self._rows.items():
            if row.node and row.node in nodes:
                own = self.hidden.pop(ip, None)
                if own is not None and own.expires > now:
                    changed[ip] = own
                else:
                    gone[ip] = row
        self.marked[HUB] -= len(changed) + len(gone)
        self._queue.discard(changed.keys() | gone.keys())
        for ip in gone:
            del self._rows[ip]
        for ip, own in changed.items():
            self._rows[ip] = own
            self._queue.add(ip, own.expires)
        for ip in [ip for ip, row in held.others.items() if row.node in nodes]:
            del held.others[ip]
        return Delta(set=changed, removed=tuple(gone)), gone


def _counts_more(end: int, node: str, row: Grant) -> bool:
    """Whether a row of a node replaces `row`: the later end counts; of two nodes with the same end, the first name."""
    return end > row.expires or (end == row.expires and bool(row.node) and node < row.node)
