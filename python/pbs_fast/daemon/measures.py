"""The loop's numbers for Prometheus: counts a few things itself, and makes a frozen Snapshot of all each EVERY seconds.

Called by the loop only. A snapshot costs O(logs + tables), however many rows there are.
"""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING, Final, Literal

from pbs_fast import __version__
from pbs_fast.config.model import Guards as GuardKeys
from pbs_fast.control.protocol import REQUESTS
from pbs_fast.ledger.ledger import OUTCOMES
from pbs_fast.metrics.families import CAUSES, FAULTS, ORIGINS, OTHER, READ, RESULTS, TURN_BOUNDS
from pbs_fast.metrics.snapshot import Draft, Histogram, Latest, LogTotals, Snapshot
from pbs_fast.tables.protocol import AnsweringTable, CountingTable
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.control.requests import Control
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.daemon.live import LiveState
    from pbs_fast.daemon.share_view import ShareView
    from pbs_fast.tables.queue import Pending

#: Seconds between two snapshots.
EVERY: Final = 2.0
Cause = Literal["deny", "guard", "manual", "hub", "cap"]
"""Of `metrics.families.CAUSES`."""
#: Guards that have no key of their own in `[guards]`.
_MORE_GUARDS = ("deny", "not_canonical")
_LOGINS = "login_of_"


class Measures:
    """What is counted, and when the next Snapshot is due."""

    def __init__(
        self,
        live: LiveState,
        latest: Latest,
        formats: Collection[str],
        core: str,
        control: Control | None,
        share: ShareView,
    ) -> None:
        """`latest` gets the snapshots; `formats` are the names of all formats, `core` is the backend's."""
        self._live, self._formats, self._core, self._control = live, tuple(formats), core, control
        self._latest, self._share = latest, share
        self.due = float("-inf")
        """When there will be another one, on time.monotonic's clock."""
        self._turns = Histogram(TURN_BOUNDS)
        self._revoked: Counter[str] = Counter()
        self._ready = False
        self._reloaded, self._configured = True, live.clock.wall()
        self._logs = LogTotals()
        live.logs.on_gone = lambda follower: self._logs.gone(follower.path, _counters(follower))

    def started(self) -> None:
        """The tables are in order."""
        self._ready = True
        self.due = float("-inf")

    def revoked(self, rows: int, cause: Cause) -> None:
        """So many rows were removed early."""
        self._revoked[cause] += rows

    def reloaded(self, done: bool) -> None:
        """The configuration was read again; whether it is in force."""
        self._reloaded = done
        if done:
            self._configured = self._live.clock.wall()

    def turned(self, seconds: float) -> None:
        """The loop turned once, which took so long."""
        self._turns.observe(seconds)
        now = time.monotonic()
        if now >= self.due:
            self.due = now + EVERY
            self._latest.snapshot = self.snapshot()

    def snapshot(self) -> Snapshot:
        """All numbers, now."""
        draft = Draft()
        wall = self._live.clock.wall()
        draft.put("build_info", 1, __version__, self._core, platform.python_version())
        draft.put("ready", self._ready)
        draft.put("loop_last_turn_timestamp_seconds", round(wall, 3))
        draft.put("loop_turn_seconds", self._turns.frozen())
        draft.put("config_last_reload_successful", self._reloaded)
        draft.put("config_last_reload_success_timestamp_seconds", round(self._configured, 3))
        self._put_logs(draft)
        self._put_logins(draft)
        self._put_rows(draft, wall)
        for pending in self._live.publisher.pending:
            _put_table(draft, pending)
        self._put_relayed(draft)
        self._put_caps(draft)
        self._share.put(draft)
        self._put_control(draft)
        return draft.done()

    def _put_logs(self, draft: Draft) -> None:
        followers = list(self._live.logs)
        totals = self._logs.totals((each.path, _counters(each)) for each in followers)
        logins: Counter[str] = Counter()
        for label, counters in totals.items():
            draft.put("log_lines_total", counters["lines"], label)
            draft.put("log_logouts_total", counters["logout"], label)
            for name, n in counters.items():
                if name.startswith("missed_"):
                    draft.put("log_missed_total", n, label, name.removeprefix("missed_"))
                elif name.startswith(_LOGINS):
                    logins[name.removeprefix(_LOGINS)] += n
            draft.put_all("log_faults_total", FAULTS, _faults(counters), label)
        draft.put_all("logins_total", sorted({*self._formats, *logins}), logins)
        groups: dict[str, list[Follower]] = {label: [] for label in totals}
        for each in followers:
            groups[self._logs.label(each.path)].append(each)
        for label, some in groups.items():
            _put_log(draft, label, some)

    def _put_logins(self, draft: Draft) -> None:
        # Guards and ledger count into the same counters.
        counters = self._live.guards.counters
        guards = {*(each.name for each in fields(GuardKeys)), *_MORE_GUARDS} - {"refuse_many_addresses"}
        refused = {
            name.removeprefix("refused_"): n
            for name, n in counters.items()
            if name.startswith("refused_") and name not in OUTCOMES
        }
        draft.put_all("refused_total", sorted({*guards, *refused}), refused)
        draft.put_all("login_outcomes_total", (*OUTCOMES, "local"), counters)
        draft.put("login_outcomes_total", sum(refused.values()), "refused")

    def _put_rows(self, draft: Draft, wall: float) -> None:
        ledger, guards = self._live.ledger, self._live.guards
        marked = ledger.marked
        draft.put_all("rows", ORIGINS, {"own": len(ledger) - sum(marked.values()), **marked})
        draft.put("rows_limit", guards.max_rows)
        draft.put("denials", guards.denied(wall))
        draft.put("sessions_open", len(ledger.sessions) if ledger.counts_sessions else 0)
        draft.put("rows_expired_total", ledger.counters["expired"])
        draft.put_all("rows_revoked_total", CAUSES, self._revoked)

    def _put_relayed(self, draft: Draft) -> None:
        counting = [each.table for each in self._live.publisher.pending if isinstance(each.table, CountingTable)]
        if counting:  # else nobody tells us, which a 0 would hide
            draft.put("relayed_messages_total", sum(table.messages for table in counting))
            draft.put("relayed_recipients_total", sum(table.recipients for table in counting))

    def _put_caps(self, draft: Draft) -> None:
        counter = self._live.caps.counter
        shares = counter.shares(self._live.clock.now())
        # A cap that a reload took away keeps what it counted.
        draft.put_all("cap_exceeded_total", counter.exceeded, counter.exceeded)
        for name, (over, highest) in shares.items():
            draft.put("cap_over", over, name)
            draft.put("cap_highest_ratio", round(highest, 4), name)

    def _put_control(self, draft: Draft) -> None:
        control = self._control
        outcomes = {} if control is None else control.outcomes
        for do in (*REQUESTS, OTHER):
            for result in RESULTS:
                draft.put("control_requests_total", outcomes.get((do, result), 0), do, result)
        draft.put("watchers", 0 if control is None else len(control.watchers))
        draft.put("watch_events_lost_total", 0 if control is None else control.watchers.lost)


