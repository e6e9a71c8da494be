"""The state of the daemon as data: the answer to `status`. O(logs + tables), however many rows there are."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from pbs_fast import __version__
from pbs_fast.control import replies
from pbs_fast.control.protocol import VERSION
from pbs_fast.daemon.queries import MOST, denials
from pbs_fast.ledger.ledger import OUTCOMES
from pbs_fast.util.text import rfc3339

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.daemon.live import LiveState
    from pbs_fast.daemon.share_view import ShareView
    from pbs_fast.events import Counters
    from pbs_fast.health.notices import Code, Notices

#: Lines and recipients a second are the mean of about so many seconds, of which a sample is taken each EVERY.
_SPAN, _EVERY = 60.0, 10.0
_REFUSED = "refused_"
#: A counter of the ledger, not of a guard.
_AHEAD = "refused_ahead"


class StatusBoard:
    """Makes the snapshots, in the loop."""

    def __init__(self, live: LiveState, notices: Notices, core: str, share: ShareView) -> None:
        """`notices` are standing ones, to which it adds those about tables; `core` is the backend's name."""
        self._share = share
        self._ledger, self._guards, self._publisher = live.ledger, live.guards, live.publisher
        self._manual, self._logs, self._clock, self._core = live.manual, live.logs, live.clock, core
        self._started, self._caps = live.clock.wall(), live.caps
        self._lines, self._recipients = _Rates(), _Rates()
        self._notices = notices
        self._next = float("-inf")

    def turned(self) -> None:
        """The loop turned; cheap."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            self._lines.sample(now, {each.path: each.counters["lines"] for each in self._logs})
            self._recipients.sample(now, self._publisher.asked)
            self._note()

    def snapshot(self, *, ready: bool) -> replies.Status:
        """Everything, now."""
        wall, now = self._clock.wall(), self._clock.now()
        ledger, guards = self._ledger, self._guards
        total, marked = len(ledger), ledger.marked
        refused = self._refused()
        logins, outcomes = self._outcomes(refused)
        return {
            "v": VERSION,
            "version": __version__,
            "pid": os.getpid(),
            "started": rfc3339(self._started),
            "now": rfc3339(wall),
            "ready": ready,
            "turned_s": 0.0,
            "core": self._core,
            "node": self._share.node,
            "rows": {
                "total": total,
                "own": total - sum(marked.values()),
                "hub": marked["hub"],
                "recovered": marked["recovered"],
                "manual": marked["manual"],
                "limit": guards.max_rows,
                "new_last_minute": guards.new_in_minute(ledger, now),
                "new_limit": guards.max_new_per_minute,
            },
            "sessions_open": len(ledger.sessions) if ledger.counts_sessions else None,
            "logs": [self._log(each) for each in self._logs],
            "tables": self._publisher.status(total, self._recipients.rate),
            "hubs": self._share.hubs(),
            "nodes": self._share.nodes(),
            "caps": self._caps.status(),
            "denials": denials(guards.denials(wall), MOST),
            "logins": logins,
            "outcomes": outcomes,
            "refused": refused,
            "notices": self.standing(),
        }

    def standing(self) -> list[replies.StandingNotice]:
        """The trouble that lasts, those of tables as they are now."""
        self._note()
        return [{"code": each.code, "text": each.text, "since": rfc3339(each.since)} for each in self._notices.list()]

    def troubled(self, code: Code, source: str, text: str) -> None:
        """A hub or a node is in trouble, or with an empty text is no more."""
        if text:
            self._notices.set(code, source, text, self._clock.wall())
        else:
            self._notices.clear(code, source)

    def _counters(self) -> Counters:
        return self._guards.counters

    def _refused(self) -> dict[str, int]:
        return {
            name.removeprefix(_REFUSED): n
            for name, n in sorted(self._counters().items())
            if name.startswith(_REFUSED) and name != _AHEAD and n
        }

    def _outcomes(self, refused: dict[str, int]) -> tuple[int, dict[str, int]]:
        counters = self._ledger.counters
        outcomes = {name: counters[name] for name in OUTCOMES}
        outcomes |= {"local": self._counters()["local"], "refused": sum(refused.values())}
        return self._logs.counters["login"], outcomes

    def _log(self, follower: Follower) -> replies.Log:
        counters = follower.counters
        coverage = follower.coverage
        return {
            "name": follower.path,
            "state": _state(follower),
            "lines": counters["lines"],
            "lines_per_s": self._lines.rate(follower.path, counters["lines"]),
            "behind_bytes": follower.source.behind_bytes,
            "last_line": None if follower.last_line is None else rfc3339(follower.last_line),
            "last_login": None if follower.last_login is None else rfc3339(follower.last_login),
            "logins": dict(follower.logins),
            "missed": _named(counters, "missed_"),
            "faults": _named(counters, "log_"),
            "drift": follower.health.signs or None,
            "coverage": {"complete": coverage.complete, "reason": coverage.reason},
        }

    def _note(self) -> None:
        """Keep the notices about tables and the state file."""
        self._hold("table_fails", self._publisher.failing)
        self._hold("manual_damaged", [] if self._manual.trouble is None else [self._manual.trouble])

    def _hold(self, code: Code, texts: Collection[str]) -> None:
        wall = self._clock.wall()
        for gone in set(self._notices.sources(code)) - set(texts):
            self._notices.clear(code, gone)
        for text in texts:
            self._notices.set(code, text, text, wall)


class _Rates:
    """How fast counters grow, by name."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Mapping[str, int]]] = deque(maxlen=int(_SPAN / _EVERY) + 1)

    def sample(self, now: float, counters: Mapping[str, int]) -> None:
        """What they are now; each _EVERY."""
        self._samples.append((now, counters))

    def rate(self, name: str, count: int) -> float:
        """What `count` grows by in a second: in the last minute, or since the first sample that knows the name."""
        now = time.monotonic()
        for at, sample in self._samples:
            if name in sample and now > at:
                return round((count - sample[name]) / max(now - at, 1.0), 1)
        return 0.0


def _state(follower: Follower) -> replies.LogState:
    trouble = follower.source.trouble
    if trouble is not None:
        return "missing" if trouble.kind == "missing" else "unreadable"
    if follower.source.ended:
        return "ended"
    return "replaying" if follower.replaying else "following"


def _named(counters: dict[str, int], prefix: str) -> dict[str, int]:
    """The counters with this prefix that have counted something, without it."""
    return {name.removeprefix(prefix): n for name, n in sorted(counters.items()) if name.startswith(prefix) and n}
