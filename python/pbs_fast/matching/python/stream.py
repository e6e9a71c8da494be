"""Stream: takes the scans of one source in order and resolves what depends on order (docs/MATCHING.md, 6 and 7).

It handles continuations across borders and the ambiguous hour, uses `sessions`, and passes the events to the fold or to
the caller. Reads no clock except for `fold_seconds`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pbs_fast.events import Event
from pbs_fast.matching.python.cuts import Cuts, named
from pbs_fast.matching.python.fold import Fold
from pbs_fast.matching.python.record import KIND, OF_EVENT, REASON, TIMESTAMP, WIDTH, joined, missed, tuples
from pbs_fast.matching.python.sessions import ORDER_SLACK, Sessions
from pbs_fast.matching.python.tags import ENDINGS, MARKED, UNMARKED

if TYPE_CHECKING:
    from pbs_fast.events import Batch
    from pbs_fast.matching.python.catalogue import Matcher
    from pbs_fast.matching.python.record import Fields, Key, Record
    from pbs_fast.matching.python.scan import Scan

WRITERS: Final = 4_096
"""Writers of marked logins that are remembered: the first."""
REASONS: Final = ("no-pattern", "bad-address", "bad-stamp", "cut-record", "continuation", "no-session")


class Stream:
    """The ordered half; see `protocol.Stream`. Not for several threads at once."""

    def __init__(
        self,
        matcher: Matcher,
        *,
        source: str,
        gap: int | None,
        live: bool = False,
        fold: bool = True,
        sessions: bool = True,
    ) -> None:
        """Raises ValueError for a negative gap."""
        self._matcher = matcher
        self._live = live
        self._fold, self._logouts = Fold(source, gap, fold=fold, sessions=sessions), sessions and not fold
        self._sessions = Sessions(matcher.joins, matcher.stepped)
        self._cuts = Cuts()
        self._marking: set[tuple[str, Key]] = set()
        self._before: int | None = None
        self._seconds = 0.0
        names = ("lines", "too_long", "login", "logout", "other", "logout_no_address")
        self._counters = dict.fromkeys((*names, *(_counter(reason) for reason in REASONS)), 0)

    @property
    def counters(self) -> dict[str, int]:
        """Counters of docs/MATCHING.md, 7, since the Stream began, with `lines` and `logout_no_address`."""
        return dict(self._counters)

    @property
    def fold_seconds(self) -> float:
        """Wall time spent in add and take, in seconds."""
        return self._seconds

    def add(self, scan: Scan) -> None:
        """Settle the scan's events and fold them into the rows of the next `take`."""
        began = time.perf_counter()
        fields = self._settle(scan)
        if self._logouts:
            fields = joined(self._with_addresses(scan, fields))
        else:
            # No logout is in a row, so its address is not needed.
            self._count(scan, fields, 0)
        self._fold.add(fields, scan.reference)
        self._seconds += time.perf_counter() - began

    def events(self, scan: Scan) -> list[Event]:
        """Settle the scan's events and return them, missed lines included, in line order, instead of folding them."""
        records = self._with_addresses(scan, self._settle(scan))
        return [Event._make(record[:OF_EVENT]) for record in records if record[1] not in ENDINGS]

    def take(self) -> Batch:
        """The rows since the last take, in the order of their first events; forgets them, keeps the order's state."""
        began = time.perf_counter()
        batch = self._fold.take()
        self._seconds += time.perf_counter() - began
        return batch

    def _settle(self, scan: Scan) -> Fields:
        """The scan's records, with everything that depends on order resolved except logouts' addresses."""
        if scan.matcher is not self._matcher:
            raise ValueError("the scan is another matcher's; give the stream scans of its own matcher")
        if self._cuts.is_open:
            # Rare, and no other way is as sure: the piece is scanned again with what was open before it.
            scan = scan.after(self._cuts)
            self._cuts = scan.cuts
        elif scan.cuts.met:
            self._cuts.go_on(scan.cuts)
        fields = scan.fields
        if scan.marks:
            fields = self._told_by_marks(scan, fields)
        if scan.ambiguous:
            fields = joined(self._unambiguous(scan, fields))
        else:
            latest_first = reversed(fields[TIMESTAMP::WIDTH])
            self._before = next((timestamp for timestamp in latest_first if timestamp is not None), self._before)
        return joined(self._sessions.stepped(tuples(fields))) if scan.has_steps else fields

    def _with_addresses(self, scan: Scan, fields: Fields) -> list[Record]:
        """The resolved records, counted, with the addresses of their sessions."""
        records = self._sessions.with_addresses(tuples(fields))
        self._count(scan, fields, sum(record[2] is None and record[1] == "logout" for record in records))
        return records

    def _told_by_marks(self, scan: Scan, fields: Fields) -> Fields:
        """The fields, logins without the mark that their writer gives as missed ones."""
        lost: set[int] = set()
        for at, (mark, name, key) in scan.marks.items():
            writer = name, named(*key)
            if mark == MARKED and len(self._marking) < WRITERS:
                self._marking.add(writer)
            if mark == UNMARKED and writer in self._marking:
                lost.add(at)
        if not lost:
            return fields
        records = tuples(fields)
        return joined(missed(r[0], r[4], r[6], "no-pattern") if r[0] in lost else r for r in records)

    def _unambiguous(self, scan: Scan, fields: Fields) -> Iterator[Record]:
        for record in tuples(fields):
            offset, kind, ip, timestamp, *rest = record
            if timestamp is None:
                yield record
                continue
            distance = scan.ambiguous.get(offset, 0)
            if distance and self._is_later(timestamp, distance, scan.reference):
                timestamp += distance
            self._before = timestamp
            yield (offset, kind, ip, timestamp, *rest)  # type: ignore[misc]

    def _is_later(self, timestamp: int, distance: int, reference: int) -> bool:
        if self._live:
            return abs(timestamp + distance - reference) < abs(timestamp - reference)
        return self._before is not None and timestamp < self._before - ORDER_SLACK

    def _count(self, scan: Scan, fields: Fields, nameless: int) -> None:
        counters = self._counters
        counters["lines"] += scan.lines
        counters["too_long"] += scan.too_long
        kinds = fields[KIND::WIDTH]
        logins, logouts = kinds.count("login"), kinds.count("logout")
        counters["login"] += logins
        counters["logout"] += logouts
        counters["logout_no_address"] += nameless
        if logins + logouts < len(kinds):
            for reason in filter(None, fields[REASON::WIDTH]):
                counters[_counter(reason)] += 1
        endings = sum(map(kinds.count, ENDINGS)) if scan.has_steps else 0
        counters["other"] += scan.lines - scan.too_long - len(kinds) + endings


def _counter(reason: str) -> str:
    return "missed_" + reason.replace("-", "_")
