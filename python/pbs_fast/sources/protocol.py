"""What every kind of log source is to whoever reads it, whatever it reads: a file, standard input, the journal.

Imports `notices`, `pieces` and the types of `replay`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from pbs_fast.sources.file.position import Position
from pbs_fast.sources.file.replay import Coverage, Replayed
from pbs_fast.sources.file.search import StampOf
from pbs_fast.sources.file.source import BUDGET
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.notices import Notice
from pbs_fast.sources.wakeup import Hints

#: `replay`: from now on, what was before comes through `Source.replay`. `begin`: all that there is.
Start = Literal["replay", "begin"]


class Past(Protocol):
    """What a source holds since a moment, up to where following takes over; read in bounded steps."""

    @property
    def done(self) -> bool: ...
    def step(self) -> list[Replayed]:
        """The next lines; perhaps none although not `done`. Raises nothing."""

    @property
    def coverage(self) -> Coverage:
        """Was all handed out that was logged since the window's start? Final once `done`."""

    def close(self) -> None: ...


class Before(NamedTuple):
    """Whole lines data[start:], which stand right before the first line that is followed."""

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
        """What messages call it."""

    @property
    def ended(self) -> bool:
        """Nothing will ever come again."""

    @property
    def pending(self) -> bool:
        """What was there at the beginning (`start="begin"`) is not all read, although nothing may be there just now."""

    @property
    def uncovered(self) -> str | None:
        """Why it covers no window even when it is read from its beginning to its end; None when it may."""

    @property
    def trouble(self) -> Notice | None:
        """Why there is nothing to follow, as of the last look; None while there is."""

    @property
    def modified(self) -> int | None:
        """When what is followed was last written, in seconds since the epoch; None when it has no such time."""

    def open(self) -> None:
        """Make the first look, so that following begins here. Raises SourceError for what waiting cannot mend."""

    def before(self) -> Before | None:
        """The lines before the first, so that a record that was cut there is known; None when there are none."""

    def position(self) -> Position | None:
        """How far lines were handed out, for `Wishes.start` of a later run; None where no place can be come back to."""

    def replay(self, since: float, stamp_of: StampOf, now: float) -> Past:
        """The past since `since`; call it once, before the first poll. Times in seconds since the epoch."""

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """What can be read now, about `budget` bytes at most. Raises nothing."""

    def filenos(self) -> list[int]:
        """Descriptors that become readable when there may be something; the timer (`timeout`) holds in any case."""

    def timeout(self) -> float:
        """Seconds after which the next poll is due although no descriptor is ready."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Wishes:
    """What whoever opens a source wants of it."""

    start: Start | Position = "replay"
    """A Position only for the kind of source that gave it."""
    hints: Hints | None = None
    on_notice: Callable[[Notice], object] = lambda _: None
    tags: Sequence[str] = ()
    """Program tags of lines that matter: a source that refuses lines says so of those only."""


class NoPast:
    """The past of a source that has none."""

    done = True

    def __init__(self, reason: str) -> None:
        self.coverage = Coverage(False, reason)

    def step(self) -> list[Replayed]:
        return []

    def close(self) -> None:
        return
