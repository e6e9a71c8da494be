"""Counts distinct addresses per user within an hour: a stolen password that a botnet uses shows as many of them.

Pure: no clock; hours are those of the log's timestamps. Bounded: MAX_USERS users of this hour and as many of the one
before, `limit` addresses each, and MAX_SITES addresses of users with several. The addresses of an IPv6 /64 count once,
because clients change within it (RFC 8981). Nearly all users have one address at a time, and cost one look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from pbs_fast.util.addresses import parse
from pbs_fast.util.text import fold_user

#: Addresses are counted within so many seconds, and a user is warned about once in them.
WINDOW_S = 3_600
#: One dictionary entry and one text each: some 15 MB.
MAX_USERS = 131_072
#: Addresses of users that have more than one.
MAX_SITES = 262_144


class UserAddresses:
    """Distinct addresses of each user of late."""

    def __init__(self, limit: int) -> None:
        """A user has too many with more than `limit` addresses within WINDOW_S seconds."""
        self.limit = limit
        self._addresses: dict[str, str | dict[str, int]] = {}
        """User -> their only address, or each address and the second of its latest login."""
        self._before: dict[str, str] = {}
        """The only address of users who have not logged in since the last sweep."""
        self._several = 0
        """Addresses in the dicts of `_addresses`."""
        self._warned: dict[str, int] = {}
        self._swept = self._last = self._seen_until = 0.0
        """When the last sweep was, the latest call, and the latest call before that sweep."""

    def saw(
        self, users: Sequence[str | None], ips: Sequence[str], seconds: Sequence[int], now: float
    ) -> tuple[list[int], list[str]]:
        """Note logins: columns of users, addresses and timestamps; `now` on the timestamps' clock.

        Which of them (by index) come from an address too many, and users to be warned about.
        """
        if self.limit > MAX_SITES:
            return [], []  # nobody can reach it: a replay without limits
        known = self._addresses
        if now >= self._swept + WINDOW_S or len(known) > MAX_USERS or self._several > MAX_SITES:
            self._sweep(now)
        over: list[int] = []
        fresh: list[str] = []
        for index, (name, ip, second) in enumerate(zip(users, ips, seconds, strict=True)):
            if name is None:
                continue
            user = fold_user(name)
            site = _site(ip) if ":" in ip else ip
            seen = known.get(user)
            if seen is None:
                seen = known[user] = self._before.pop(user, site)
                if seen != site:
                    seen = known[user] = {seen: int(self._seen_until)}
                    self._several += 1
            if seen == site:
                continue
            if type(seen) is dict and site in seen:
                if second > seen[site]:
                    seen[site] = second
            elif not self._has_room(user, seen, site, second):
                over.append(index)
                if second >= self._warned.get(user, second):
                    self._warned[user] = second + WINDOW_S
                    fresh.append(name)
        self._last = now
        return over, fresh

    def _has_room(self, user: str, seen: str | dict[str, int], site: str, second: int) -> bool:
        """Note a login from another address than the only one; whether it is not one too many."""
        if isinstance(seen, str):
            # When that login was is not kept, but it was after the last sweep: it counts as one of now.
            seen = self._addresses[user] = {seen: second}
            self._several += 1
        if len(seen) >= self.limit:
            for old in [each for each, at in seen.items() if at <= second - WINDOW_S]:
                del seen[old]
                self._several -= 1
        if len(seen) >= self.limit:
            return False
        seen[site] = second
        self._several += 1
        return True

    def _sweep(self, now: float) -> None:
        """Forget users with one address of before the last sweep, and addresses of more than an hour ago; everything if
        that is too much."""
        self._swept, self._seen_until = now, self._last
        self._before = {user: seen for user, seen in self._addresses.items() if isinstance(seen, str)}
        since = now - WINDOW_S
        kept: dict[str, str | dict[str, int]] = {}
        for user, seen in self._addresses.items():
            if isinstance(seen, dict) and (left := {site: at for site, at in seen.items() if at > since}):
                kept[user] = left
        several = sum(map(len, kept.values()))
        if len(kept) > MAX_USERS // 2 or several > MAX_SITES // 2:
            kept, several = {}, 0
        self._addresses.clear()
        self._addresses.update(kept)
        self._several = several
        self._warned = {user: until for user, until in self._warned.items() if until > now and user in kept}


@lru_cache(maxsize=16_384)
def _site(ip: str) -> str:
    """The /64 of an IPv6 address, as text that serves as a key."""
    address = parse(ip)
    return ip if address is None or address[0] != 128 else f"{address[1] >> 64:x}::"
