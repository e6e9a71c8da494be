"""`--reprocess`: a whole log from its first line, with each line's timestamp as the clock.

What would have been granted, renewed and ended is logged as it would have been then. Only rows whose end lies after the
real present go on into the ledger, or last year's log would open the relay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pbs_fast.daemon.explain import Explainer
from pbs_fast.events import Batch
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.replay.replayer import Replayer
from pbs_fast.sources.protocol import Coverage, not_covering
from pbs_fast.sources.wakeup import Pause

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.daemon.signals import Signals
    from pbs_fast.guards import Guards
    from pbs_fast.log.logger import Log
    from pbs_fast.sources.lines import Piece
    from pbs_fast.util.clock import Clock

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
    log: Log,
) -> None:
    """Read each log to the end that it has now, standard input to its end; the rows that still hold go into `ledger`.

    Its counters get what this past counted. A log that is missing is passed over. When a signal asks to stop, what was
    read so far counts for nothing.
    """
    explain = Explainer(log, lambda second: second)
    past = ledger.fresh()
    past.explain = explain.unchanged if log.debugging else None
    replayer = Replayer(
        past,
        guards,
        lag=0,
        on_change=explain.changed,
        on_refusal=explain.refused,
        on_expiry=lambda gone: explain.removed(gone, "expired"),
    )
    try:
        for follower in followers:
            _one(follower, replayer, signals, log, int(clock.wall()))
            if signals.stop is not None:
                return
            follower.go_live()
        log.as_of(replayer.clock)
        replayer.finish()
    finally:
        log.as_of(None)
        replayer.close()
    log.info("------ reached end of log file ------")
    state = past.state().live(clock.wall(), past.grace, past.sessions.max_session)
    ledger.restore(state.moved(clock.shift()), clock.now())


def _one(follower: Follower, replayer: Replayer, signals: Signals, log: Log, now: int) -> None:
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
            for part in _single_rows(batch) if log.informing else [batch]:
                if part:
                    log.as_of(part.first[0])
                    replayer.advance(part.first[0] - 1, reference)
                replayer.take(part, reference)
            if first is None:
                first = _timestamp(follower, piece, reference, last=False)
            if (newest := _timestamp(follower, piece, reference, last=True)) is not None:
                last = newest
            if last is not None:
                log.as_of(last)
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
    begins = datetime.fromtimestamp(first, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Coverage(True, f"{follower.path} was reprocessed from its first line, of {begins}")
