"""All guards over a Batch: which of its rows may reach the ledger, and why the others may not.

What speaks against an address alone is `answers.py`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.events import Batch, Counters, Grant
from pbs_fast.guards.answers import LOCAL, Answers, Near
from pbs_fast.guards.deny import CoveredLogins, Denial, DenyList
from pbs_fast.guards.hosts import Hosts
from pbs_fast.guards.limits import Limits, Live
from pbs_fast.guards.networks import PRIVATE, SPECIAL
from pbs_fast.guards.shared_addresses import SharedAddresses
from pbs_fast.guards.user_addresses import UserAddresses
from pbs_fast.util.addresses import Network, NetworkTable, parse_canonical, parse_network
from pbs_fast.util.text import fold_user

if TYPE_CHECKING:
    from pbs_fast.config.model import Guards as GuardConfig
    from pbs_fast.guards.machine import Machine
    from pbs_fast.guards.netblocks import Netblocks

#: Stands in the place of a guard's name on logouts, which no guard but `hosts` looks at.
_LOGOUT = "logout"


class Refusal(NamedTuple):
    """One row that may not reach the ledger."""

    ip: str
    guard: str
    """LOCAL, or the guard's name."""
    n: int
    """Events in the row."""
    user: str | None
    host: str
    last: int
    """Timestamp of the last of them."""
    source: str
    """The log."""


@dataclass(frozen=True, slots=True)
class Screened:
    """What became of a Batch."""

    batch: Batch
    """The rows for the ledger: logins that may be granted, and logouts."""
    refused: list[Refusal] = field(default_factory=list)
    revoke: tuple[str, ...] = ()
    """Live addresses that must go now."""
    warnings: list[str] = field(default_factory=list)


