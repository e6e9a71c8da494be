"""Counts distinct users per address, to find shared addresses: NAT, proxies, web mail hosts.

Pure: no clock. Bounded: WINDOW_S seconds of logins, at most MAX_ADDRESSES addresses, `limit` users each, and MAX_USERS
users of addresses with several; at most MAX_ADDRESSES crowded addresses, of which the oldest are forgotten first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

#: Users are counted within windows of so many seconds: over months, one dynamic address has hundreds of users in turn.
WINDOW_S = 3600
#: An address that was crowded stays so for so many seconds after it last was: else it would be free for a while hourly.
STAY_S = 86_400
#: One dictionary entry and one text each: some 15 MB.
MAX_ADDRESSES = 131_072
#: Users of addresses that have more than one.
MAX_USERS = 262_144


class SharedAddresses:
    """Distinct users of each address of late."""

    def __init__(self, limit: int) -> None:
        """An address is crowded when more than `limit` users logged in from it within one window."""
        self.limit = limit
        self._users: dict[str, str | set[str]] = {}
        self._several = 0
        """Users in the sets of `_users`."""
        self._window_end = 0.0
        self._until: dict[str, float] = {}

    def among(self, ips: Iterable[str]) -> Set[str]:
        """Those of the addresses that are crowded."""
        return self._until.keys() & ips if self._until else frozenset()

    def saw(
        self,
        ips: Sequence[str],
        first: Sequence[str | None],
        last: Sequence[str | None],
        distinct: Sequence[int],
        now: float,
    ) -> list[str]:
        """Note logins: columns of addresses, of their first and last users, and of how many distinct ones they had.
        The addresses that are newly crowded."""
        if self.limit > MAX_USERS:
            return []  # no address can reach it: a replay without limits
        users = self._users
        if now >= self._window_end or len(users) > MAX_ADDRESSES or self._several > MAX_USERS:
            users.clear()
            self._several = 0
            self._window_end = now + WINDOW_S
            self._until = {ip: until for ip, until in self._until.items() if now < until}
        fresh = []
        known = users.get
        one_is_fine = self.limit >= 1
        for ip, last_user, first_user, count in zip(ips, last, first, distinct, strict=True):
            if last_user is None:
                continue
            if count < 2 and one_is_fine:
                # Nearly all logins are an address's first, or of a user who was here before.
                seen = known(ip)
                if seen is None:
                    users[ip] = last_user
                    continue
                if seen == last_user or (type(seen) is set and last_user in seen):
                    continue
            if self._count(ip, first_user, last_user, count) > self.limit:
                gone = users.pop(ip, None)
                self._several -= len(gone) if isinstance(gone, set) else 0
                if self._until.pop(ip, None) is None:
                    fresh.append(ip)
                self._until[ip] = now + STAY_S
                if len(self._until) > MAX_ADDRESSES:
                    del self._until[next(iter(self._until))]
        return fresh

    def _count(self, ip: str, first: str | None, last: str, distinct: int) -> int:
        seen = self._users.setdefault(ip, last)
        if isinstance(seen, str):
            if seen == last and first in (None, last):
                return distinct
            seen = self._users[ip] = {seen}
            self._several += 1
        before = len(seen)
        seen.add(last)
        if first is not None:
            seen.add(first)
        self._several += len(seen) - before
        return max(len(seen), distinct)
