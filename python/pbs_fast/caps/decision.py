"""What a table that counts asks of the caps: the protocol Caps, its Verdict, and NoCaps for a daemon without [caps].

Knows no MTA and no protocol: a recipient is one that a granted client wants to relay to.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol


class Verdict(NamedTuple):
    """What a cap says of one recipient."""

    kind: Literal["ok", "warn", "hold", "over"]
    """`ok`: below every cap, counted. `warn`: over one, which only warns; counted, to be accepted. `hold`: over one; to
    be accepted and kept in the MTA's queue. `over`: to be refused for now. What is held or refused counts against no
    cap."""
    text: str = ""
    """For the client and the MTA's log: one line of printable ASCII without line ends, as in `200 of 200 recipients in
    an hour`; empty for `ok`."""
    cap: str = ""
    """Which cap: `user` or `address`, with the rate, as in `user 200/1h`; empty for `ok`."""


OK = Verdict("ok")


class Caps(Protocol):
    """Counts recipients and messages per login and address.

    Called by the thread of each table that counts, which may be several at once, so an implementation locks. Raises
    nothing: an exception costs the MTA's connection. Must not block on anything but that lock.
    """

    @property
    def holds(self) -> bool:
        """Whether a verdict may be `hold`, which only some tables can carry out."""

    def count(
        self, user: str | None, address: str, instance: str, queue_id: str, now: float, *, new_message: bool
    ) -> Verdict:
        """Judge one more recipient of a granted client, and count it if the verdict is `ok` or `warn`.

        `user` is the row's user as the log has it (not folded), None if the log names none; `address` the canonical
        text of the row's address; `instance` tells one message from all others of the MTA; `queue_id` is empty until
        the MTA has one; `now` is on the ledger's clock (util/clock.py), in
        seconds that look like those since the epoch. `new_message`: no recipient of this message was accepted
        before.
        """

    def queued(self, user: str | None, address: str, instance: str, queue_id: str, now: float) -> None:
        """Note the queue id of a message whose recipients were counted: the MTA has it at DATA at the latest."""


class NoCaps:
    """No cap is set, so everything is below all of them."""

    holds = False

    def count(self, *_: object, **__: object) -> Verdict:
        """Always OK."""
        return OK

    def queued(self, *_: object) -> None:
        """Nothing to note."""
