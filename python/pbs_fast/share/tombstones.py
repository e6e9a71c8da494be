"""Revocations of all nodes: no row comes back whose login they cover, however late or often it is sent. Pure.

A revocation covers the logins before its `until`. Each maker numbers its own, and of one maker and subject the highest
number counts (an undone revocation is a later record that ends at the undoing), so order and repetition do not matter.

Seconds of different hubs cannot be compared, so `until` and the time of a login are both converted to this node's
ledger clock, each with the offset of the hub that brought it.
"""

from __future__ import annotations

from typing import NamedTuple

from pbs_fast.share.message import Revoke, What


class Denied(NamedTuple):
    """One revocation on this node's ledger clock."""

    node: str
    """Who made it; a row of an address revoked by one node is refused from whichever node it comes."""
    kind: What
    what: str
    until: float
    number: int
    by: str
    why: str


class Tombstones:
    """What was revoked. Not for several threads at once."""

    def __init__(self, longest: int) -> None:
        """Each is kept until `longest` seconds after its `until`: no row lasts longer than `longest`."""
        self.forgotten = 0
        """How many were dropped early, because there were more than MOST."""
        raise NotImplementedError

    def add(self, denied: Denied, now: float) -> bool:
        """Take a revocation; whether it says something new. Own ones too."""
        raise NotImplementedError

    def refuses(self, ip: str, user: str | None, node: str, login: float) -> bool:
        """Whether a row with a login at this second is revoked; `node` is "" for our own."""
        raise NotImplementedError

    def in_force(self, now: float) -> list[Denied]:
        """The revocations whose `until` is to come: what no node may grant now."""
        raise NotImplementedError

    def seen(self) -> dict[str, int]:
        """The highest number of each maker (`rv` of our beats)."""
        raise NotImplementedError


def wire(denied: Denied, offset: float) -> Revoke:
    """As it travels over a hub whose clock is `offset` seconds ahead of ours."""
    raise NotImplementedError
