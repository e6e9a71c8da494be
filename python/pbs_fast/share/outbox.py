"""Which of our own rows and revocations to send to which hub, and when. Pure: no clock, no network.

One Outbox serves all hubs; a hub is its number. Of a hub's pipeline (XREVRANGE, XADD…, TIME) the daemon tells what came
back; then `entries` makes the next bytes. Order of one exchange: `end_was` with the last id that XREVRANGE found
*before* the XADDs, then `wrote` with their ids, or `failed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from pbs_fast.events import Delta, Grant
from pbs_fast.share.clock import HubClock
from pbs_fast.share.message import Entry
from pbs_fast.share.tombstones import Denied

Cause = Literal["end_differs", "hub_step", "asked"]


class Rows(Protocol):
    """The part of the ledger that the outbox asks."""

    def own(self, ip: str) -> Grant | None:
        """The row that our own logs explain, even if a longer one of another node hides it."""

    def login(self, ip: str) -> int:
        """The second of the newest login of an own row, on the ledger's clock."""


class Trim(NamedTuple):
    """What XADD is to drop from our stream."""

    minid: str
    exact: bool
    """True: `MINID = minid`, after a step of the hub's clock; False: `MINID ~ minid`."""


class Outgoing(NamedTuple):
    """One XADD to our stream."""

    entry: Entry
    trim: Trim | None


class Outbox:
    """What is owed to each hub. Not for several threads at once."""

    def __init__(
        self,
        *,
        site: str,
        node: str,
        run: str,
        secret: bytes,
        grace: int,
        rows: Rows,
        hubs: int,
        version: str,
        seen: Callable[[], dict[str, int]],
        now: float,
        random: Callable[[], float],
    ) -> None:
        """`run` tells this run of the daemon from others (8 hex digits); `seen` is `Tombstones.seen`; `random` gives
        numbers of [0, 1) for the jitter."""
        self.counters: list[Counter[str]] = [Counter() for _ in range(hubs)]
        """For each hub: `rows_sent`, `messages_sent`, and `full_CAUSE`."""
        self.refused = 0
        """Own rows that no message can carry (texts too long or not printable)."""
        raise NotImplementedError

    def take(self, delta: Delta, now: float) -> None:
        """What the ledger changed, by our own logs or by other nodes: only rows of our own logs are sent."""
        raise NotImplementedError

    def revoke(self, denied: Denied, now: float) -> None:
        """Send a revocation of this node at once, and again each half `grace` until it is over (`until`, for an undone
        one that of the revocation before)."""
        raise NotImplementedError

    def turn(self, now: float) -> None:
        """Half-lives and full sends whose time has come."""
        raise NotImplementedError

    def next_turn(self) -> float | None:
        """When to call `turn` again, at the latest."""
        raise NotImplementedError

    def due(self, hub: int, now: float) -> bool:
        """Whether `entries` has something to send now: a new row, rows collected for 5 s, or a beat."""
        raise NotImplementedError

    def next_due(self, hub: int, now: float) -> float:
        """When `due` becomes true without a further change."""
        raise NotImplementedError

    def waiting(self, hub: int) -> int:
        """Rows and revocations owed to a hub, those under way included."""
        raise NotImplementedError

    def entries(self, hub: int, clock: HubClock, now: float, most: int = 64) -> list[Outgoing]:
        """Make the next messages of a hub, new rows first; the last one is a beat where one is due.

        They are under way until `wrote` or `failed`. The hub's clock must be known.
        """
        raise NotImplementedError

    def wrote(self, hub: int, ids: Sequence[str]) -> None:
        """All messages under way were written, with these ids."""
        raise NotImplementedError

    def failed(self, hub: int) -> None:
        """Nobody knows which of the messages under way were written: all their rows are owed again."""
        raise NotImplementedError

    def end_was(self, hub: int, last: str | None, now: float) -> bool:
        """The last id of our stream, None if it is empty; whether it is that of our last XADD. If not, all own rows are
        sent again after 0-5 s, at most once a minute."""
        raise NotImplementedError

    def stepped(self, hub: int, now: float) -> None:
        """The hub's clock was set (`HubClock.sample`): all rows again, and what was written before is dropped."""
        raise NotImplementedError