def _counters(follower: Follower) -> dict[str, int]:
    """A log's counters, with its logins by format among them."""
    return follower.counters | {f"{_LOGINS}{name}": n for name, n in follower.logins.items()}


def _faults(counters: Counter[str]) -> Counter[str]:
    """Of a log's counters those that are faults, by their label; the journal's refusals have one together."""
    faults: Counter[str] = Counter()
    for name, n in counters.items():
        kind = name.removeprefix("log_")
        if kind != name and kind not in READ:
            faults["refused" if kind.startswith("refused_") else kind] += n
    return faults


def _put_log(draft: Draft, label: str, followers: Collection[Follower]) -> None:
    """The state of a log; of several with one label the worst, or the newest time."""
    draft.put("log_present", bool(followers) and all(each.source.trouble is None for each in followers), label)
    behind = [each.source.behind_bytes for each in followers]
    if known := [n for n in behind if n is not None]:
        draft.put("log_behind_bytes", sum(known), label)
    draft.put("log_last_line_timestamp_seconds", max((each.last_line or 0 for each in followers), default=0), label)
    draft.put("log_last_login_timestamp_seconds", max((each.last_login or 0 for each in followers), default=0), label)
    draft.put("drift", any(each.health.signs for each in followers), label)


def _put_table(draft: Draft, pending: Pending) -> None:
    table, label = pending.table, printable(pending.table.spec)
    draft.put("table_up", pending.failing is None, label)
    draft.put("table_waiting_rows", len(pending), label)
    draft.put("table_last_write_timestamp_seconds", round(pending.last_write or 0, 3), label)
    draft.put("table_writes_total", pending.writes, label)
    draft.put("table_write_errors_total", pending.errors, label)
    draft.put("table_refused_keys_total", table.refused, label)
    draft.put("table_write_seconds", pending.seconds.frozen(), label)
    if isinstance(table, AnsweringTable):
        draft.put_all("lookups_total", table.answers, table.answers, label)
        draft.put("lookup_seconds", table.seconds.frozen(), label)
        draft.put("lookup_clients", table.clients, label)
