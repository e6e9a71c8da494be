"""Rows of our own logs as messages carry them, many at once: a burst of logins is sent in parts of hundreds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import ceil, floor
from typing import Final, NamedTuple, Protocol

from pbs_fast.events import Grant
from pbs_fast.share.message import (
    LONGEST_FORMAT,
    LONGEST_HOST,
    LONGEST_USER,
    MOST_LIST,
    MOST_ROWS,
    Fields,
    acceptable,
    fits,
)

#: Most bytes of a character in UTF-8.
_WIDEST: Final = 4

Own = tuple[str, Grant]
"""An address and its row."""


Lists = Callable[[list[Own], list[int] | None, float, int, int, int], list[bytes]]
"""`_core.shared_lists`: what `travelling` and `Writer.rows` make of rows, without the messages' heads."""
Doubtful = Callable[[list[Own], int, int, int], list[int]]
"""`_core.doubtful_rows`: the places of all rows that are not `acceptable`, and of some that are."""


class NativeRows(NamedTuple):
    """What the native backend does of this, with the same results."""

    lists: Lists
    doubtful: Doubtful


class Rows(Protocol):
    """The part of the ledger that the outbox asks."""

    def own(self, ip: str) -> Grant | None:
        """The row that our own logs explain, even if a longer one of another node hides it."""

    def owns(self, ips: Iterable[str]) -> list[Own]:
        """Those of these addresses that have such a row, with it."""

    def owns_of(self, rows: Mapping[str, Grant]) -> list[Own]:
        """The same for rows that the ledger has just set."""

    def logins(self, rows: Iterable[Own]) -> list[int]:
        """The second of the newest login of each of these own rows, on the ledger's clock."""

    @property
    def sessions_keep(self) -> bool:
        """Whether sessions may keep rows; else each ends one grace after its login."""


def carried(rows: list[Own], native: NativeRows | None = None) -> tuple[list[Own], list[Grant]]:
    """Those that every node would take (`acceptable`), and the others, whose texts are too long or not printable."""
    if native is not None:
        doubtful: Iterable[int] = native.doubtful(rows, LONGEST_USER, LONGEST_FORMAT, LONGEST_HOST)
    else:
        doubtful = () if not rows or _all_fit([own for _, own in rows]) else range(len(rows))
    if not doubtful:
        return rows, []
    unfit = {place for place in doubtful if not acceptable(_fields(*rows[place]))}
    return (
        [each for place, each in enumerate(rows) if place not in unfit],
        [own for place, (_, own) in enumerate(rows) if place in unfit],
    )


def native_lists(native: NativeRows, rows: Rows, ips: Iterable[str], now: float, grace: int) -> list[bytes]:
    """The lists of messages with the live own rows of these addresses."""
    owns = rows.owns(ips)
    return native.lists(owns, rows.logins(owns) if rows.sessions_keep else None, now, grace, MOST_ROWS, MOST_LIST)


def travelling(rows: Rows, ips: Iterable[str], now: float, grace: int) -> list[Fields]:
    """The live own rows of these addresses as they are sent now, `grace` long at most."""
    owns = rows.owns(ips)
    lefts: dict[int, int] = {}  # the rows of a burst end in few seconds, and began in few
    ages: dict[int, int] = {}
    made: list[Fields] = []
    for (ip, own), login in zip(owns, rows.logins(owns), strict=True):
        end, user, format_, _, host, _ = own
        if end <= now:
            continue
        if (left := lefts.get(end)) is None:
            left = lefts[end] = ceil(min(end - now, grace) * 1000)
        if (age := ages.get(login)) is None:
            age = ages[login] = max(floor((now - login) * 1000), 0)
        made.append((ip, left, user, format_, host, age))
    return made


def _all_fit(grants: list[Grant]) -> bool:
    """Whether all are acceptable, by a few C functions for all of them; False is no verdict on a single one. The
    ledger's addresses are canonical."""
    _, users, formats, _, hosts, _ = zip(*grants, strict=True)
    named = [user for user in users if user is not None]
    return (
        all(fits(text, LONGEST_FORMAT) for text in {*formats})
        and all(fits(text, LONGEST_HOST) for text in {*hosts})
        and "".join(named).isprintable()
        and max(map(len, named), default=0) <= LONGEST_USER // _WIDEST
    )


def _fields(ip: str, own: Grant) -> Fields:
    return ip, 0, own.user, own.format, own.host, 0
