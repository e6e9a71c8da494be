"""Events for those who watch: one more handler of our log records, there only while somebody watches.

What an event says is made in the sockets' thread when it is sent; the loop only notes what it was about.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from pbs_fast.control.replies import EventBody
from pbs_fast.control.watchers import Happened
from pbs_fast.daemon.cap_watch import OverCap
from pbs_fast.events import Grant
from pbs_fast.guards import LOCAL, Refusal
from pbs_fast.log.handlers import listening
from pbs_fast.util.text import rfc3339

if TYPE_CHECKING:
    from pbs_fast.control.watchers import Watchers

#: Kinds that our own log has at the level debug.
_DEBUG = frozenset({"renewed", "refused"})
#: What kinds are about, by the word that they begin with.
_SUBJECTS = frozenset({"log", "table", "hub", "node"})


class EventFeed(logging.Handler):
    """Turns records into events for the watchers. `turned` is for the loop."""

    def __init__(self, watchers: Watchers, to_wall: Callable[[int], int]) -> None:
        """`to_wall` turns the ledger's seconds into seconds since the epoch."""
        super().__init__()
        self._watchers = watchers
        self._to_wall = to_wall
        self._wanted: Collection[str] = ()
        self._listening = ExitStack()

    def turned(self) -> None:
        """Listen if anybody watches; no record is made for kinds that nobody wants."""
        wanted = self._watchers.wanted
        if wanted is self._wanted:
            return
        self._wanted = wanted
        self._listening.close()
        if wanted:
            self.setLevel(logging.INFO if _DEBUG.isdisjoint(wanted) else logging.DEBUG)
            self._listening.enter_context(listening(self))

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record's events to the watchers; nothing for one that reports none."""
        kind: str = getattr(record, "event", "warning" if record.levelno >= logging.WARNING else "")
        if kind in self._wanted:
            self._watchers.put(self._events(record, kind))

    def _events(self, record: logging.LogRecord, kind: str) -> Iterable[Happened]:
        at = record.created
        rows: Collection[object] = getattr(record, "rows", ())
        why: str = getattr(record, "why", "")
        shift = self._to_wall(0)
        for row in rows:
            if isinstance(row, OverCap):
                yield Happened(kind, partial(_over_cap, at, row, record.getMessage()))
            elif isinstance(row, Refusal):
                if row.guard != LOCAL:
                    yield Happened(kind, partial(_refused, at, row))
            elif isinstance(row, tuple):
                yield Happened(kind, partial(_granted, at, kind, row, shift, why))
            elif kind == "removed":
                yield Happened(kind, partial(_about, at, kind, "ip", str(row), why))
            else:
                subject = kind.partition("_")[0]
                about = subject if subject in _SUBJECTS else "text"
                yield Happened(kind, partial(_about, at, kind, about, str(row), why, record.getMessage()))
        if not rows:
            yield Happened(kind, partial(_about, at, kind, "text", record.getMessage(), why))


def _granted(at: float, kind: str, row: tuple[str, Grant], shift: int, why: str) -> EventBody:
    ip, grant = row
    event: EventBody = {
        "at": rfc3339(at),
        "kind": kind,
        "ip": ip,
        "user": grant.user,
        "host": grant.host or None,
        "format": grant.format or None,
        "until": rfc3339(grant.expires + shift),
        "why": why or grant.why,
    }
    if grant.node:
        event["node"] = grant.node
    return event


def _refused(at: float, refusal: Refusal) -> EventBody:
    return {
        "at": rfc3339(at),
        "kind": "refused",
        "ip": refusal.ip,
        "user": refusal.user,
        "host": refusal.host or None,
        "guard": refusal.guard,
        "logins": refusal.n,
        "log": refusal.source,
    }


def _over_cap(at: float, over: OverCap, text: str) -> EventBody:
    alarm = over.alarm
    return {
        "at": rfc3339(at),
        "kind": "cap",
        "text": text,
        "user": alarm.what if alarm.of == "user" else None,
        "ip": alarm.what if alarm.of == "address" else alarm.address,
        "cap": alarm.cap,
        "count": alarm.used,
        "refused": alarm.refused,
        "revoked": alarm.revoke,
        "messages": over.messages,
        "addresses": list(over.addresses),
        "queue_ids": list(over.queue_ids),
    }


def _about(at: float, kind: str, key: str, value: str, why: str, text: str = "") -> EventBody:
    event: EventBody = {"at": rfc3339(at), "kind": kind}
    for name, content in (("text", text), (key, value), ("why", why)):
        if content:
            event[name] = content  # type: ignore[literal-required]
    return event


class Heard(logging.Handler):
    """What our log says while this listens: warnings, and the record of one event."""

    def __init__(self, kind: str) -> None:
        super().__init__(logging.INFO)
        self.text = ""
        self.warnings: list[str] = []
        self._kind = kind

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text."""
        if getattr(record, "event", "") == self._kind:
            self.text = record.getMessage()
        elif record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())
