"""The logs of one daemon as a whole: each gets its share, those that come by a pattern are taken up, gone ones let go.

Invariants: no log keeps another waiting, whatever floods it; a turn reads about BUDGET bytes at most, however many logs
there are; a log that the configuration names is waited for as long as it takes. Imports the daemon's own parts and
sources; knows no ledger and no tables.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pbs_fast.log.records import event
from pbs_fast.sources.protocol import BUDGET

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.events import Batch
    from pbs_fast.sources.watched import Watched

log = logging.getLogger(__name__)

#: Seconds between two looks for logs that fit a pattern of `watchlog`.
RESCAN = 2.0
#: Seconds after which a log that came by a pattern and is gone is no longer waited for.
FORGET_AFTER = 3600.0


class LogSet:
    """The followers, in the order they came. Not for several threads at once."""

    def __init__(
        self,
        followers: Sequence[Follower],
        watched: Watched | None = None,
        newcomers: Callable[[Sequence[str]], Sequence[Follower]] = lambda _: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`newcomers` makes the followers of paths that came while we run."""
        self._followers = list(followers)
        self._watched = watched
        self._newcomers = newcomers
        self._clock = clock
        self._next_scan = clock() + RESCAN
        self._gone_since: dict[str, float] = {}
        self.on_gone: Callable[[Follower], None] = lambda _: None
        """Told of a follower that is let go."""
        self._counted: Counter[str] = Counter()
        """What the followers counted that were let go."""

    def __iter__(self) -> Iterator[Follower]:
        return iter(tuple(self._followers))

    def scan(self) -> None:
        """Take up what fits a pattern now, and let go what is gone for FORGET_AFTER; now and then only."""
        now = self._clock()
        if self._watched is None or not self._watched.patterns or now < self._next_scan:
            return
        self._next_scan = now + RESCAN
        self._followers += self._newcomers(self._watched.arrived())
        for follower in self:
            trouble = follower.source.trouble
            # Only what is missing: one that may not be read just now is there, and keeps its place in the log.
            if trouble is None or trouble.kind != "missing" or self._watched.is_named(follower.path):
                self._gone_since.pop(follower.path, None)
            elif now - self._gone_since.setdefault(follower.path, now) >= FORGET_AFTER:
                self._let_go(follower, self._watched)

    def poll(self, reference: int) -> Iterator[Batch]:
        """The logins that were appended to each log, as far as its share of BUDGET reaches."""
        share = max(1, BUDGET // max(1, len(self._followers)))
        for follower in self._followers:
            yield follower.poll(reference, share)

    @property
    def busy(self) -> bool:
        """The last poll found lines."""
        for follower in self._followers:  # noqa: SIM110 - asked each turn: a generator takes three times as long
            if follower.busy:
                return True
        return False

    def filenos(self) -> list[int]:
        """Descriptors that become readable when there may be something."""
        return [fd for follower in self for fd in follower.source.filenos()]

    def timeout(self) -> float:
        """Seconds after which a poll is due although no descriptor is ready; infinite without logs."""
        return min((follower.source.timeout() for follower in self), default=float("inf"))

    @property
    def ended(self) -> bool:
        """Nothing will ever come from any log, as after the end of standard input."""
        for follower in self._followers:
            if not follower.source.ended:
                return False
        return self._watched is None or not self._watched.patterns

    @property
    def counters(self) -> Counter[str]:
        """What all followers counted, those that were let go too."""
        total = Counter(self._counted)
        for follower in self:
            total.update(follower.counters)
        return total

    def close(self) -> None:
        """Let all logs go."""
        for follower in self:
            follower.close()

    def _let_go(self, follower: Follower, watched: Watched) -> None:
        text = f"{follower.path} has been missing for {FORGET_AFTER / 3600:g} h; no longer waiting for it"
        log.info(text, extra=event("log_gone", [follower.path]))
        self._counted.update(follower.counters)
        self.on_gone(follower)
        self._followers.remove(follower)
        del self._gone_since[follower.path]
        watched.forget(follower.path)
        follower.close()
