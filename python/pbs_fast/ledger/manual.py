"""Grants and denials made by an administrator on the running daemon. Pure: no clock, no file.

All times are whole seconds since the epoch, because they are to hold over a restart. Invariants: each has an end at
most LONGEST seconds after it was made; there are at most MOST of each kind; what `decode` returns was made by `encode`
or is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pbs_fast.util.addresses import canonical, parse_network
from pbs_fast.util.text import fold_user

#: Longest grant or denial in seconds, as the longest `grace`: what should last belongs in mynetworks or deny.toml.
LONGEST = 30 * 86_400
#: Grants, and denials.
MOST = 10_000
_VERSION = 1
#: Longest name of a user and longest reason, in characters.
LONGEST_USER = 256
LONGEST_REASON = 500

Whom = Literal["ip", "network", "user", "node"]


class ManualError(Exception):
    """There are too many; the text says so."""


class DamagedError(Exception):
    """The text is not what `encode` made. `left` holds its readable denials and no grant."""

    def __init__(self, text: str, left: Manual) -> None:
        super().__init__(text)
        self.left = left


class ManualGrant(NamedTuple):
    """One address that may relay."""

    ip: str
    until: int
    made: int
    uid: int
    reason: str


class ManualDenial(NamedTuple):
    """One address, network or user that gets no grant, or a node whose grants do not count."""

    kind: Whom
    what: str
    """Canonical text, or the user as given."""
    until: int
    made: int
    uid: int
    reason: str
    node: str = ""
    """The other node on which it was made; "" for our own."""
    by: str = ""
    """Who made it there, in that node's words."""
    number: int = 0
    """Its number among the revocations of its node; 0 where nothing is shared."""


