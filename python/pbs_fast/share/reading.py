"""One node's stream on one hub, as it is read: where we are, what is missing, when to read it again. Pure."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Cause = Literal["start", "gap", "silence", "hub_step", "revoked"]
Id = tuple[int, int]

#: Seconds without a message after which a node is silent; a stream that stays silent is read again at twice the time.
SILENT: Final = 30
_LONGEST_SILENCE = 480
#: The same after a new connection, whose server may have less than we have read: one beat and some time.
_PATIENCE = 12
#: Fewest seconds between two readings because of gaps or of revocations.
_BETWEEN = 10
#: Runs of a node that are told apart within a reading; who restarts more often than that has its oldest run forgotten.
_RUNS = 64
#: Messages whose times are in doubt, of the 10 s between two samples of the clock.
_DOUBTS = 4_096


class Read(NamedTuple):
    """Read this node's stream from now on after this id."""

    node: str
    reading: int
    after: str


class NodeState(NamedTuple):
    """What is known of another node."""

    name: str
    trusted: bool = False
    heard: float | None = None
    """When its last beat was made, on the ledger's clock; the newest of all hubs."""
    silent: bool = True
    """No beat for 30 s."""
    rows: int = 0
    """Own live rows, as it says."""
    version: str | None = None
    gaps: int = 0
    received: int = 0
    """Rows received from it."""
    grace: int = 0
    seen: dict[str, int] = {}  # noqa: RUF012 - replaced whole, never changed
    """The highest number of each node's revocations in force there."""


class Stream:
    """The state of one stream's reading."""

    def __init__(self) -> None:
        self.reading = 0
        self.cursor: Id | None = None
        """The last id that was taken."""
        self.caught_up = False
        self._live = False
        """Whether what comes and was not there before has just been written: over this connection, the stream was read
        to its end once."""
        self._waits = False
        """For the next answer to TIME."""
        self._unseen = False
        """Whether the last message taken was in no earlier reading."""
        self.gaps = 0
        self.heard: float | None = None
        """When the newest message was made, on our clock."""
        self.began = 0.0
        self.oldest: float | None = None
        """When the first message of the reading was made, on our clock."""
        self._want: Cause | None = "start"
        self._cut = False
        """Over the connection that we have now, nothing is read yet."""
        self._not_before = 0.0
        self._patience: float = SILENT
        self._runs: dict[str, int] = {}
        """The last number of each run in this reading."""
        self._seen: dict[str, int] = {}
        """The last number of each run in all readings."""
        self._doubtful: dict[tuple[str, int], None] = {}
        """Messages since the hub's clock was last seen to be right whose times did not look so."""
        self._spoilt: dict[str, int] = {}
        """Up to this number of a run, times are those of a clock that the hub no longer has. Not ids: after a flush
        they may begin anew below those of before."""
        self._look_again: dict[tuple[str, int], None] = {}
        """Those of them that may have the times of the clock that the hub has now."""
        self._gaps: dict[str, int] = {}
        """Of each run the number that came after its latest known gap: what is missing before it is in no reading."""

    def want(self, cause: Cause) -> None:
        """Read it again from the horizon; what is wanted at once for another reason is that already."""
        if self._want in (None, "gap"):
            self._want = cause

    def resume(self, now: float) -> None:
        """Go on after the cursor, over a new connection."""
        self.began, self._patience, self._live = now, _PATIENCE, False
        self._cut = self.cursor is not None
        if self.cursor is None:
            self._want = self._want or "start"

    def wanted(self, now: float, *, removing: bool = False) -> Cause | Literal["resume"] | None:
        """Why the stream is to be read anew now, if it is. `removing`: rows are being removed because of revocations,
        and what is read again before that is over would go, too."""
        if self._waits:
            return None
        early = self._want in ("gap", "revoked") and now < self._not_before
        if self._want is None or early or (removing and self._want == "revoked"):
            return "resume" if self._cut else None
        return self._want

    def begin(self, cause: Cause | Literal["resume"], reading: int, horizon: Id, now: float) -> str:
        """A reading with this number begins because of this; the id after which it does."""
        self.reading, self.began, self._cut = reading, now, False
        if cause == "silence":
            self._live = False
        if cause == "resume" and self.cursor is not None:
            after = self.cursor
        else:
            after = horizon
            self._runs.clear()
            self.caught_up, self.oldest = False, None
            self.cursor = after
            self._not_before = now + _BETWEEN
            self._want = None
        return f"{after[0]}-{after[1]}"

    def sequence(self, run: str, number: int) -> bool:
        """Take the number of the next message; False if it is not later than the last one of its run."""
        last = self._runs.get(run)
        if last is not None and number <= last:
            return False
        expected = number if not self._runs else 1 if last is None else last + 1
        if number > expected and number > self._gaps.get(run, 0):
            self.gaps += 1
            _put(self._gaps, run, number)
            self._want = self._want or "gap"
        _put(self._runs, run, number)
        seen = self._seen.get(run, 0)
        self._unseen = number > seen
        _put(self._seen, run, max(number, seen))
        return True

    def heard_at(self, made: float, now: float) -> None:
        """A message was made at this second of ours."""
        if self.oldest is None:
            self.oldest = made
        if self.heard is None or made > self.heard:
            self.heard = made
        if now - made <= SILENT:
            self._patience = SILENT

    def spoilt(self, run: str, number: int) -> bool:
        """Whether a message was taken before the hub's clock was set, so that its time means something else now."""
        return number <= self._spoilt.get(run, 0) and (run, number) not in self._look_again

    def at_end(self) -> None:
        """The reading has come to the stream's end for the first time: the hub gave all that it had."""
        self.caught_up = self._live = True

    def doubt(self, run: str, number: int) -> None:
        """The time of the message just taken does not fit. If it was just written, its sender perhaps knows of a step
        of the hub's clock, and we do not; what waited to be read may well be old."""
        if not (self._live and self._unseen):
            return
        self._doubtful[run, number] = None
        if len(self._doubtful) > _DOUBTS:
            del self._doubtful[next(iter(self._doubtful))]

    def wait_for_clock(self) -> None:
        """Begin to read only after the next answer to TIME."""
        self._waits = True

    def clock_is_right(self) -> None:
        """The hub's clock was not set: what was taken up to here needs no second look."""
        self._doubtful.clear()
        self._waits = False

    def look(self, now: float) -> None:
        """Read a silent stream again."""
        since = max(self.began, self.began if self.heard is None else self.heard)
        if self.reading and now - since > self._patience:
            self._patience = min(self._patience * 2, _LONGEST_SILENCE)
            self._want = self._want or "silence"

    def stepped(self) -> None:
        """The hub's clock was set: of what was taken, only what is in doubt is worth a second look."""
        self._waits = False
        self._spoilt, self._look_again = dict(self._seen), dict(self._doubtful)
        self._doubtful.clear()
        self.heard = None
        if self.reading:
            self._want = "hub_step"


def _put(numbers: dict[str, int], run: str, number: int) -> None:
    """Keep the number of a run, and forget the oldest run beyond _RUNS."""
    numbers[run] = number
    if len(numbers) > _RUNS:
        del numbers[next(iter(numbers))]
