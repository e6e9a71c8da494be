"""What the parts hand to each other: Batch (matcher to ledger), Delta (ledger to tables) and several as one, Counters.

Pure data. The meaning of each column is in docs/MATCHING.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from itertools import compress
from typing import Literal, NamedTuple

Kind = Literal["login", "logout", "restart", "killed", "aborted"]
"""The last three are words of a server that end sessions without a logout; they are in unfolded rows only."""

#: A timestamp later than the reference by more than this many seconds is *ahead* (docs/MATCHING.md, 6).
MAX_AHEAD = 300


class Event(NamedTuple):
    """One line that carries an event, or a missed line, as `pbs-fast match` shows it."""

    offset: int
    """Byte offset of the line's first byte in its source."""
    kind: Literal["login", "logout", "missed"]
    ip: str | None
    """Canonical text; None only for a logout without address whose session was not seen, and for missed lines."""
    timestamp: int | None
    """Seconds since the epoch (UTC), the fraction cut off; None for missed lines."""
    format: str
    """Name of the format; for `no-pattern`, the first of the tag's formats whose success text stands in the line; for
    other missed lines, the format whose pattern took the line."""
    user: str | None
    host: str
    session: str | None
    tls: bool | None
    loop: bool
    """True when the remote and the local end of the login are the same address."""
    reason: str | None
    """Why a line was missed; None otherwise."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one source, folded or not, as columns of equal length (docs/MATCHING.md, 6)."""

    source: str
    ip: list[str] = field(default_factory=list)
    """Canonical text; "" in unfolded rows, for a logout of nobody known and for what ends sessions without one."""
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    n: list[int] = field(default_factory=list)
    kind: list[Kind] = field(default_factory=list)
    format: list[str] = field(default_factory=list)
    host: list[str] = field(default_factory=list)
    offset: list[int] = field(default_factory=list)
    tls: list[bool | None] = field(default_factory=list)
    loop: list[bool] = field(default_factory=list)
    session: list[str | None] = field(default_factory=list)
    user_first: list[str | None] = field(default_factory=list)
    user_last: list[str | None] = field(default_factory=list)
    users: list[int] = field(default_factory=list)
    process: list[str] = field(default_factory=list)
    """In unfolded rows `tag[pid]` as the line has them, or with the pattern's group `pid`; `tag` without pid, `[pid]`
    without tag; else ""."""

    def __len__(self) -> int:
        return len(self.ip)

    def select(self, keep: Iterable[bool]) -> Batch:
        """Those of the rows for which `keep`, as long as the columns, is true."""
        mask = list(keep)
        return Batch(self.source, *(list(compress(getattr(self, name), mask)) for name in _COLUMNS))


_COLUMNS = tuple(column.name for column in fields(Batch) if column.name != "source")


class Grant(NamedTuple):
    """The value side of one row of a table."""

    expires: int
    """Seconds on the clock of whoever made the Delta; the row is dead at now >= expires."""
    user: str | None
    format: str
    why: str
    """`new`, `renewed`, `session`, `recovered` or `manual`."""
    host: str = ""
    """The host field of the log line, for the audit; "" when the layout has none."""
    node: str = ""
    """The node whose log explains the row; "" for our own."""


class SharedRow(NamedTuple):
    """A grant of another node, on this node's ledger clock."""

    ip: str
    expires: int
    """Rounded up to a second."""
    login: float
    """The second of the login."""
    user: str | None
    format: str
    host: str
    node: str


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed: rows to set (renewals included) and keys to remove; no key is in both."""

    set: dict[str, Grant] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    hidden: dict[str, Grant] = field(default_factory=dict)
    """Rows of our own logs that a longer one of another node hides: nothing for tables, but for the other nodes."""

    def __bool__(self) -> bool:
        return bool(self.set or self.removed)


class Changes:
    """Deltas put together: a newer change to an address replaces the older."""

    __slots__ = ("_removed", "_set")

    def __init__(self) -> None:
        self._set: dict[str, Grant] = {}
        self._removed: dict[str, None] = {}

    def __len__(self) -> int:
        """How many addresses have a change."""
        return len(self._set) + len(self._removed)

    def __contains__(self, ip: object) -> bool:
        return ip in self._set or ip in self._removed

    def add(self, delta: Delta) -> None:
        """Take up later changes."""
        for ip in delta.removed:
            self._set.pop(ip, None)
            self._removed[ip] = None
        if self._removed:
            for ip in delta.set:
                self._removed.pop(ip, None)
        self._set.update(delta.set)

    def delta(self) -> Delta:
        """All of them as one."""
        return Delta(self._set, tuple(self._removed))


class Counters(Counter[str]):
    """Named counters of one run. Each line, event and refusal ends in exactly one of them."""
