"""Rows of our own logs as messages carry them, many at once: a burst of logins is sent in parts of hundreds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor
from typing import Final, Protocol

from pbs_fast.events import Grant
from pbs_fast.share.message import LONGEST_FORMAT, LONGEST_HOST, LONGEST_USER, Fields, acceptable, fits

#: Most bytes of a character in UTF-8.
_WIDEST: Final = 4

Own = tuple[str, Grant]
"""An address and its row."""


class Rows(Protocol):
    """The part of the ledger that the outbox asks."""

    def own(self, ip: str) -> Grant | None:
        """The row that our own logs explain, even if a longer one of another node hides it."""

    def owns(self, ips: Iterable[str]) -> list[Own]:
        """Those of these addresses that have such a row, with it."""

    def logins(self, rows: Iterable[Own]) -> list[int]:
        """The second of the newest login of each of these own rows, on the ledger's clock."""


def carried(rows: Sequence[Own]) -> tuple[Sequence[Own], list[Grant]]:
    """Those that every node would take (`acceptable`), and the others, whose texts are too long or not printable."""
    if not rows or _all_fit([own for _, own in rows]):
        return rows, []
    fit = [acceptable(_fields(ip, own, 0, 0)) for ip, own in rows]
    return (
        [each for each, fits_it in zip(rows, fit, strict=True) if fits_it],
        [own for (_, own), fits_it in zip(rows, fit, strict=True) if not fits_it],
    )


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


def _all_fit(grants: Sequence[Grant]) -> bool:
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


def _fields(ip: str, own: Grant, left: int, age: int) -> Fields:
    return ip, left, own.user, own.format, own.host, age