class Guards:
    """The guards in force. Not for several threads at once."""

    def __init__(
        self,
        config: GuardConfig,
        netblocks: Netblocks,
        machine: Machine,
        deny: DenyList,
        counters: Counters | None = None,
        near: Near | None = None,
    ) -> None:
        """Counts into `counters`: `local`, and `refused_NAME` for each guard, in events; `logout_refused`. `near`
        is the backend's."""
        self.counters = Counters() if counters is None else counters
        self._near = near
        self._crowd = SharedAddresses(config.max_users_per_address)
        self._roaming = UserAddresses(config.max_addresses_per_user)
        self._limits = Limits(config.max_rows, config.max_new_per_minute)
        self._hosts = Hosts(config.hosts)
        self._manual: tuple[Denial, ...] = ()
        self._covered: CoveredLogins | None = None
        """Of `_manual`; made when a replay asks."""
        self.reload(config, netblocks, machine, deny)

    def reload(self, config: GuardConfig, netblocks: Netblocks, machine: Machine, deny: DenyList) -> None:
        """Take over a new configuration; what was counted so far (users, new rows of this minute) goes on.

        Live rows are not looked at: ask `refused` which of them must go.
        """
        self._netblocks = netblocks
        self._listed = deny
        self._crowd.limit = config.max_users_per_address
        self._roaming.limit, self._refuses_many = config.max_addresses_per_user, config.refuse_many_addresses
        self._limits.max_rows, self._limits.max_new_per_minute = config.max_rows, config.max_new_per_minute
        self._hosts.allow(config.hosts)
        self._loop = config.loop
        entries: list[tuple[Network, str]] = []

        def add(guard: str, networks: Iterable[Network]) -> None:
            if getattr(config, guard, True):
                entries.extend((network, guard) for network in networks)

        for guard, networks in SPECIAL.items():
            add(guard, networks)
        add("own", machine.own)
        add("multicast", machine.broadcast)
        add("gateway", machine.gateways)
        entries += [(parse_network(text), "proxies") for text in config.proxies]
        self._fixed = entries
        # With their own guard on, gateways never come so far; with it off, a gateway is the crowd's likeliest face.
        self._private = NetworkTable((network, True) for network in (*PRIVATE, *machine.gateways))
        self.deny_manually(self._manual)

    def deny_manually(self, denials: tuple[Denial, ...]) -> None:
        """Put these denials into force, in place of those of the last call; those of deny.toml stay.

        Live rows are not looked at.
        """
        self._manual, self._covered = denials, None
        self._deny = DenyList((*denials, *self._listed.denials))
        self._enforce(0.0)

    @property
    def wants_events(self) -> bool:
        """True while users are looked at: a folded row hides those between first and last, so rows should be events."""
        return self._refuses_many or any(denial.users for denial in self._deny.denials)

    def answer(self, ip: str) -> str:
        """What speaks against an address as such: a guard's name, LOCAL, or "" when nothing does."""
        return self._answers.judge(ip)

    def against(self, ip: str | None, user: str | None, wall: float) -> str:
        """The guard that would refuse this address, or this user, now; LOCAL, or "" when none would."""
        self._refresh(wall)
        if ip is not None and (guard := self._answers.judge(ip)):
            return guard
        if user is not None and fold_user(user) in self._in_force.users:
            return "deny"
        return "max_users_per_address" if ip is not None and self._is_crowded(ip) else ""

    def denials(self, wall: float) -> list[Denial]:
        """The denials in force, manual ones first."""
        return [denial for denial in self._deny.denials if wall < denial.until]

    def denied(self, wall: float) -> int:
        """How many denials are in force; without counting them each time."""
        self._refresh(wall)
        return self._in_force.denials

    @property
    def max_rows(self) -> int:
        """The limits in force: rows."""
        return self._limits.max_rows

    @property
    def max_new_per_minute(self) -> int:
        """New rows in a minute."""
        return self._limits.max_new_per_minute

    def new_in_minute(self, live: Live, now: float) -> int:
        """How many rows are new in this minute."""
        return self._limits.new(live, now)

    def _is_crowded(self, ip: str) -> bool:
        """Whether it is a private address that too many users share."""
        return bool(self._crowd.among([ip])) and bool(self._private.find(*_parsed(ip)))

    def refused(self, rows: Mapping[str, Grant], wall: float) -> dict[str, str]:
        """Which rows (live ones after a reload, or those a table was found with) may not stay, and by which guard."""
        self._refresh(wall)
        found = {}
        for ip, row in rows.items():
            guard = self._answers.judge(ip)
            if not guard and row.user is not None and fold_user(row.user) in self._in_force.users:
                guard = "deny"
            if not guard and not row.node and self._hosts.strangers({row.host}):
                guard = "hosts"
            if guard:
                found[ip] = guard
        return found

    def screen(
        self, batch: Batch, live: Live, now: float, *, shift: int = 0, replay: bool = False, of_node: bool = False
    ) -> Screened:
        """Part the rows of a batch. `now` and `shift` as for the ledger; `live` is the ledger, asked and not changed.

        In a replay `max_new_per_minute` does not count: its rows are not new, they are found again. Manual denials that
        have ended refuse logins until their end there, or a start would grant again what they have removed. Rows
        `of_node`, another one, are no logins of ours: `hosts` does not hold for them, and their counters begin with
        `node_`.
        """
        self._refresh(now - shift)
        # The guard against each row, "" for none; empty while there is none against any, as nearly always.
        names: list[str] = []
        hosts = set() if of_node or not self._hosts.asks(batch.source) else set(batch.host)
        warnings = self._hosts.watch(batch.source, hosts)
        if answers := self._answers.against(batch.ip):
            names = [answers.get(ip, "") for ip in batch.ip]
        if self._loop and any(batch.loop):
            names = [
                name or ("loop" if loop else "") for name, loop in zip(_each(names, batch), batch.loop, strict=True)
            ]
        if strangers := self._hosts.strangers(hosts):
            names = [
                name or ("hosts" if host in strangers else "")
                for name, host in zip(_each(names, batch), batch.host, strict=True)
            ]
        if users := self._in_force.users:
            names = [
                name or ("deny" if _is_one(first, users) or _is_one(last, users) else "")
                for name, first, last in zip(_each(names, batch), batch.user_first, batch.user_last, strict=True)
            ]
        if replay and self._manual:
            if self._covered is None:
                self._covered = CoveredLogins(self._manual)
            names = [
                name or ("deny" if self._covered.hold(ip, user, last) else "")
                for name, ip, user, last in zip(_each(names, batch), batch.ip, batch.user_last, batch.last, strict=True)
            ]
        if batch.kind.count("login") < len(batch):
            # A logout grants nothing; only one that a stranger wrote must not reach the session count.
            names = [
                name if kind == "login" or host in strangers else _LOGOUT
                for name, kind, host in zip(_each(names, batch), batch.kind, batch.host, strict=True)
            ]
        revoke = self._crowded(batch, names, live, now, warnings)
        self._roams(batch, names, now - shift, warnings)
        room, guard = self._limits.room(live, now, replay=replay)
        if len(batch) > room:
            self._stop(batch, names, live, room, guard)
        return self._parted(batch, names, revoke, warnings, "node_" if of_node else "")

    def _refresh(self, wall: float) -> None:
        """Put the denials into force that hold now."""
        if not self._in_force.since <= wall < self._in_force.until:
            self._enforce(wall)

    def _enforce(self, wall: float) -> None:
        self._in_force = self._deny.at(wall)
        denied = ((network, "deny") for network in self._in_force.networks)
        self._answers = Answers(self._netblocks, NetworkTable([*self._fixed, *denied]), self._near)

    def _crowded(self, batch: Batch, names: list[str], live: Live, now: float, warnings: list[str]) -> tuple[str, ...]:
        """Count users; refuse (in `names`) private addresses that are crowded, and say which of them are live."""
        ips, first, last, distinct = batch.ip, batch.user_first, batch.user_last, batch.users
        if any(names):
            quiet = list(map(not_, names))
            ips, distinct = list(compress(ips, quiet)), list(compress(distinct, quiet))
            first, last = list(compress(first, quiet)), list(compress(last, quiet))
        fresh = self._crowd.saw(ips, first, last, distinct, now)
        refused = {ip for ip in self._crowd.among(batch.ip) if self._private.find(*_parsed(ip))}
        for ip in fresh:
            effect = (
                "it gets no grant"
                if ip in refused
                else "it keeps its grant; if it is a proxy, list it in guards.proxies"
            )
            warnings.append(
                f"{ip}: more than {self._crowd.limit} users logged in from this address within an hour; {effect}"
            )
        if refused:
            names[:] = [
                name or ("max_users_per_address" if ip in refused else "")
                for name, ip in zip(_each(names, batch), batch.ip, strict=True)
            ]
        return tuple(sorted(ip for ip in refused if ip in live))

    def _roams(self, batch: Batch, names: list[str], wall: float, warnings: list[str]) -> None:
        """Count the addresses of users; refuse (in `names`) those that are too many, if that is switched on."""
        users: list[str | None] = batch.user_last
        if any(names):
            users = [None if name else user for name, user in zip(names, users, strict=True)]
        over, fresh = self._roaming.saw(users, batch.ip, batch.last, wall)
        effect = "further ones get no grant" if self._refuses_many else "their grants stay"
        warnings += [
            f"{user}: logged in from more than {self._roaming.limit} addresses within an hour; {effect}; if the "
            "password is stolen: pbs-fast revoke"
            for user in fresh
        ]
        if over and self._refuses_many:
            names[:] = _each(names, batch)
            for index in over:
                names[index] = "max_addresses_per_user"

    @staticmethod
    def _stop(batch: Batch, names: list[str], live: Live, room: int, guard: str) -> None:
        """Refuse (in `names`) addresses that are not live, from the `room`-th on."""
        names[:] = _each(names, batch)
        admitted: set[str] = set()
        for index, (ip, name) in enumerate(zip(batch.ip, names, strict=True)):
            if name or ip in live or ip in admitted:
                continue
            if len(admitted) < room:
                admitted.add(ip)
            else:
                names[index] = guard

    def _parted(
        self, batch: Batch, names: list[str], revoke: tuple[str, ...], warnings: list[str], prefix: str
    ) -> Screened:
        if not any(names):
            return Screened(batch, [], revoke, warnings)
        keep = [not name or name is _LOGOUT for name in names]
        if all(keep):
            return Screened(batch, [], revoke, warnings)
        refused = []
        rows = zip(batch.ip, names, batch.n, batch.user_last, batch.host, batch.kind, batch.last, strict=True)
        for ip, name, n, user, host, kind, last in compress(rows, map(not_, keep)):
            if kind != "login":
                self.counters["logout_refused"] += n
                continue
            self.counters[f"{prefix}{name if name == LOCAL else f'refused_{name}'}"] += n
            refused.append(Refusal(ip, name, n, user, host, last, batch.source))
        return Screened(batch.select(keep), refused, revoke, warnings)


def _each(names: list[str], batch: Batch) -> list[str]:
    """A name for each row."""
    return names or [""] * len(batch)


def _is_one(user: str | None, of: Set[str]) -> bool:
    return user is not None and fold_user(user) in of


def _parsed(ip: str) -> tuple[int, int]:
    address = parse_canonical(ip)
    assert address is not None, ip  # noqa: S101 - an invariant: only canonical addresses come so far
    return address
