"""Which login sent which message: by address, instance and queue id of the MTA. Bounded, pure.

Postfix names a queue id from the second recipient or from DATA on; until then a message is known by its instance. What
is forgotten here can be found in Postfix's log again (`pbs-fast queue` reads both).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from pbs_fast.util.text import fold_user

#: Messages that are remembered, and for how many seconds. Some 400 bytes each.
MOST: Final = 65_536
LONGEST: Final = 86_400


class Message(NamedTuple):
    """A message of a granted client."""

    at: float
    """When its first recipient was accepted, on the counter's clock."""
    user: str | None
    """The login that was charged, as its row names it."""
    address: str
    queue_id: str
    """"" until the MTA names one."""
    recipients: int


class Attribution:
    """The messages of late. Not for several threads at once."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._messages: OrderedDict[tuple[str, str], Message] = OrderedDict()

    def __len__(self) -> int:
        return len(self._messages)

    def accepted(self, user: str | None, address: str, instance: str, queue_id: str, now: float) -> None:
        """One more recipient of a message was accepted."""
        key = address, instance
        known = self._messages.get(key)
        if known is None:
            self._forget(now)
            self._messages[key] = Message(now, user, address, queue_id, 1)
        else:
            self._messages[key] = known._replace(queue_id=queue_id or known.queue_id, recipients=known.recipients + 1)

    def queued(self, address: str, instance: str, queue_id: str) -> None:
        """The MTA has a queue id for a message; nothing for one of which nothing was accepted."""
        key = address, instance
        if queue_id and (known := self._messages.get(key)) is not None and known.queue_id != queue_id:
            self._messages[key] = known._replace(queue_id=queue_id)

    def messages(self) -> list[Message]:
        """All that are remembered, the oldest first: 1 ms for MOST."""
        return list(self._messages.values())

    def _forget(self, now: float) -> None:
        """Make room for one message."""
        while self._messages:
            oldest = next(iter(self._messages))
            if len(self._messages) < self._most and now - self._messages[oldest].at < LONGEST:
                return
            del self._messages[oldest]


def sent_by(messages: list[Message], user: str | None, address: str | None, since: float) -> list[Message]:
    """Those of a login, or of an address, that began at `since` or later; the oldest first."""
    folded = None if user is None else fold_user(user)
    return [
        each
        for each in messages
        if each.at >= since
        and (folded is None or (each.user is not None and fold_user(each.user) == folded))
        and (address is None or each.address == address)
    ]
