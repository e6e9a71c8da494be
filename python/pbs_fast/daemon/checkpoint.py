"""The checkpoint of counted sessions: how far each log was read, and what the ledger knew there, in one atomic file.

A cache. Without it, or when anything in it is not as it should be, the log of `max_session` is replayed; with it, the
logs are read on from where the last run stopped. Times in the file are seconds since the epoch. Imports the ledger's
types and the sources' positions.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pbs_fast.errors import PbsError
from pbs_fast.events import Grant
from pbs_fast.ledger.counting import State
from pbs_fast.ledger.sessions import Key, Session
from pbs_fast.sources.file.position import Position, display
from pbs_fast.util.addresses import parse_canonical

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.ledger.counting import CountingLedger
    from pbs_fast.log.logger import Log
    from pbs_fast.util.clock import Clock

_VERSION = 1
#: Seconds between two checkpoints; a kill -9 costs so much reading again, no session.
_EVERY = 60.0
#: Writing takes at most this share of the time (a million rows are 2 s of JSON).
_SHARE = 0.01


class CheckpointError(PbsError):
    """The checkpoint is absent, or is none that may be used; the text is the reason."""


class Checkpoint(NamedTuple):
    """What an earlier run left; times in seconds since the epoch."""

    written: int
    positions: dict[str, Position]
    state: State


def read_checkpoint(path: str, *, logs: Collection[str], formats: Collection[str], since: float) -> Checkpoint:
    """The checkpoint in the file `path`, for exactly these logs. Raises CheckpointError.

    `formats` are those in force; `since` is the second (since the epoch) from which on one is young enough.
    """
    try:
        checkpoint = _decode(json.loads(Path(path).read_bytes()))
    except FileNotFoundError:
        raise CheckpointError("there is none") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {display(path)}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{display(path)} is damaged ({type(error).__name__})") from error
    if checkpoint.written < since:
        raise CheckpointError(f"{display(path)} is {int(time.time() - checkpoint.written)} s old")
    if checkpoint.positions.keys() != set(logs):
        raise CheckpointError(f"{display(path)} was made with other logs")
    if unknown := {session.format for _, session in checkpoint.state.sessions} - set(formats):
        raise CheckpointError(f"{display(path)} was made with other formats ({', '.join(sorted(unknown))})")
    return checkpoint


def write_checkpoint(path: str, positions: Mapping[str, Position], state: State, wall: int) -> None:
    """Put a checkpoint into the file `path`, whole or not at all. Raises OSError."""
    target = Path(path)
    fresh = target.with_name(f"{target.name}.tmp")
    record = {
        "version": _VERSION,
        "written": wall,
        "logs": {os.fsencode(log).hex(): position.to_json() for log, position in positions.items()},
        "rows": {ip: [row.expires, row.user, row.format, row.host] for ip, row in state.rows.items()},
        "sessions": [[*key, *session] for key, session in state.sessions],
    }
    try:
        with open(fresh, "wb", opener=_private) as file:
            file.write(json.dumps(record, separators=(",", ":")).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise


class Checkpoints:
    """Writes a checkpoint now and then; a fault is said once, and nothing else depends on it."""

    def __init__(self, path: str, ledger: CountingLedger, clock: Clock, log: Log) -> None:
        self._path = path
        self._ledger, self._clock, self._log = ledger, clock, log
        self._failed = False
        self.due = time.monotonic() + _EVERY
        """When `turned` is worth calling next, on time.monotonic's clock."""

    def turned(self, followers: Iterable[Follower]) -> None:
        """Between two turns of the loop: what was read is in the ledger."""
        if time.monotonic() >= self.due:
            self.write(followers)

    def write(self, followers: Iterable[Follower]) -> None:
        """Write one now, where every log has a place to come back to."""
        begun = time.monotonic()
        self.due = begun + _EVERY
        positions: dict[str, Position] = {}
        for follower in followers:
            position = follower.position
            if position is None:
                return
            positions[follower.path] = position
        shift = self._clock.shift()
        try:
            write_checkpoint(self._path, positions, self._ledger.state().moved(-shift), int(self._clock.wall()))
        except OSError as error:
            if not self._failed:
                self._log.warning(
                    f"cannot write the checkpoint {display(self._path)}: {error.strerror}; a restart will replay the "
                    "log of max_session instead"
                )
            self._failed = True
        else:
            self._failed = False
        self.due = max(self.due, begun + (time.monotonic() - begun) / _SHARE)


def _decode(record: dict[str, Any]) -> Checkpoint:
    """Raises KeyError, TypeError, ValueError, AttributeError or IndexError for what is no checkpoint."""
    if record["version"] != _VERSION:
        raise ValueError("version")
    positions = {
        os.fsdecode(bytes.fromhex(log)): Position.from_json(position) for log, position in record["logs"].items()
    }
    rows = {}
    for ip, (expires, user, format_, host) in record["rows"].items():
        rows[_address(ip)] = Grant(_whole(expires), _text_or_none(user), _text(format_), "recovered", _text(host))
    sessions: list[tuple[Key, Session]] = []
    for host, format_, place, name, ip, opened, user, named, at in record["sessions"]:
        identity = name if isinstance(name, int) else _text(name)
        key = (_text(host), _text(format_), _text(place), identity)
        sessions.append((key, Session(_address(ip), _whole(opened), _text_or_none(user), _text(named), _text(at))))
    return Checkpoint(_whole(record["written"]), positions, State(rows, sessions))


def _address(value: object) -> str:
    text = _text(value)
    if parse_canonical(text) is None:
        raise ValueError(text)
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
