"""Looks now and then at all followed logs, and keeps the notices about them; says what is new and what has ended.

The loop calls `turned` each turn, which does something every INTERVAL seconds: per log 30 µs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from pbs_fast.daemon.other_source import OtherSource
from pbs_fast.health.notices import Code, Notices
from pbs_fast.health.skew import SkewWatch
from pbs_fast.log.records import event
from pbs_fast.util.durations import rough

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.events import Batch

log = logging.getLogger(__name__)

#: Seconds between two looks.
INTERVAL: Final = 2.0
#: Seconds that a notice lasts for what a source reports only once: rejected entries, or lost ones.
LASTS: Final = 86_400.0
#: Hosts of one log that are remembered as behind; of more, the newest.
MAX_BEHIND: Final = 256


class LogWatch:
    """The notices about logs. Not for several threads at once."""

    def __init__(
        self,
        notices: Notices,
        *,
        grace: int,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        other: OtherSource | None = None,
    ) -> None:
        """`wall` is seconds since the epoch, `clock` is never set. `other` is the journal, where only files are
        followed."""
        self._notices = notices
        self._grace = grace
        self._wall, self._clock = wall, clock
        self._skew = SkewWatch(grace)
        self._behind: dict[str, dict[str, str]] = {}
        """Log -> the hosts in it that are behind, and what was said of each; the notice tells of the newest."""
        self._known: frozenset[str] = frozenset()
        self._said: dict[tuple[Code, str], tuple[str, float]] = {}
        """What sources said last, and since when it is that."""
        self._other = other
        self._began = wall()
        self.due = float("inf")
        """When `turned` has something to do, on `clock`; infinite before its first call."""
        self._next = float("-inf")

    def logins(self, batch: Batch) -> None:
        """Live logins of one log that no guard refused: are their timestamps those of now?"""
        wall, path = self._wall(), batch.source
        if path not in self._behind and self._skew.is_done(path, set(batch.host)):
            return
        for host, kind, last in zip(batch.host, batch.kind, batch.last, strict=True):
            if kind != "login":
                continue
            if (warning := self._skew.saw(path, host, last, wall)) is not None:
                log.warning(warning)
                behind = self._behind.setdefault(path, {})
                behind[host] = warning
                if len(behind) > MAX_BEHIND:
                    del behind[next(iter(behind))]
                self._notices.set("log_behind", path, warning, wall)
            elif host in (behind := self._behind.get(path, {})) and wall - last <= self._grace:
                del behind[host]
                # Whoever can forge a host's lines must not end the notice of another.
                self._hold("log_behind", path, next(reversed(behind.values()), ""), wall)

    def turned(self, followers: Iterable[Follower]) -> None:
        """The loop turned once."""
        now = self._clock()
        if now < self._next:
            return
        self.due = self._next = now + INTERVAL
        wall = self._wall()
        known: dict[str, float] = {}
        for follower in followers:
            known[follower.path] = follower.modified or self._began
            self._look(follower, wall)
        if self._other is not None and known:
            self._look_at_other(self._other, max(known, key=known.__getitem__), known, wall)
        for path in self._known - known.keys():
            self._notices.drop(path)
            self._behind.pop(path, None)
            self._said = {key: said for key, said in self._said.items() if key[1] != path}
        self._known = frozenset(known)

    def _look(self, follower: Follower, wall: float) -> None:
        health, path = follower.health, follower.path
        for text in health.turned(wall, follower.counters):
            is_drift = text in health.drift.standing.values()
            log.warning(f"{path}: {text}", extra=event("drift" if is_drift else "warning", [path]))
        trouble = follower.source.trouble
        self._hold("log_missing", path, trouble.text if trouble is not None else "", wall)
        if self._hold("not_understood", path, _of(path, health.not_understood or ""), wall):
            log.info(f"{path}: its lines are understood now")
        if self._hold("drift", path, _of(path, health.signs), wall):
            log.info(f"{path}: its logins are recognised as usual again")
        lost = self._while_new("logger_lost", path, follower.lost, wall)
        self._hold("logger_lost", path, _of(path, health.lost.recent(wall)) or lost, wall)
        self._hold("refused_entries", path, self._while_new("refused_entries", path, follower.refused, wall), wall)

    def _look_at_other(self, other: OtherSource, path: str, modified: dict[str, float], wall: float) -> None:
        """Does the journal grow while no followed file does? `path` is the one that was written last."""
        last = modified[path]
        is_new = other.turned(wall, last)
        text = ""
        if other.is_ahead:
            text = (
                f"{path} has not been written for {rough(wall - last)}, but a mail server writes to the journal: "
                "follow it (--watchlog=journal:), or correct the logging daemon"
            )
        for source in self._notices.sources("log_stale"):
            if source != path:
                self._notices.clear("log_stale", source)
        if self._hold("log_stale", path, text, wall):
            log.info(f"{path} is written again")
        if is_new:
            log.warning(text)

    def _while_new(self, code: Code, source: str, text: str, wall: float) -> str:
        """What a source said, for LASTS seconds: it does not say that it has ended."""
        said, since = self._said.get((code, source), ("", wall))
        if text != said:
            self._said[code, source] = (text, wall)
            return text
        return text if wall - since < LASTS else ""

    def _hold(self, code: Code, source: str, text: str, wall: float) -> bool:
        """The notice holds while there is a text; whether it has just ended."""
        if text:
            self._notices.set(code, source, text, wall)
            return False
        return self._notices.clear(code, source)


def _of(path: str, text: str) -> str:
    return f"{path}: {text}" if text else ""
