"""`--reprocess`: a whole log from its first line, each line's stamp as the clock.

What would have been granted, renewed and ended is said in our own log, as it would have been then. Only rows whose end
lies after the real present go on into the ledger, or last year's log would open the relay. Imports what the loop does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pbs_fast.daemon.explain import Explainer
from pbs_fast.events import Batch, Grant
from pbs_fast.ledger.counting import CountingLedger
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.sources.file.replay import Coverage
from pbs_fast.sources.wakeup import Pause

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.daemon.signals import Signals
    from pbs_fast.guards import Guards
    from pbs_fast.log.logger import Log
    from pbs_fast.sources.lines import Piece
    from pbs_fast.util.clock import Clock

#: Lines of a piece that are looked at for the log's first stamp.
_FIRST_LINES = 100
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
    try:
        for follower in followers:
            _one(follower, guards, past, signals, log, explain, int(clock.wall()))
            if signals.stop is not None:
                return
            follower.go_live()
    finally:
        log.as_of(None)
    log.info("------ reached end of log file ------")
    shift = clock.shift()
    wall = clock.wall()
    if isinstance(ledger, CountingLedger) and isinstance(past, CountingLedger):
        ledger.restore(past.state().still(wall, past.sessions.max_session).moved(shift), clock.now())
        return
    held = {ip: row for ip, row in past.rows().items() if row.expires > wall}
    ledger.observe(_as_batch(held, ledger.grace), clock.now(), shift=shift)


def _one(
    follower: Follower, guards: Guards, past: Ledger, signals: Signals, log: Log, explain: Explainer, now: int
) -> None:
    first: int | None = None
    while signals.stop is None:
        pieces = follower.source.poll()
        if not pieces and not follower.source.behind:
            if not follower.source.pending:
                break
            fds = [*follower.source.filenos(), signals.fileno()]
            Pause().wait(fds, min(_PATIENCE, follower.source.timeout()))
            signals.drain()
        for piece in pieces:
            reference = follower.modified or now
            if first is None:
                first = _first_stamp(follower, piece, reference)
            batch = follower.read([piece], reference)
            for part in _single_rows(batch) if log.informing else [batch] if batch else []:
                log.as_of(part.first[0])
                _expire(past, part.first[0], explain)
                screened = guards.screen(part, past, part.last[-1], replay=True)
                explain.refused(screened.refused)
                explain.changed(past.observe(screened.batch, None))
            if batch:
                log.as_of(max(batch.last))
                _expire(past, max(batch.last), explain)
    if first is None and follower.source.trouble is None:
        log.warning(f"{follower.path}: no line's stamp could be read")
    follower.covered = _coverage(follower, first, now - past.grace)


def _expire(past: Ledger, now: int, explain: Explainer) -> None:
    gone: dict[str, Grant] = {}
    past.expire(now, gone)
    explain.removed(gone, "expired")


def _single_rows(batch: Batch) -> Iterator[Batch]:
    """Each row as a Batch of its own, so that what is said of it comes in the log's order."""
    names = [column.name for column in fields(Batch) if column.name != "source"]
    for index in range(len(batch)):
        yield Batch(batch.source, **{name: [getattr(batch, name)[index]] for name in names})


def _first_stamp(follower: Follower, piece: Piece, reference: int) -> int | None:
    lines = piece.data[piece.start : piece.stop].split(b"\n", _FIRST_LINES)[:_FIRST_LINES]
    return next((stamp for line in lines if (stamp := follower.stamp(line, reference)) is not None), None)


def _coverage(follower: Follower, first: int | None, since: float) -> Coverage:
    if follower.source.uncovered is not None:
        return Coverage(False, follower.source.uncovered)
    if first is None:
        return Coverage(False, f"{follower.path} holds no line with a stamp")
    begins = datetime.fromtimestamp(first, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if first > since:
        return Coverage(False, f"{follower.path} begins at {begins}, within the window")
    return Coverage(True, f"{follower.path} was reprocessed from its first line, of {begins}")


def _as_batch(rows: dict[str, Grant], grace: int) -> Batch:
    """The rows as logins at the times that they stem from."""
    stamps = [row.expires - grace for row in rows.values()]
    size = len(rows)
    return Batch(
        "",
        ip=list(rows),
        first=stamps,
        last=stamps,
        n=[1] * size,
        kind=["login"] * size,
        format=[row.format for row in rows.values()],
        host=[row.host for row in rows.values()],
        offset=[0] * size,
        tls=[None] * size,
        loop=[False] * size,
        session=[None] * size,
        user_first=[row.user for row in rows.values()],
        user_last=[row.user for row in rows.values()],
        users=[1] * size,
    )
