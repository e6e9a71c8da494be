"""What other nodes wrote: sequence, gaps, silence, revocations; rows for the guards and the ledger. Pure.

One Inbox serves all hubs; a hub is its number. `reads` says from which id which stream is to be read. Whenever a stream
must be read again (gap, silence, the hub's clock was set), `reads` gives it once more with a new number of the reading;
what an older reading still delivers is passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pbs_fast.events import SharedRow
from pbs_fast.share.clock import HubClock
from pbs_fast.share.message import Message, Refusal
from pbs_fast.share.tombstones import Denied, Tombstones

Cause = Literal["start", "gap", "silence", "hub_step", "revoked"]


class Read(NamedTuple):
    """Read this node's stream from now on after this id."""

    node: str
    reading: int
    after: str


class Got(NamedTuple):
    """One entry, decoded by `message.decode` (which the hub's thread may do)."""

    node: str
    reading: int
    id: str
    message: Message | Refusal


@dataclass(slots=True)
class Arrived:
    """What the daemon has to do now, in this order."""

    denied: list[Denied] = field(default_factory=list)
    """New revocations: put those of `Tombstones.in_force` into force, and remove each row that they cover."""
    rows: list[SharedRow] = field(default_factory=list)
    """For the guards and `Ledger.merge`."""


class NodeState(NamedTuple):
    """What is known of another node."""

    name: str
    trusted: bool
    heard: float | None
    """When its last beat was made, on the ledger's clock; the newest of all hubs."""
    silent: bool
    """No beat for 30 s."""
    rows: int
    """Own live rows, as it says."""
    version: str | None
    gaps: int
    received: int
    """Rows received from it."""
    seen: dict[str, int]
    """The highest number of each node's revocations in force there."""


class Inbox:
    """What was read from all hubs. Not for several threads at once."""

    def __init__(
        self, *, node: str, trusted: Iterable[str], longest: int, hubs: int, tombstones: Tombstones, now: float
    ) -> None:
        """`trusted` may hold "*": then `discovered` names the nodes. Our own stream is never read."""
        self.counters: list[Counter[str]] = [Counter() for _ in range(hubs)]
        """For each hub: `refused_REASON` (signature, node, clock, replay, malformed, too_long), `refused_rows`,
        `revoked_rows`, `spent_rows`, `rows`, and `full_CAUSE` for readings."""
        raise NotImplementedError

    def trust(self, trusted: Iterable[str]) -> frozenset[str]:
        """Trust these from now on; the nodes that no longer are, whose rows must go (`Ledger.distrust`)."""
        raise NotImplementedError

    def discovered(self, names: Iterable[str]) -> None:
        """The names of the hub's set: read where everybody is trusted, else only shown."""
        raise NotImplementedError

    def reads(self, hub: int, clock: HubClock, now: float) -> list[Read]:
        """The streams to read, or to read again, that were not given before. None before the clock is known."""
        raise NotImplementedError

    def connected(self, hub: int, now: float) -> None:
        """There is a new connection: go on after the last id of each stream, which `reads` gives again."""
        raise NotImplementedError

    def take(self, hub: int, clock: HubClock, got: Iterable[Got], now: float) -> Arrived:
        """Entries of one hub, each stream's in its order."""
        raise NotImplementedError

    def caught_up(self, hub: int, node: str, reading: int) -> None:
        """A reading has come to the stream's end for the first time: the hub gave all that it had."""
        raise NotImplementedError

    def sampled(self, hub: int, step: float, now: float) -> None:
        """The hub answered TIME; `step` is what `HubClock.sample` returned. After a step all is read again that came
        since the answer before; what is older was read with the right clock and is not read again."""
        raise NotImplementedError

    def turn(self, hub: int, now: float) -> None:
        """Look for silent nodes: to be called each second or so while the hub answers."""
        raise NotImplementedError

    def denied(self, denied: Denied, now: float) -> bool:
        """Take a revocation made on this node; whether it says something new."""
        raise NotImplementedError

    def ready(self, now: float) -> bool:
        """Whether every trusted stream of one hub was read to its end, or 10 s have passed."""
        raise NotImplementedError

    def complete(self, now: float) -> bool:
        """Whether the hubs explain all rows of trusted nodes: of one hub each trusted stream reached back as far as its
        node's grace, was read to its end, and its node beat within 30 s."""
        raise NotImplementedError

    def nodes(self, now: float) -> list[NodeState]:
        """All known nodes by name."""
        raise NotImplementedError
