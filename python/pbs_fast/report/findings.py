"""What a report says, as data: made once, shown as text, JSON and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.report.join import WAYS
from pbs_fast.report.logins import ADDRESS_CAP, Login, Relaying
from pbs_fast.report.verdicts import VERDICTS, suspicions, verdict

if TYPE_CHECKING:
    from pbs_fast.caps.windows import Rate
    from pbs_fast.report.join import Join
    from pbs_fast.report.pseudonyms import Names

#: Grace times that are tried, in seconds.
_GRACES = (60, 120, 180, 300, 600, 900, 1_200, 1_800, 2_700, 3_600, 7_200)
#: A shorter grace is proposed if it would have refused at most this share of the messages.
_BEARABLE = 0.005
#: Quantiles of what logins send in their busiest hour, and of the time since the login.
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
#: Names of a login's clients that are shown.
_NAMES = 5


#: What a login sent that sent nothing.
_NOTHING = Relaying()


_new_tuple = tuple.__new__


class LoginFound(NamedTuple):
    """One login."""

    name: str
    verdict: str
    why: str
    """Of a suspect one: why; else empty."""
    logins: int
    messages: int
    certain: int
    """Messages whose login the policy service named."""
    recipients: int
    most_an_hour: int
    addresses: int
    """Different ones that relayed, at most 64."""
    networks: tuple[str, ...]
    """Where it always logs in from, of `fixed` only."""
    hosts: tuple[str, ...]
    """How its clients call themselves."""
    longest: int
    """The longest time between a login and a message, in seconds."""
    first: int
    last: int


class Way(NamedTuple):
    """Messages relayed on one day."""

    day: date
    grant: int
    auth: int
    mynetworks: int


class Grace(NamedTuple):
    """What a shorter grace time would have cost."""

    seconds: int
    messages: int
    logins: int


class Cap(NamedTuple):
    """What a cap would have refused."""

    rate: str
    of: str
    """`user` or `address`."""
    recipients: int
    logins: tuple[str, ...]
    """Whose, those with most first."""


@dataclass(frozen=True)
class Findings:
    """All of it. Times are seconds since the epoch, durations seconds."""

    first: int
    last: int
    first_day: date
    last_day: date
    grace: int
    lines: int
    login_lines: int
    granted: int
    days: tuple[Way, ...]
    ways: dict[str, int]
    """Messages relayed, by way."""
    certain: int
    logins: tuple[LoginFound, ...]
    """By verdict in the report's order, then by messages."""
    delays: tuple[tuple[int, int], ...]
    """Seconds since the login, ascending, and messages."""
    graces: tuple[Grace, ...]
    proposed: int | None
    """The shortest grace that would have refused next to nothing; None where none is shorter than the present one."""
    caps: tuple[Cap, ...]
    hourly: tuple[int, ...]
    """Recipients in the busiest hour of each login that relayed, ascending."""
    pseudonyms: bool
    skipped: int
    """Logs that end before `--since`."""

    @property
    def relayed(self) -> int:
        """Messages relayed in all ways."""
        return sum(self.ways.values())

    @cached_property
    def _by_verdict(self) -> dict[str, list[LoginFound]]:
        found: dict[str, list[LoginFound]] = {}
        for login in self.logins:
            found.setdefault(login.verdict, []).append(login)
        return found

    def of(self, name: str) -> list[LoginFound]:
        """The logins of a verdict."""
        return self._by_verdict.get(name, [])


def findings(
    join: Join, names: Names, *, grace: int, granted: int, lines: int, skipped: int, pseudonyms: bool
) -> Findings:
    """The findings from what was counted."""
    first, last = join.first or 0, join.last or 0
    days = join.days
    span = last - first
    found = [_login(login, verdict(login, join.authenticated, span), names) for login in join.logins.values()]
    place = {name: number for number, name in enumerate(VERDICTS)}
    # One pass for each key, the last one first: one of all keys makes a tuple for each login.
    found.sort(key=attrgetter("name"))
    for key in ("logins", "messages"):
        found.sort(key=attrgetter(key), reverse=True)
    found.sort(key=lambda login: place[login.verdict])
    relaying = [login for login in join.logins.values() if login.relaying is not None and login.relaying.messages]
    messages = sum(join.delays.values())
    graces = tuple(
        Grace(
            seconds,
            sum(n for delay, n in join.delays.items() if delay > seconds),
            sum(login.relays().max_since > seconds for login in relaying),
        )
        for seconds in _GRACES
        if seconds < grace
    )
    numbers = range(days.number(first), days.number(last) + 1) if join.first is not None else range(0)
    nothing: Counter[str] = Counter()
    ways = tuple(Way(days.date(day), *(join.daily.get(day, nothing)[way] for way in WAYS)) for day in numbers)
    return Findings(
        first=first,
        last=last,
        first_day=days.date(days.number(first)),
        last_day=days.date(days.number(last)),
        grace=grace,
        lines=lines,
        login_lines=join.login_lines,
        granted=granted,
        days=ways,
        ways={way: sum(day[way] for day in join.daily.values()) for way in WAYS},
        certain=sum(login.relays().certain for login in relaying),
        logins=tuple(found),
        delays=tuple(sorted(join.delays.items())),
        graces=graces,
        proposed=next((each.seconds for each in graces if messages and each.messages <= _BEARABLE * messages), None),
        caps=_caps(relaying, names, join.tried),
        hourly=tuple(sorted(login.relays().most_an_hour for login in relaying)),
        pseudonyms=pseudonyms,
        skipped=skipped,
    )


def _login(login: Login, name: str, names: Names) -> LoginFound:
    relaying = login.relaying
    if relaying is None and name == "unused":
        # Nearly all are.
        return _new_tuple(
            LoginFound,
            (names.login(login.name), name, "", login.logins, 0, 0, 0, 0, 0, (), (), 0, login.first, login.last),
        )
    relaying = relaying or _NOTHING
    networks = (login.spread.fixed() or []) if name == "fixed" else []
    return LoginFound(
        name=names.login(login.name),
        verdict=name,
        why="; ".join(suspicions(login)) if name == "suspect" else "",
        logins=login.logins,
        messages=relaying.messages,
        certain=relaying.certain,
        recipients=relaying.recipients,
        most_an_hour=relaying.most_an_hour,
        addresses=len(relaying.addresses),
        networks=tuple(names.address(str(network)) for network in networks),
        hosts=tuple(names.host(helo) for helo in sorted(relaying.helos)[:_NAMES]),
        longest=relaying.max_since,
        first=login.first,
        last=login.last,
    )


def _caps(relaying: Sequence[Login], names: Names, tried: Sequence[Rate]) -> tuple[Cap, ...]:
    by_cap = {
        **{
            (str(rate), "user"): [sum(login.relays().refused[place : place + 1]) for login in relaying]
            for place, rate in enumerate(tried)
        },
        (str(ADDRESS_CAP), "address"): [login.relays().refused_by_address for login in relaying],
    }
    found = []
    for (rate, of), refused in by_cap.items():
        over = sorted((-n, login.name) for n, login in zip(refused, relaying, strict=True) if n)
        found.append(Cap(rate, of, sum(refused), tuple(names.login(name) for _, name in over)))
    return tuple(found)


def quantile(ascending: Sequence[tuple[int, int]], share: float) -> int:
    """The least value that this share of all does not exceed; `ascending` are values and how often each comes."""
    total = sum(n for _, n in ascending)
    reached = 0
    for value, n in ascending:
        reached += n
        if reached >= share * total:
            return value
    return 0
