"""The administrator's deny list, `deny.toml`: addresses, networks and users that get no grant, or none until a time.

    [[deny]]
    addresses = ["203.0.113.7"]
    networks = ["198.51.100.0/24"]
    users = ["mallory@example.org"]
    until = 2026-12-24T18:00:00Z        # optional; without zone: local time
    reason = "stolen password"          # optional, for the reader

Read at start and on SIGHUP. Raises ConfigError with file, line and the nearest known key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from math import inf

from pbs_fast.errors import ConfigError
from pbs_fast.util.addresses import Network, NetworkTable, parse, parse_network
from pbs_fast.util.admin_files import parse_toml, read_admin_file
from pbs_fast.util.text import fold_user, printable
from pbs_fast.util.toml_lines import Path, lines

#: Longest text of the file that a message repeats.
_SHOWN = 60
#: Logs have whole seconds, and a login of another node comes over a hub's clock, which is known to some tenths: one
#: that is nearer to a denial's end than this many seconds is of the second that begins there.
_NEXT_SECOND = 0.6
_KEYS = ("addresses", "networks", "users", "until", "reason")


@dataclass(frozen=True, slots=True)
class Denial:
    """One `[[deny]]`."""

    networks: tuple[Network, ...] = ()
    users: tuple[str, ...] = ()
    until: float = inf
    """Seconds since the epoch at which it ends."""
    reason: str = ""
    uid: int | None = None
    """Who denied it by command; None for a denial of the file."""
    nodes: tuple[str, ...] = ()
    """Other nodes, whose grants do not count; for who takes these."""
    by: str = ""
    """Who denied it, in words, where it was on another node."""
    maker: str = ""
    """That node."""

    def covers(self, ip: str | None, user: str | None) -> bool:
        """Whether it is about this address or this user."""
        if user is not None and fold_user(user) in self.users:
            return True
        address = None if ip is None else parse(ip)
        return address is not None and any(network.holds(*address) for network in self.networks)


@dataclass(frozen=True, slots=True)
class InForce:
    """What is denied during `since <= wall < until` (seconds since the epoch)."""

    networks: tuple[Network, ...]
    users: frozenset[str]
    """Folded with `fold_user`."""
    denials: int
    """How many they are."""
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class DenyList:
    """All denials of a file, including those that have ended."""

    denials: tuple[Denial, ...] = field(default=())

    def at(self, wall: float) -> InForce:
        """What is in force at `wall`, and the interval of the wall clock in which that does not change."""
        ends = {denial.until for denial in self.denials}
        holding = [denial for denial in self.denials if wall < denial.until]
        return InForce(
            networks=tuple(network for denial in holding for network in denial.networks),
            users=frozenset(user for denial in holding for user in denial.users),
            denials=len(holding),
            since=max((end for end in ends if end <= wall), default=-inf),
            until=min((end for end in ends if end > wall), default=inf),
        )


class CoveredLogins:
    """Which logins denials cover by their time: those before a denial's end, also when it has come."""

    def __init__(self, denials: Iterable[Denial]) -> None:
        """Some milliseconds for 10,000 denials; a question takes no longer for many."""
        self._users: dict[str, float] = {}
        networks: list[tuple[Network, float]] = []
        for denial in denials:
            last = denial.until - _NEXT_SECOND
            networks += [(network, last) for network in denial.networks]
            for user in denial.users:
                self._users[user] = max(last, self._users.get(user, -inf))
        # The first network that holds an address is the one that is denied longest.
        self._networks = NetworkTable(sorted(networks, key=lambda each: -each[1]))

    def hold(self, ip: str, user: str | None, login: float) -> bool:
        """Whether a login at this second is covered."""
        if user is not None and self._users and login <= self._users.get(fold_user(user), -inf):
            return True
        address = parse(ip) if len(self._networks) else None
        found = None if address is None else self._networks.find(*address)
        return found is not None and login <= found


def read_deny(path: str) -> DenyList:
    """The deny list of a file; empty if the file does not exist. Raises ConfigError."""
    try:
        text = read_admin_file(path).decode()
        document = parse_toml(text)
        reader = _Reader(path, text)
    except FileNotFoundError:
        return DenyList()
    except PermissionError as error:
        raise ConfigError(f"{path}: {error.strerror}; give the daemon's user read access, or remove it") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file of [[deny]] tables, or remove it") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}; correct that line") from None
    return DenyList(tuple(reader.denials(document)))


def _one_line(reason: object) -> str:
    return printable(reason) if isinstance(reason, str) else ""


def _shown(text: str) -> str:
    """Text from the file, shortened for a one-line message."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


class _Reader:
    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._lines = lines(text)

    def _error(self, at: Path, what: str) -> ConfigError:
        return ConfigError(f"{self._path}:{self._lines.get(at, 1)}: {what}")

    def denials(self, document: dict[str, object]) -> Iterable[Denial]:
        for name in document:
            if name != "deny":
                raise self._error((name,), f'"{_shown(name)}" is not known here; the file holds [[deny]] tables')
        tables = document.get("deny", [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._error(("deny",), '"deny" must be tables; write [[deny]] above them')
        for index, table in enumerate(tables):
            yield self._denial(table, ("deny", index))

    def _denial(self, table: dict[str, object], at: Path) -> Denial:
        for name in table:
            if name not in _KEYS:
                near = get_close_matches(name, _KEYS, 1) or [", ".join(_KEYS)]
                raise self._error((*at, name), f'"{_shown(name)}" is not a key of [[deny]]; did you mean {near[0]}?')
        networks = []
        for key in ("addresses", "networks"):
            for index, text in enumerate(self._texts(table, at, key)):
                try:
                    network = parse_network(text)
                except ValueError as error:
                    raise self._error((*at, key, index), f'"{_shown(text)}" {error}') from None
                if key == "addresses" and network.prefix != network.width:
                    raise self._error((*at, key, index), f'"{_shown(text)}" is a network; put it under networks')
                networks.append(network)
        users = tuple(map(fold_user, self._texts(table, at, "users")))
        if not networks and not users:
            raise self._error(at, "this [[deny]] denies nothing; give it addresses, networks or users")
        return Denial(tuple(networks), users, self._until(table, at), _one_line(table.get("reason")))

    def _texts(self, table: dict[str, object], at: Path, key: str) -> list[str]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise self._error((*at, key), f'"{key}" must be a list of texts, such as {key} = ["…"]')
        return value

    def _until(self, table: dict[str, object], at: Path) -> float:
        value = table.get("until")
        if value is None:
            return inf
        if not isinstance(value, datetime):
            raise self._error((*at, "until"), '"until" must be a date and a time, such as 2026-12-24T18:00:00Z')
        try:
            return value.timestamp()
        except (OverflowError, ValueError, OSError):  # such as year 1, which the C library cannot convert
            raise self._error((*at, "until"), f'"until" = {value} is out of range; leave it out') from None
