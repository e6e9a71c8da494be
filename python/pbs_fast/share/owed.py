"""What one hub is owed, what is under way to it, and with what our stream there must end. Pure.

A row or a revocation is owed from when the outbox (`outbox.py`) says so until the hub has confirmed it. What was under
way when a connection broke is owed again, because nobody knows how much of it was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, Literal

from pbs_fast.share.message import Writer, number_of
from pbs_fast.share.tombstones import Subject

Cause = Literal["end_differs", "hub_step", "asked"]

#: Seconds for which rows that are not urgent are collected.
COLLECT: Final = 5
#: Most seconds of jitter before all rows are sent again, and fewest between two such times.
_JITTER = 5.0
_FULL = 60.0
#: Seconds after a failure within which the comparison may find what the old connection delivered after it was given up:
#: the system goes on for TCP_USER_TIMEOUT (`link.py`) from its first repetition, some tenths longer than we waited, and
#: the next comparison comes with the next beat.
_LATE = 15.0


class Owed:
    """The debts to one hub. Not for several threads at once."""

    def __init__(self, writer: Writer, now: float) -> None:
        self.writer = writer
        self.urgent: dict[str, None] = {}
        self.later: dict[str, None] = {}
        self.later_at: float | None = None
        """When the collected rows go."""
        self.revokes: dict[Subject, None] = {}
        self.flying: tuple[list[str], list[Subject]] | None = None
        """Rows and revocations under way."""
        self.beat_at = now
        self.last: str | None = None
        """The id of the last message of ours that is known to be written."""
        self.known = False
        """Whether `last` is what our stream must end with."""
        self.unsure = False
        """Some of the messages that failed may have been written after `last`."""
        self.late_until = 0.0
        """Until then one of them may still arrive."""
        self.full_at: float | None = None
        self.full_cause: Cause = "asked"
        self.full_last = now - _FULL
        self.cut: str | None = None
        """What is older than this id was written before the hub's clock was set."""

    # -- what is owed -------------------------------------------------------------------------------------------------

    def owe(self, ips: Sequence[str], now: float, *, urgent: bool) -> None:
        """Rows must be sent: at once, or with others that are collected for COLLECT seconds."""
        if urgent:
            self.urgent.update(dict.fromkeys(ips))
            _drop(self.later, ips)
            return
        self.later.update((ip, None) for ip in ips if ip not in self.urgent)
        if self.later and self.later_at is None:
            self.later_at = now + COLLECT

    def begin_full(self, subjects: Iterable[Subject], now: float) -> None:
        """The time of a full send (`full_at`) has come: all revocations of ours are due now, rows follow in parts."""
        self.full_at, self.full_last = None, now
        self.revokes.update(dict.fromkeys(subjects))

    def owe_again(self, ips: Iterable[str], now: float) -> None:
        """A part of the rows of a full send, due now."""
        self.later.update(dict.fromkeys(ips))
        if self.later:
            self.later_at = now

    def plan_full(self, cause: Cause, random: float, now: float) -> None:
        """Send everything again after 0-5 s of jitter (`random` is of [0, 1)), at most once a minute."""
        if self.full_at is None:
            self.full_at = max(now + random * _JITTER, self.full_last + _FULL)
            self.full_cause = cause

    def disown(self, ip: str) -> None:
        """The row is gone: nobody needs it any more."""
        self.urgent.pop(ip, None)
        self.later.pop(ip, None)

    def hurry(self, now: float) -> None:
        """Collect no longer."""
        if self.later:
            self.later_at = now

    def next_due(self, now: float) -> float:
        """When there is something to send; never while messages are under way."""
        if self.flying is not None:
            return float("inf")
        if self.urgent or self.revokes:
            return now
        return self.beat_at if self.later_at is None else min(self.beat_at, self.later_at)

    def waiting(self) -> int:
        """Rows and revocations that the hub has not confirmed."""
        flying = 0 if self.flying is None else len(self.flying[0]) + len(self.flying[1])
        return len(self.urgent) + len(self.later) + len(self.revokes) + flying

    # -- what is under way --------------------------------------------------------------------------------------------

    def next(self, most: int, now: float) -> tuple[list[str], list[Subject]]:
        """Up to `most` rows that are due now, new ones first, and as many revocations."""
        ips = list(islice(self.urgent, most))
        if self.later_at is not None and self.later_at <= now:
            ips += islice(self.later, most - len(ips))
        return ips, list(islice(self.revokes, most))

    def send(self, ips: list[str], subjects: list[Subject], messages: int) -> None:
        """These, as `next` gave them, are under way in so many messages, until `wrote` or `failed`."""
        if len(ips) >= len(self.urgent):  # `next` gives new rows first
            self.urgent.clear()
        else:
            _drop(self.urgent, ips)
        _drop(self.later, ips)
        for subject in subjects:
            del self.revokes[subject]
        if not self.later:
            self.later_at = None
        self.flying = (ips, subjects) if messages else None

    def wrote(self, ids: Sequence[str]) -> int | None:
        """All that was under way is written, with these ids; the number of rows, None if nothing was under way."""
        if self.flying is None or not ids:
            self.flying = None
            return None
        rows = len(self.flying[0])
        self.flying, self.cut = None, None
        self.last, self.known, self.unsure = ids[-1], True, False
        return rows

    def failed(self, now: float) -> None:
        """Nobody knows how much of what was under way is written: all of it is owed again."""
        if self.flying is None:
            return
        ips, subjects = self.flying
        self.urgent = {**dict.fromkeys(ips), **self.urgent}
        self.revokes = {**dict.fromkeys(subjects), **self.revokes}
        self.flying, self.unsure, self.beat_at = None, True, 0.0
        self.late_until = now + _LATE
        _drop(self.later, ips)

    # -- the end of our stream ----------------------------------------------------------------------------------------

    def ends_with(self, last: str | None, now: float) -> bool:
        """Whether `last`, None for an empty stream, is the id of our last message, or perhaps of one that failed. The
        next comparison is with it in any case."""
        if not self.known or last == self.last:
            return True
        perhaps = self.unsure or now < self.late_until
        ours = perhaps and last is not None and self.last is not None and number_of(last) > number_of(self.last)
        self.last = last
        return ours

    def cut_here(self) -> None:
        """The hub's clock was set: drop with the next message what is written so far."""
        if self.last is not None:
            ms, sequence = number_of(self.last)
            self.cut = f"{ms}-{sequence + 1}"


def _drop(owed: dict[str, None], ips: Iterable[str]) -> None:
    if owed:
        for ip in ips:
            owed.pop(ip, None)
