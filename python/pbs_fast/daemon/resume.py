"""A start from a checkpoint: the logs from where the last run left them, the ledger as it was there.

Where anything is not as the checkpoint says, nothing of it is used, and the log of `max_session` is replayed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.daemon.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from pbs_fast.errors import SourceError
from pbs_fast.sources.protocol import Coverage
from pbs_fast.util.durations import rough
from pbs_fast.util.text import utc

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.sources.file.position import Position
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)


def resume(
    path: str,
    logs: Sequence[str],
    ledger: Ledger,
    clock: Clock,
    follow: Callable[[str, Position], Follower],
) -> list[Follower] | None:
    """Followers that go on where the run before left them, its state in `ledger`; None when it cannot be gone on from.

    `follow` makes the follower of a log from a place in it.
    """
    wall = clock.wall()
    try:
        checkpoint = read_checkpoint(path, logs=logs, ends=ledger.sessions.ends, window=ledger.window, wall=wall)
        _refuse_processes(checkpoint, ledger)
        followers = _opened(checkpoint, logs, follow)
    except CheckpointError as error:
        log.info(f"the checkpoint cannot be used: {error}; replaying the last {rough(ledger.window)} of the logs")
        return None
    when = utc(checkpoint.written)
    for follower in followers:
        follower.resume(Coverage(True, f"{follower.path}: continued from the checkpoint of {when}"), wall)
    state = checkpoint.state.live(wall, ledger.grace, ledger.sessions.max_session)
    ledger.restore(state.moved(clock.shift()), clock.now())
    log.info(f"the checkpoint held {len(state.rows)} addresses and {len(state.sessions)} open sessions")
    return followers


def _refuse_processes(checkpoint: Checkpoint, ledger: Ledger) -> None:
    """Lines that end a session without naming its address need the stream that saw it begin, which is not saved."""
    for _, session in checkpoint.state.sessions:
        if ledger.sessions.ends.get(session.format) == "process":
            raise CheckpointError(f"the ends of {session.format}'s sessions need the whole log")


def _opened(checkpoint: Checkpoint, logs: Sequence[str], follow: Callable[[str, Position], Follower]) -> list[Follower]:
    """Raises CheckpointError when the place in one of the logs is not there any more."""
    followers: list[Follower] = []
    fault: str | None = None
    for path in logs:
        follower = follow(path, checkpoint.positions[path])
        followers.append(follower)
        try:
            follower.open()
        except SourceError as error:
            fault = fault or str(error)
        if follower.source.trouble is not None or follower.source.counters["lost"]:
            fault = fault or f"its position in {path} no longer exists"
    if fault is not None:
        for follower in followers:
            follower.close()
        raise CheckpointError(fault)
    return followers
