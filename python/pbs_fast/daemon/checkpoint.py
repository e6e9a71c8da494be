"""The checkpoint of counted sessions: how far each log was read, and what the ledger knew there, in one atomic file.

A cache. Without it, or when anything in it is not as it should be, the log of `max_session` is replayed; with it, the
logs are read on from where the last run stopped. Times in the file are seconds since the epoch. None of them is taken
on trust: the clock may have been ahead when they were written, and a row must not end later than one that is granted
now.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pbs_fast.config.model import LONGEST
from pbs_fast.errors import PbsError
from pbs_fast.events import MAX_AHEAD, Grant
from pbs_fast.ledger.sessions import Ends, Key, Session
from pbs_fast.ledger.state import State
from pbs_fast.sources.file.position import Position, display
from pbs_fast.util.addresses import parse_canonical
from pbs_fast.util.admin_files import read_admin_file, replace_file

if TYPE_CHECKING:
    from pbs_fast.daemon.follower import Follower
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

_VERSION = 2
#: Seconds between two checkpoints; a kill -9 costs so much reading again, no session.
_EVERY = 60.0
#: Writing takes at most this share of the time (a million rows are 2 s of JSON).
_SHARE = 0.01
#: Largest checkpoint, in bytes: a million rows with a session each take 200 MB.
SIZE_LIMIT: Final = 256 << 20
#: Seconds by which a checkpoint may seem to be of the future: NTP slews, and the time in it is a whole second.
_CLOCK_SLACK = 5


class CheckpointError(PbsError):
    """The checkpoint is absent or unusable; the text is the reason."""


class Checkpoint(NamedTuple):
    """What an earlier run left; times in seconds since the epoch."""

    written: int
    positions: dict[str, Position]
    state: State


def read_checkpoint(
    path: str, *, logs: Collection[str], ends: Mapping[str, Ends], window: float, wall: float
) -> Checkpoint:
    """The checkpoint in the file `path`, for exactly these logs. Raises CheckpointError, whatever the file holds.

    `ends` is how the sessions of each counted format end. The checkpoint must be written within the last `window`
    seconds of `wall` (seconds since the epoch), and not after it.
    """
    try:
        record = json.loads(read_admin_file(path, SIZE_LIMIT))
        checkpoint = _Decoder(ends).checkpoint(record)
    except FileNotFoundError:
        raise CheckpointError("there is none") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {display(path)}: {error.strerror}") from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{display(path)} is damaged ({type(error).__name__})") from error
    age = wall - checkpoint.written
    if age > window:
        raise CheckpointError(f"{display(path)} is {int(age)} s old")
    if age < -_CLOCK_SLACK:
        raise CheckpointError(f"{display(path)} was written {int(-age)} s in the future: was the clock set back?")
    if checkpoint.positions.keys() != set(logs):
        raise CheckpointError(f"{display(path)} was written for other logs")
    if unknown := {session.format for _, session in checkpoint.state.sessions} - ends.keys():
        raise CheckpointError(f"{display(path)} was written for other formats ({', '.join(sorted(unknown))})")
    return checkpoint


def write_checkpoint(path: str, positions: Mapping[str, Position], state: State, wall: int) -> None:
    """Put a checkpoint into the file `path`, whole or not at all. Raises OSError."""
    record = {
        "version": _VERSION,
        "written": wall,
        "logs": {os.fsencode(log).hex(): position.to_json() for log, position in positions.items()},
        "rows": {ip: [row.expires, row.user, row.format, row.host] for ip, row in state.rows.items()},
        "sessions": [[*key, *session] for key, session in state.sessions],
        "uncounted": state.uncounted,
    }
    data = json.dumps(record, separators=(",", ":")).encode("ascii")
    if len(data) > SIZE_LIMIT:
        raise OSError(errno.EFBIG, f"Larger than {SIZE_LIMIT >> 20} MiB", path)
    replace_file(Path(path), data)


class Checkpoints:
    """Writes a checkpoint regularly; an error is logged once, and nothing else depends on it."""

    def __init__(self, path: str, ledger: Ledger, clock: Clock) -> None:
        self._path = path
        self._ledger, self._clock = ledger, clock
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
                log.warning(
                    f"cannot write the checkpoint {display(self._path)}: {error.strerror}; a restart will replay the "
                    "log of max_session instead"
                )
            self._failed = True
        else:
            self._failed = False
        self.due = max(self.due, begun + (time.monotonic() - begun) / _SHARE)


class _Decoder:
    """Raises KeyError, TypeError, ValueError, AttributeError or IndexError for what is no checkpoint."""

    def __init__(self, ends: Mapping[str, Ends]) -> None:
        self._ends = ends
        self._latest = 0

    def checkpoint(self, record: dict[str, Any]) -> Checkpoint:
        if record["version"] != _VERSION:
            raise ValueError("version")
        written = _whole(record["written"])
        # A log's own clock may have been ahead by so much (docs/MATCHING.md, 6).
        self._latest = written + MAX_AHEAD
        positions = {
            os.fsdecode(bytes.fromhex(log)): Position.from_json(position) for log, position in record["logs"].items()
        }
        rows = {_address(ip): self._row(*fields) for ip, fields in record["rows"].items()}
        sessions = [self._session(*fields) for fields in record["sessions"]]
        if len({key for key, _ in sessions}) < len(sessions):
            raise ValueError("a session is listed twice")
        uncounted = tuple((_text(format_), _text(host)) for format_, host in record["uncounted"])
        return Checkpoint(written, positions, State(rows, sessions, uncounted))

    def _row(self, expires: object, user: object, format_: object, host: object) -> Grant:
        if _whole(expires) > self._latest + LONGEST:
            raise ValueError(expires)
        return Grant(_whole(expires), _text_or_none(user), _text(format_), "recovered", _text(host))

    def _session(
        self,
        host: object,
        format_: object,
        place: object,
        name: object,
        ip: object,
        opened: object,
        user: object,
        named: object,
        at: object,
        process: object,
    ) -> tuple[Key, Session]:
        session = Session(_address(ip), _whole(opened), _text_or_none(user), _text(named), _text(at), _text(process))
        by_address = self._ends.get(session.format, "address") == "address"
        numbered = by_address and not isinstance(name, str)
        key = (_text(host), _text(format_), _text(place), _whole(name) if numbered else _text(name))
        if session.opened > self._latest or key[:3] != (session.host, session.format, session.ip if by_address else ""):
            raise ValueError(key)
        return key, session


def _address(value: object) -> str:
    text = _text(value)
    if parse_canonical(text) is None:
        raise ValueError(text)
    return text


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # a lone surrogate: nothing that a matcher gives, and no file takes it
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _whole(value: object) -> int:
    """A time or a number that is counted on. Raises TypeError, and ValueError beyond any such."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    if not 0 <= value < 1 << 53:
        raise ValueError
    return value
