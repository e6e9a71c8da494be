"""The last refused logins, for the question why an address may not relay.

Kept for live lines and those of a replay alike. Invariant: at most RING of them, about 2 MB.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice

from pbs_fast.control import replies
from pbs_fast.control.protocol import PAGE
from pbs_fast.guards import LOCAL, Refusal
from pbs_fast.util.text import fold_user, rfc3339

#: Refusals that are remembered.
RING = 8_192


class Refusals:
    """A ring. Not for several threads at once."""

    def __init__(self) -> None:
        self._ring: deque[Refusal] = deque(maxlen=RING)
        self._forgotten = False

    def add(self, refusals: Iterable[Refusal]) -> None:
        """Remember these, but for addresses that may relay anyway."""
        fresh = [refusal for refusal in refusals if refusal.guard != LOCAL]
        self._forgotten = self._forgotten or len(self._ring) + len(fresh) > RING
        self._ring += fresh

    @property
    def since(self) -> str | None:
        """Before which time they are not complete; None if none was forgotten."""
        return rfc3339(self._ring[0].last) if self._forgotten else None

    def of(self, ip: str | None = None, user: str | None = None) -> Iterator[Refusal]:
        """Those of an address or a user (case-insensitive), or all; the newest first."""
        folded = None if user is None else fold_user(user)
        for refusal in reversed(self._ring):
            if ip is not None and refusal.ip != ip:
                continue
            if folded is not None and (refusal.user is None or fold_user(refusal.user) != folded):
                continue
            yield refusal

    def pages(self, ip: str | None, user: str | None) -> Iterator[replies.Refusals]:
        """All of these as they are now, in pages."""
        left = iter([*self.of(ip, user)])
        page = [*islice(left, PAGE)]
        while True:
            following = [*islice(left, PAGE)]
            yield {"refusals": [*map(shown, page)], "more": bool(following)}
            if not following:
                return
            page = following


def shown(refusal: Refusal) -> replies.Refusal:
    """As it is sent."""
    return {
        "at": rfc3339(refusal.last),
        "ip": refusal.ip,
        "user": refusal.user,
        "host": refusal.host or None,
        "guard": refusal.guard,
        "log": refusal.source,
        "logins": refusal.n,
    }


def by_guard(refusals: Iterable[Refusal]) -> dict[str, int]:
    """How many logins each guard refused."""
    total: Counter[str] = Counter()
    for refusal in refusals:
        total[refusal.guard] += refusal.n
    return dict(total)