@dataclass(slots=True)
class Manual:
    """What is in force, or was."""

    grants: dict[str, ManualGrant] = field(default_factory=dict)
    """By address."""
    denials: dict[tuple[Whom, str], ManualDenial] = field(default_factory=dict)
    """By kind and what, users case-folded."""
    others: dict[tuple[str, Whom, str], ManualDenial] = field(default_factory=dict)
    """Denials made on other nodes, by that node, kind and what."""
    undone: dict[tuple[Whom, str], ManualDenial] = field(default_factory=dict)
    """Denials of this node that other nodes must hear are undone, with `made` the second of the undoing, until they
    would have ended."""

    def copy(self) -> Manual:
        """One that changes by itself."""
        return Manual(dict(self.grants), dict(self.denials), dict(self.others), dict(self.undone))

    def grant(self, grant: ManualGrant) -> None:
        """Add a grant, or replace that of the same address. Raises ManualError."""
        if grant.ip not in self.grants and len(self.grants) >= MOST:
            raise ManualError(f"there are {MOST} manual grants; list lasting ones in mynetworks")
        self.grants[grant.ip] = grant

    def deny(self, denial: ManualDenial) -> None:
        """Add a denial; one of the same stays if it lasts longer. Raises ManualError."""
        key = key_of(denial.kind, denial.what)
        before = self.denials.get(key)
        if before is None and len(self.denials) >= MOST:
            first = min(self.denials, key=lambda each: self.denials[each].until)
            if self.denials[first].until <= denial.made:
                del self.denials[first]  # has ended, and is kept for a start only
        if before is None and len(self.denials) >= MOST:
            raise ManualError(f"there are {MOST} manual denials; put lasting ones into deny.toml")
        if before is None or before.until <= denial.until:
            self.denials[key] = denial
        self.undone.pop(key, None)

    def deny_as_others(self, denial: ManualDenial) -> bool:
        """Add a denial of another node, or replace its earlier one of the same; whether there was room. A node that has
        made the most has none beyond MOST, and loses its oldest for one of another node."""
        key = (denial.node, *key_of(denial.kind, denial.what))
        if key not in self.others and len(self.others) >= MOST:
            made = Counter(node for node, _, _ in self.others)
            [(most, count)] = made.most_common(1)
            if made[denial.node] >= count - 1:
                return False
            del self.others[next(each for each in self.others if each[0] == most)]
        self.others[key] = denial
        return True

    def forget(self, ips: Iterable[str]) -> bool:
        """Drop the grants of these addresses; whether there was one."""
        before = len(self.grants)
        for ip in ips:
            self.grants.pop(ip, None)
        return len(self.grants) < before

    def undo(self, kind: Whom, what: str) -> tuple[ManualDenial | None, ManualGrant | None]:
        """Drop the denial, and the grant, of exactly this."""
        denial = self.denials.pop(key_of(kind, what), None)
        return denial, self.grants.pop(what, None) if kind == "ip" else None

    def end(self, wall: float, keep: int = 0) -> None:
        """Drop what has ended; denials `keep` seconds later, because a start may find logins that they cover."""
        self.grants = {ip: grant for ip, grant in self.grants.items() if grant.until > wall}
        self.denials = {key: denial for key, denial in self.denials.items() if denial.until > wall - keep}
        self.others = {key: denial for key, denial in self.others.items() if denial.until > wall - keep}
        self.undone = {key: denial for key, denial in self.undone.items() if denial.until > wall}

    def encode(self) -> bytes:
        """As JSON."""
        record = {
            "version": _VERSION,
            "grants": [grant._asdict() for grant in self.grants.values()],
            "denials": [denial._asdict() for denial in self.denials.values()],
            "others": [denial._asdict() for denial in self.others.values()],
            "undone": [denial._asdict() for denial in self.undone.values()],
        }
        return json.dumps(record, separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Manual:
    """What `encode` wrote. Raises DamagedError, whatever the bytes are."""
    found = Manual()
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"it is not JSON ({type(error).__name__})", found) from None
    if not isinstance(record, dict) or record.get("version") != _VERSION:
        raise DamagedError("it is of another version", found)
    damaged = 0
    for entry in _list(record.get("denials")):
        try:
            found.deny(_denial(entry))
        except (LookupError, TypeError, ValueError, ManualError):
            damaged += 1
    for entry in _list(record.get("others", [])):
        try:
            found.deny_as_others(_denial(entry))
        except (LookupError, TypeError, ValueError):
            damaged += 1
    for entry in _list(record.get("undone", [])):
        try:
            denial = _denial(entry)
            found.undone[key_of(denial.kind, denial.what)] = denial
        except (LookupError, TypeError, ValueError):
            damaged += 1
    grants: list[ManualGrant] = []
    for entry in _list(record.get("grants")):
        try:
            grants.append(_grant(entry))
        except (LookupError, TypeError, ValueError):
            damaged += 1
    if damaged or len(grants) > MOST:
        raise DamagedError(f"{damaged or len(grants)} of its entries cannot be used", found)
    found.grants = {grant.ip: grant for grant in grants}
    return found


def key_of(kind: Whom, what: str) -> tuple[Whom, str]:
    """Users are compared case-insensitively, as in the deny list."""
    return kind, fold_user(what) if kind == "user" else what


def _list(value: object) -> Iterator[Any]:
    """The entries of a list; one unusable entry for anything else."""
    yield from value if isinstance(value, list) else [None]


def _grant(entry: Any) -> ManualGrant:
    ip = _text(entry["ip"], 45)
    if canonical(ip) != ip:
        raise ValueError(ip)
    return ManualGrant(ip, *_common(entry))


def _denial(entry: Any) -> ManualDenial:
    kind, what = entry["kind"], _text(entry["what"], LONGEST_USER)
    if kind not in ("ip", "network", "user", "node") or not what:
        raise ValueError(kind)
    if kind == "ip" and canonical(what) != what:
        raise ValueError(what)
    if kind == "network":
        parse_network(what)
    node, by = _text(entry.get("node", ""), LONGEST_USER), _text(entry.get("by", ""), LONGEST_USER)
    return ManualDenial(kind, what, *_common(entry), node, by, _whole(entry.get("number", 0)))


def _common(entry: Any) -> tuple[int, int, int, str]:
    until, made, uid = (_whole(entry[name]) for name in ("until", "made", "uid"))
    if not 0 < until - made <= LONGEST:
        raise ValueError(until)
    return until, made, uid, _text(entry["reason"], LONGEST_REASON)


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise TypeError(value)
    value.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ValueError(value)
    return value
