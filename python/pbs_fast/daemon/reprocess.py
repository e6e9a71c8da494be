"""`--reprocess`: a whole log from its first line, with each line's timestamp as the clock.

What would have been granted, renewed and ended is logged as it would have been then. Only rows whose end lies after the
real present go on into the ledger, or last year's log would open the relay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from pbs_fast.daemon.explain import Explainer
from pbs_fast.events import Batch, Delta, Grant
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.replay.replayer import Replayer
from pbs_fast.sources.protocol import Coverage, not_covering
from pbs_fast.sources.wakeup import Pause
from pbs_fast.util.text import utc

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.daemon.signals import Signals
    from pbs_fast.guards import Guards
    from pbs_fast.log.handlers import OwnLog
    from pbs_fast.sources.lines import Piece
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

#: Lines at either end of a piece in which a timestamp is looked for.
_LINES = 100
#: Seconds that are waited at most for more of a log that is not read to its end yet.
_PATIENCE = 0.25


def reprocess(
    followers: Sequence[Follower],
    guards: Guards,
    ledger: Ledger,
    clock: Clock,
    signals: Signals,
    own: OwnLog,
    *,
    dry: bool = False,
) -> None:
    """Read each log to the end that it has now, standard input to its end; the rows that still hold go into `ledger`.

    What is logged bears the log's own timestamps, by `own`. The ledger's counters get what this past counted. A log
    that is missing is passed over. When a signal asks to stop, what was read so far counts for nothing.
    """
    audit = _Audit(own, dry)
    past = ledger.fresh()
    past.explain = audit.explain.unchanged if log.isEnabledFor(logging.DEBUG) else None
    replayer = Replayer(
        past,
        guards,
        lag=0,
        on_change=audit.changed,
        on_refusal=audit.explain.refused,
        on_expiry=lambda gone: audit.explain.removed(gone, "expired"),
    )
    try:
        for follower in followers:
            _one(follower, replayer, signals, audit, int(clock.wall()))
            if signals.stop is not None:
                return
            follower.go_live()
        audit.at(replayer.clock)
        replayer.finish()
    finally:
        audit.at(None)
        replayer.close()
    log.info("------ reached end of log file ------")
    state = past.state().live(clock.wall(), past.grace, past.sessions.max_session)
    ledger.restore(state.moved(clock.shift()), clock.now())


class _Audit:
    """What is logged while the past is read, with the log's timestamps.

    The grants of one second are one record, because making one takes as long as a login's way to its grant. Nothing
    else is logged while they wait, but for debug lines: with those each Delta is logged at once.
    """

    def __init__(self, own: OwnLog, dry: bool) -> None:
        self.explain = Explainer(lambda second: second, dry=dry)
        self._own = own
        self._second: int | None = None
        self._waiting: list[tuple[str, Grant]] = []

    def at(self, second: int | None) -> None:
        """What comes now is logged with this timestamp, in seconds since the epoch; None: with the clock's."""
        if second != self._second:
            self.flush()
            self._second = second
            self._own.as_of(second)

    def changed(self, delta: Delta) -> None:
        """The rows that a Delta sets."""
        if log.isEnabledFor(logging.DEBUG):
            self.explain.changed(delta)
        else:
            self._waiting += [row for row in delta.set.items() if row[1].why != "renewed"]

    def flush(self) -> None:
        """Log what waits."""
        waiting, self._waiting = self._waiting, []
        self.explain.granted(waiting)


def _one(follower: Follower, replayer: Replayer, signals: Signals, audit: _Audit, now: int) -> None:
    first = last = None
    reference = now
    while signals.stop is None:
        pieces = follower.source.poll()
        if not pieces and not follower.source.behind:
            if not follower.source.pending:
                break
            fds = [*follower.source.filenos(), signals.fileno()]
            Pause().wait(fds, min(_PATIENCE, follower.source.timeout()))
            signals.drain()
        for piece in pieces:
            # A log that was written while the clock stood ahead has such a time of modification too.
            reference = min(follower.modified or now, now)
            batch = follower.read([piece], reference)
            for part in _single_rows(batch) if log.isEnabledFor(logging.INFO) else [batch]:
                if part:
                    audit.at(part.first[0])
                    replayer.advance(part.first[0] - 1, reference)
                replayer.take(part, reference)
            if first is None:
                first = _timestamp(follower, piece, reference, last=False)
            if (newest := _timestamp(follower, piece, reference, last=True)) is not None:
                last = newest
            audit.flush()
            if last is not None:
                audit.at(last)
            replayer.advance(last, reference)
    replayer.end_log(last, reference)
    if first is None and follower.source.trouble is None:
        log.warning(f"{follower.path}: no line has a readable timestamp")
    follower.covered = _coverage(follower, first, now - replayer.ledger.grace, now)


def _single_rows(batch: Batch) -> Iterator[Batch]:
    """Each row as a Batch of its own, so that what is logged about it comes in the log's order."""
    names = [column.name for column in fields(Batch) if column.name != "source"]
    for index in range(len(batch)):
        yield Batch(batch.source, **{name: [getattr(batch, name)[index]] for name in names})


def _timestamp(follower: Follower, piece: Piece, reference: int, *, last: bool) -> int | None:
    """The first timestamp that can be read in the piece's lines, from their end if `last`."""
    text = piece.data[piece.start : piece.stop]
    lines = text.rsplit(b"\n", _LINES)[:0:-1] if last else text.split(b"\n", _LINES)[:_LINES]
    return next((timestamp for line in lines if (timestamp := follower.timestamp(line, reference)) is not None), None)


def _coverage(follower: Follower, first: int | None, since: float, now: float) -> Coverage:
    if follower.source.uncovered is not None:
        return Coverage(False, follower.source.uncovered)
    if first is None:
        return Coverage(False, f"{follower.path} holds no line with a timestamp")
    if first > since:
        return Coverage(False, not_covering(follower.path, first, since, now))
    begins = utc(first)
    return Coverage(True, f"{follower.path} was reprocessed from its first line, of {begins}")
