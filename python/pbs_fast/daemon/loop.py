"""The daemon's loop: the only place where logs, ledger, tables, clock and signals meet.

Order of a start (DESIGN 'Recovery'): tables are taken and their rows read; following begins; the past is replayed while
what is appended is already granted; then each table is made to hold what the logs explain, and only then is it ready.
Invariants: no line ends the loop; one source's flood delays the others, the expiry and the tables by one step (about 1
MiB of lines) at most; the table is never emptied on the way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.config.model import Share as ShareKeys
from pbs_fast.control import replies
from pbs_fast.control.watchers import Watchers
from pbs_fast.daemon.changes import Changes
from pbs_fast.daemon.commands import Commands
from pbs_fast.daemon.explain import Explainer
from pbs_fast.daemon.feed import EventFeed, Heard
from pbs_fast.daemon.live import LiveState
from pbs_fast.daemon.measures import Measures
from pbs_fast.daemon.notify import state
from pbs_fast.daemon.queries import Queries
from pbs_fast.daemon.recover import recover
from pbs_fast.daemon.refusals import Refusals
from pbs_fast.daemon.rows import Rows
from pbs_fast.daemon.share import Peers, Share
from pbs_fast.daemon.share_view import ShareView
from pbs_fast.daemon.status import StatusBoard
from pbs_fast.events import Counters, Delta
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.log.handlers import listening
from pbs_fast.metrics.snapshot import Latest
from pbs_fast.sources.protocol import Coverage
from pbs_fast.sources.wakeup import Pause
from pbs_fast.util.gc import collector_aside, old_objects_aside
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.control.requests import Control
    from pbs_fast.daemon.cap_watch import CapWatch
    from pbs_fast.daemon.checkpoint import Checkpoints
    from pbs_fast.daemon.log_set import LogSet
    from pbs_fast.daemon.log_watch import LogWatch
    from pbs_fast.daemon.manual import ManualRows
    from pbs_fast.daemon.notify import Notifier
    from pbs_fast.daemon.publisher import Publisher
    from pbs_fast.daemon.signals import Signals
    from pbs_fast.daemon.unexplained import Unexplained
    from pbs_fast.guards import Guards
    from pbs_fast.health.notices import Notices
    from pbs_fast.sources.wakeup import Hints
    from pbs_fast.tables import Row
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

#: Longest sleep in seconds, when there is nothing to do and nothing to look at.
_LONGEST_SLEEP = 30.0
#: Seconds between two looks at what is due every second or less often, while a log is busy: 330 turns a second have
#: better things to do. The first of them to be late is the status line, by a fortieth of its pause.
_CHORES = 0.05


class Daemon:
    """One daemon at work. `start`, then `serve` until a signal asks to stop, then `close`."""

    def __init__(
        self,
        *,
        logs: LogSet,
        guards: Guards,
        ledger: Ledger,
        publisher: Publisher,
        clock: Clock,
        signals: Signals,
        hints: Hints,
        notifier: Notifier,
        reload: Callable[[], bool],
        unexplained: Unexplained,
        notices: Notices,
        log_watch: LogWatch,
        manual: ManualRows,
        caps: CapWatch,
        core: str = "python",
        formats: Sequence[str] = (),
        latest: Latest | None = None,
        control: Control | None = None,
        share: Share | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """`reload` is called on SIGHUP and says whether there is something new in force; `checkpoints`, where sessions
        are counted, saves what is known of them. `notices` are standing ones, which `log_watch` keeps about logs.
        `core` is the backend's name, `formats` names its formats;
        `latest` gets our numbers; `control`, where there are sockets, is the commands' way to us; `share` is that of
        the other nodes."""
        self._logs = logs
        self._guards = guards
        self._ledger = ledger
        self._publisher = publisher
        self._clock = clock
        self._signals = signals
        self._hints = hints
        self._notifier = notifier
        self._reload = reload
        self._unexplained = unexplained
        self._checkpoints = checkpoints
        self.notices = notices
        self._log_watch = log_watch
        self._started = False
        self._sleep = Pause()
        self._next_chores = float("-inf")
        self.explain = Explainer(clock.to_wall, dry=not publisher.writes)
        ledger.explain = self.explain.unchanged if log.isEnabledFor(logging.DEBUG) else None
        self._manual = manual
        self._refusals = Refusals()
        self._caps = caps
        live = LiveState(ledger, guards, publisher, manual, logs, clock, caps)
        self._share = share or Share(ShareKeys(), "", lambda _: (), b"", ledger=ledger, clock=clock)
        view = ShareView(self._share, clock)
        self._board = StatusBoard(live, notices, core, view)
        self._control = control
        self._feed = EventFeed(Watchers() if control is None else control.watchers, clock.to_wall)
        self.measures = Measures(live, latest or Latest(), formats, core, control, view)
        self._rows = Rows(live, self.explain, self._refusals, log_watch, self.measures)
        self._changes = Changes(live, self._rows, self._share)
        self._rows.on_change = self._share.changed
        self._share.peers = Peers(self._rows.merge, self._changes.deny_as_others, self._changes.distrust)
        self._share.watch.troubled = self._board.troubled
        self._commands = Commands(
            board=self._board,
            queries=Queries(live, self._refusals, self._board.standing, view),
            changes=self._changes,
            refusals=self._refusals,
            reload=self._reload_now,
            forget=self._share.forget,
            ready=lambda: self._started,
        )

    # -- start --------------------------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Replay, reconcile; whether the tables are in order now.

        False when a signal asks to stop before: then no row was removed, because not all that may explain it was read.
        Raises TableError when a table holds what is not ours or cannot be written.
        """
        with collector_aside():
            return self._start()

    def _start(self) -> bool:
        found = self._publisher.found()
        self._changes.begin()
        self._share.begin()
        self._rows.sweep()  # what was taken over from an earlier run
        wall = self._clock.wall()
        for follower in self._logs:
            if follower.covered is None:
                follower.begin_replay(wall - self._ledger.window, wall)
        while (replays := any(follower.replaying for follower in self._logs)) or not self._share.ready:
            if not replays:
                self._wait()
            for follower in self._logs:
                if follower.replaying:
                    self._rows.grant(follower.step(), live=False)
            begun = time.perf_counter()
            self._turn()
            self.measures.turned(time.perf_counter() - begun)
            if self._control is not None:
                self._control.send()
            self._drop_ended(found)
            if replays and self._share.ready:
                self._rows.release(ready=False)
            if self._signals.stop is not None:
                break
        if self._signals.stop is not None:
            return False
        for follower in self._logs:
            if follower.source.trouble is None:  # else it was said when the log was looked for
                log.info(follower.coverage.reason)
        self._rows.part()
        still_open = self._ledger.finish_replay(self._clock.now())
        self._rows.add(still_open)
        self._share.replayed()
        coverage = [*(follower.coverage for follower in self._logs), *self._share.coverage()]
        if ahead := self._ledger.counters["refused_ahead"]:
            # What was granted by such lines before the clock was set back cannot be told from what never was.
            coverage.append(Coverage(False, f"{ahead} logins have timestamps in the future: was the clock set back?"))
        recover(found, coverage, self._ledger, self._guards, self._clock, self._unexplained, self.explain)
        self._rows.release(ready=True)
        self._publisher.rebuild(self._ledger.rows())
        # From here on what is too old is refused, not found again.
        self._ledger.explain = self.explain.unchanged
        self._log_watch.turned(self._logs)
        self._started = True
        self.measures.started()
        if self._control is not None:
            self._control.ready = True
        return True

    def _drop_ended(self, found: dict[str, Row]) -> None:
        """Remove the rows `found` in the tables whose end comes while the past is read.

        A start that takes very long, or starts that are killed one after the other, would keep them for ever.
        """
        if ended := self._unexplained.ended(found):
            for ip in ended:
                del found[ip]
            self._publisher.add(Delta(removed=tuple(ended)))
            self.explain.dropped(ended, "no log has explained it, and it was kept for one grace period")

    # -- work ---------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Follow, grant, expire and publish until a signal asks to stop, or nothing will ever come from any log."""
        with old_objects_aside():
            while self._signals.stop is None and not self.at_end:
                idle = self._wait()
                begun = time.monotonic()
                self._work()
                if idle or begun >= self._next_chores:
                    self._next_chores = begun + _CHORES
                    self._chores()
                    self._log_watch.turned(self._logs)
                    if self._checkpoints is not None:
                        self._checkpoints.turned(self._logs)
                self.measures.turned(time.monotonic() - begun)

    @property
    def at_end(self) -> bool:
        """All logs have ended, as standard input does, and nothing comes from other nodes."""
        return self._logs.ended and not self._share.receives

    def _turn(self) -> None:
        """One step of everything that may be due."""
        self._work()
        self._chores()

    def _work(self) -> None:
        """What a client may wait for, of a login or of a request."""
        if self._signals.take_reload():
            self._reload_now()
        if self._signals.take_counters():
            log.info(f"counted so far rows={len(self._ledger)} {self.counted()}")
        self._sleep.polled()
        for batch in self._logs.poll(int(self._clock.wall())):
            self._rows.grant(batch, live=True)
        self._share.turn()
        self._rows.expire()
        self._caps.turned(self._changes.deny_over_cap)
        self._publisher.flush()
        if self._control is not None:
            self._control.turn(self._commands.answer)
        self._feed.turned()

    def _chores(self) -> None:
        """What nobody waits for."""
        self._logs.scan()
        self._board.turned()
        self._unexplained.turned()
        self._notifier.turned(self.state)

    def _reload_now(self) -> replies.Reloaded:
        """What SIGHUP or a command asks for, with what our log says of it. A failure is a standing notice."""
        self._notifier.reloading()
        heard = Heard("reloaded")
        with listening(heard):
            done = self._reload()
            self.measures.reloaded(done)
            if done:
                self._rows.sweep()
                self.notices.clear("reload_failed", "")
        if not done:
            why = (
                printable(heard.warnings[-1])
                if heard.warnings
                else "reload failed, the previous settings stay in force"
            )
            self.notices.set("reload_failed", "", f"{why}; correct it, then: pbs-fast reload", self._clock.wall())
        self._notifier.reloaded(self.state())
        return {"reloaded": done, "text": heard.text, "warnings": heard.warnings}

    def state(self) -> str:
        """How it stands, in one line for `systemctl status`."""
        return state(
            len(self._ledger),
            self._publisher.specs,
            self._publisher.failing,
            last_login=max((each.last_login for each in self._logs if each.last_login is not None), default=None),
            warnings=[notice.text for notice in self.notices.list() if notice.code != "table_fails"],
        )

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _wait(self) -> bool:
        """Wait until something is due or comes; whether no log is busy."""
        if self._control is not None:
            self._control.send()
        if self._sleep.often and self._logs.busy:
            # There are more lines by now: to ask for hints of them, and for what is due, took a fifth of a turn.
            if not self._urgent:
                self._sleep.rest(_LONGEST_SLEEP)
            return False
        left = self._sleep.rest(self._pause())
        fds = self._logs.filenos()
        if (hint := self._hints.fileno()) is not None:
            fds.append(hint)
        others = [self._signals.fileno(), self._caps.fileno(), *self._share.filenos()]
        if self._control is not None:
            others.append(self._control.fileno())
        if self._sleep.wait(fds, left, others):
            self._signals.drain()
            self._caps.drain()
            self._share.drain()
            if self._control is not None:
                self._control.drain()
        self._hints.drain()
        return True

    @property
    def _urgent(self) -> bool:
        """Something is to be done at once."""
        return self._rows.leave or self._caps.busy or (self._control is not None and self._control.asked)

    def _pause(self) -> float:
        """Seconds until something is due."""
        if self._urgent:
            return 0.0
        due = min(self._publisher.due, self._notifier.due, self._unexplained.due, self._log_watch.due)
        due = min(due, self.measures.due)
        if self._checkpoints is not None:
            due = min(due, self._checkpoints.due)
        pause = min(_LONGEST_SLEEP, due - time.monotonic(), self._logs.timeout(), self._share.pause())
        if (expiry := self._ledger.next_expiry()) is not None:
            pause = min(pause, expiry - self._clock.now())
        return max(0.0, pause)

    # -- end ----------------------------------------------------------------------------------------------------------

    def totals(self) -> Counters:
        """All counters of this run: lines, events, refusals, grants."""
        total = Counters(self._ledger.counters)
        if self._guards.counters is not self._ledger.counters:
            total.update(self._guards.counters)
        total.update(self._logs.counters)
        return total

    def counted(self) -> str:
        """All counters that are not 0, as text."""
        return " ".join(f"{name}={n}" for name, n in sorted(self.totals().items()) if n)

    def close(self) -> bool:
        """Let logs and tables go; the rows stay. Whether all changes were written; if not, the log says why."""
        if self._checkpoints is not None and self._started:
            self._checkpoints.write(self._logs)
        self._unexplained.save()
        self._share.close()
        self._manual.close()
        self._feed.close()
        self._rows.part()
        self._logs.close()
        self._hints.close()
        written = self._publisher.close()
        self._caps.close()
        for failure in self._publisher.failing:
            log.warning(f"{failure}; the last changes are missing from that table until the next start")
        return written
