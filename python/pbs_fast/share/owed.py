"""What one hub is owed, and what is known of our stream there. Pure; the outbox decides."""

from __future__ import annotations

from typing import Final, Literal

from pbs_fast.share.message import Writer
from pbs_fast.share.tombstones import Subject

Cause = Literal["end_differs", "hub_step", "asked"]

#: Seconds for which rows that are not urgent are collected.
COLLECT: Final = 5
#: Fewest seconds between two times that all rows are sent again.
FULL: Final = 60.0


class Owed:
    """What one hub is owed, and what is known of our stream there."""

    def __init__(self, writer: Writer, now: float) -> None:
        self.writer = writer
        self.urgent: dict[str, None] = {}
        self.later: dict[str, None] = {}
        self.later_at: float | None = None
        """When the collected rows go."""
        self.revokes: dict[Subject, None] = {}
        self.flying: tuple[list[str], list[Subject], int] | None = None
        """Rows, revocations and number of the messages under way."""
        self.beat_at = now
        self.last: str | None = None
        """The id of the last message of ours that is known to be written."""
        self.known = False
        """Whether `last` is what our stream must end with."""
        self.unsure = False
        """Some of the messages that failed may have been written after `last`."""
        self.full_at: float | None = None
        self.full_cause: Cause = "asked"
        self.full_last = now - FULL
        self.cut: str | None = None
        """What is older than this id was written before the hub's clock was set."""

    def owe(self, ip: str, now: float, *, urgent: bool) -> None:
        if urgent:
            self.urgent[ip] = None
            self.later.pop(ip, None)
        elif ip not in self.urgent:
            self.later[ip] = None
            if self.later_at is None:
                self.later_at = now + COLLECT
