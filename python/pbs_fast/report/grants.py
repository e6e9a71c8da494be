"""Which address had a grant at a second of the log, by whose login: on the replayer that `bench` uses too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.events import MAX_AHEAD
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.replay.replayer import Replayer, same_everywhere

if TYPE_CHECKING:
    from pbs_fast.events import Grant
    from pbs_fast.report.merge import Slice

#: Seconds by which the clocks of two servers, and the order of their lines, may differ.
LENIENT = 2
#: An address with logins of several users within this time is shared.
SHARED = 3_600
#: Different seconds of an address's logins that are kept: those after the message within LENIENT, and the one before.
_RECENT = LENIENT + 1


class Held(NamedTuple):
    """A grant at a moment."""

    user: str | None
    """Whose login was the latest before."""
    since: int
    """Seconds since that login."""
    shared: bool
    """Several users logged in from the address within an hour."""


#: One login: second, address, user.
LoginLine = tuple[int, str, str | None]


class _Address:
    """The logins of an address that has a grant, where there are several."""

    __slots__ = ("recent", "users")

    def __init__(self, second: int, user: str | None) -> None:
        self.recent = [(second, user)]
        """The latest different seconds with a login, ascending."""
        self.users: dict[str | None, int] | None = None
        """When each user logged in last, where there are several."""


class Grants:
    """The grants of a log as it goes on. Not for several threads at once."""

    def __init__(self, grace: int) -> None:
        """`grace` in seconds."""
        self.grace = grace
        self.addresses: dict[str, _Address | tuple[int, str | None]] = {}
        """Those that have, or had lately, a grant; of most there is one login: second, user."""
        self._refused: set[str] = set()
        # Functions that do not know this object, or it would be in a cycle, with all addresses.
        addresses, refused = self.addresses, self._refused
        self._replayer = Replayer(
            Ledger(grace),
            same_everywhere(),
            on_refusal=lambda rows: refused.update(each.ip for each in rows),
            on_expiry=lambda rows: _forget(addresses, rows, grace),
        )

    @property
    def granted(self) -> int:
        """Logins that opened the relay anew."""
        return self._replayer.ledger.granted

    def replay(self, piece: Slice) -> list[LoginLine]:
        """Give the replayer the logins of a slice; those that it granted, in the order of time.

        Raises SourceError when the disk has no room for what is remembered.
        """
        lines: list[LoginLine] = []
        for batch, reference in piece.logins:
            self._refused.clear()
            self._replayer.take(batch, reference)
            refused, limit = self._refused, reference + MAX_AHEAD
            rows: Iterable[LoginLine] = zip(batch.last, batch.ip, batch.user_last, strict=True)
            if refused or max(batch.last) > limit:
                rows = (row for row in rows if row[0] <= limit and row[1] not in refused)
            lines += rows
        # Of one second and address, the order of the log stays.
        lines.sort(key=itemgetter(0))
        return lines

    def login(self, second: int, ip: str, user: str | None) -> None:
        """A login that `replay` gave happens now."""
        address = self.addresses.get(ip)
        if address is None:
            self.addresses[ip] = second, user
            return
        if isinstance(address, tuple):
            address = self.addresses[ip] = _Address(*address)
        recent = address.recent
        latest, before = recent[-1]
        if user != before or address.users is not None:
            users = address.users
            if users is None:
                users = address.users = {before: latest}
            users[user] = second
            if len(users) > 8:
                address.users = {who: last for who, last in users.items() if last > second - SHARED - self.grace}
        if second == latest:
            recent[-1] = second, user
            return
        recent.append((second, user))
        if len(recent) > _RECENT:
            del recent[0]

    def at(self, ip: str, second: int) -> Held | None:
        """The grant of an address when it sent; None when it had none."""
        address = self.addresses.get(ip)
        if address is None:
            return None
        recent, users = ([address], None) if isinstance(address, tuple) else (address.recent, address.users)
        when, user = next((login for login in reversed(recent) if login[0] <= second), recent[0])
        if when > second + LENIENT or second > when + self.grace + LENIENT:
            # The login before is too old, and the one after may be near enough.
            after = [login for login in recent if second < login[0] <= second + LENIENT]
            if not after:
                return None
            when, user = after[0]
        shared = users is not None and sum(last >= second - SHARED for last in users.values()) > 1
        return Held(user, max(0, second - when), shared)

    def ended(self, piece: Slice) -> None:
        """Forget the addresses whose grants have ended before this slice's end."""
        if piece.until == float("inf") or piece.until == float("-inf"):
            return
        self._replayer.advance(int(piece.until), piece.reference)

    def close(self) -> None:
        """Free the temporary files."""
        self._replayer.close()


def _forget(addresses: dict[str, _Address | tuple[int, str | None]], rows: Mapping[str, Grant], grace: int) -> None:
    """The addresses of rows that ended, but for those with a later login."""
    for ip, row in rows.items():
        address = addresses.get(ip)
        if address is None:
            continue
        last = address[0] if isinstance(address, tuple) else address.recent[-1][0]
        if last + grace <= row.expires:
            del addresses[ip]
