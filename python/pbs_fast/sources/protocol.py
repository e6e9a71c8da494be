"""The interface of all log sources: files, standard input, the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from pbs_fast.sources.file.position import Position
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.wakeup import Hints
from pbs_fast.util.text import utc

#: (line without newline, reference) -> seconds since the epoch, or None. `Matcher.timestamp` with its layout.
TimestampOf = Callable[[bytes, int], int | None]

#: About how many bytes one poll hands out at most: 1 MiB is 8,000 lines, 1 ms in the Rust backend, 10 ms in Python.
BUDGET = 1_048_576

Kind = Literal["missing", "unreadable", "found", "rotated", "truncated", "read-error", "lost", "not-a-log", "refused"]


class Notice(NamedTuple):
    """One change of state of one log."""

    kind: Kind
    path: str
    """The log's path as configured; bytes that are not UTF-8 as surrogate escapes."""
    text: str
    """One printable line: what, where, and what to do, if anything."""

    @property
    def cause(self) -> str:
        """The text for who does not wait until it is mended."""
        return self.text.partition("; waiting for ")[0]


class Replayed(NamedTuple):
    """Whole lines of the past."""

    piece: Piece
    reference: int
    """Last-modified time of their file, in seconds since the epoch, from which years are inferred."""
    path: str


class Coverage(NamedTuple):
    """Was everything handed out that was logged since the window's start?"""

    complete: bool
    reason: str
    """For the log: how far back it reached, or why not far enough."""


def not_covering(name: str, first: int, since: float, now: float) -> str:
    """Why the log `name` does not cover the window from `since` to `now`: it starts at `first`."""
    starts = utc(first)
    seconds = round(now - since)
    units = ((3_600, "hours"), (60, "minutes"))
    window = next((f"{seconds // s} {u}" for s, u in units if seconds >= 2 * s and seconds % s == 0), f"{seconds} s")
    return f"{name} starts at {starts}, so it does not cover the last {window}"


#: `replay`: only new lines, earlier ones come through `Source.replay`. `begin`: all lines from the first one.
Start = Literal["replay", "begin"]


class Past(Protocol):
    """The lines of a source since a moment, up to where following starts; read in bounded steps."""

    @property
    def done(self) -> bool: ...
    def step(self) -> list[Replayed]:
        """The next lines; it may return none although it is not `done`. Raises nothing."""

    @property
    def coverage(self) -> Coverage:
        """Was everything handed out that was logged since the window's start? Final once `done`."""

    def close(self) -> None: ...


class Before(NamedTuple):
    """Whole lines data[start:], which directly precede the first line that is followed."""

    data: bytes
    start: int
    reference: int


class Source(Protocol):
    """Whole lines, each once, in order. Not for several threads at once."""

    counters: Counter[str]
    behind: bool
    """The last poll left something that can be read at once."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def of_containers(self) -> bool:
        """Its lines are a journal's entries of containers, whose text may have a header of its own."""

    @property
    def ended(self) -> bool:
        """No more lines will ever come."""

    @property
    def pending(self) -> bool:
        """Lines that existed at the start (`start="begin"`) are still unread, although none may be ready now."""

    @property
    def uncovered(self) -> str | None:
        """Why it covers no window even if it is read from start to end; None if it may."""

    @property
    def trouble(self) -> Notice | None:
        """Why there is nothing to follow, as of the last poll; None while there is."""

    @property
    def modified(self) -> int | None:
        """When the log was last written, in seconds since the epoch; None if it has no such time."""

    @property
    def behind_bytes(self) -> int | None:
        """Bytes that were written and not yet read; None if there is no such number."""

    def open(self) -> None:
        """Open the log, so that following begins here. Raises SourceError for what waiting cannot fix."""

    def before(self) -> Before | None:
        """The lines before the first one, so that a record that was cut there is recognised; None if there are none."""

    def position(self) -> Position | None:
        """How far lines were handed out, for `SourceOptions.start` of a later run; None if it cannot resume."""

    def replay(self, since: float, timestamp_of: TimestampOf, now: float) -> Past:
        """The past since `since`; call it once, before the first poll. Times in seconds since the epoch."""

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """The whole lines that can be read now, about `budget` bytes at most. Raises nothing."""

    def filenos(self) -> list[int]:
        """Descriptors that become readable when there may be more; poll after `timeout` in any case."""

    def timeout(self) -> float:
        """Seconds after which the next poll is due even if no descriptor is ready."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class SourceOptions:
    """Options for opening a source."""

    start: Start | Position = "replay"
    """A Position only for the kind of source that gave it."""
    hints: Hints | None = None
    on_notice: Callable[[Notice], object] = lambda _: None
    tags: Sequence[str] = ()
    """Program tags of lines that matter: a source that rejects lines reports only those."""


class NoPast:
    """The past of a source that has none."""

    done = True

    def __init__(self, reason: str) -> None:
        self.coverage = Coverage(False, reason)

    def step(self) -> list[Replayed]:
        return []

    def close(self) -> None:
        return
