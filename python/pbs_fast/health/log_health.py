"""Whether the lines of one log are understood, and still are. Pure: no clock, no I/O; says what to warn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pbs_fast.health.drift import HOUR, Drift
from pbs_fast.health.lost_lines import LostLines
from pbs_fast.matching.census import Census

if TYPE_CHECKING:
    from pbs_fast.formats import Format
    from pbs_fast.matching.reader import Reader
    from pbs_fast.sources.lines import Piece

#: Lines without a known tag after which a log is not understood; within an hour so many, later fewer.
ENOUGH: Final = 1_000
#: Lines without an envelope after which a file's layout is not understood; lines without a known tag after an hour.
SOME: Final = 20
#: Lines that are looked at, each second and, at the beginning, at once: 2 µs each.
PER_SECOND: Final = 20


class LogHealth:
    """One log. `look` at its pieces while `wants_lines`, then `turned` now and then."""

    def __init__(self, formats: Sequence[Format]) -> None:
        """`formats` are those that the log's lines are matched with."""
        self.census = Census(formats)
        self.drift = Drift()
        self.lost = LostLines()
        self.wants_lines = True
        """False once a file of the log brought an event: then its lines are understood."""
        self.not_understood: str | None = None
        """What to warn of, for as long as it holds."""
        self._code = ""
        self._may_look = ENOUGH
        self._reference = 0
        self._some = ENOUGH if any(each.line_login or each.line_logout for each in formats) else SOME
        """Patterns for whole lines need no envelope, so more lines without one are usual."""
        self._counted: Mapping[str, int] | None = None
        self._file_events = 0
        """Events counted when this file began."""
        self._new_file = False
        self._began: float | None = None

    def begin_file(self) -> None:
        """Another file of the log begins, which may have another layout."""
        self.census.begin_file()
        self._new_file = True
        self.wants_lines = True

    def look(self, reader: Reader, piece: Piece, reference: int) -> None:
        """Look at the first lines of a piece that `reader` has read at this second since the epoch; not at too many."""
        if reference != self._reference:
            self._may_look = min(ENOUGH, self._may_look + PER_SECOND * max(0, reference - self._reference))
            self._reference = reference
        if self._may_look:
            self._may_look -= self.census.look(reader, piece.data, piece.start, piece.stop, reference, self._may_look)

    def turned(self, now: float, counters: Mapping[str, int]) -> list[str]:
        """Judge what was read so far, by the log's counters (docs/MATCHING.md, 7); `now` is seconds since the epoch.

        Returns the warnings that are due, in words that continue a sentence after the log's name.
        """
        before = counters if self._counted is None else self._counted
        self._counted = counters
        self._began = now if self._began is None else self._began
        events = counters["login"] + counters["logout"]
        if self._new_file:
            self._new_file = False
            self._file_events = before["login"] + before["logout"]
        self.wants_lines = events <= self._file_events
        warnings = [self._judge(now - self._began, events)]
        lines, logins = (max(0, counters[name] - before[name]) for name in ("lines", "login"))
        missed = max(0, _missed(counters) - _missed(before))
        warnings.append(self.drift.saw(now, lines, logins, missed))
        warnings.append(self.lost.warning(now))
        return [text for text in warnings if text is not None]

    @property
    def signs(self) -> str:
        """What shows that the log's wording has changed, for as long as it does; "" for nothing."""
        return "; ".join(self.drift.standing.values())

    def _judge(self, age: float, events: int) -> str | None:
        """Whether the log is understood; the warning where it has just turned out not to be, or for another reason."""
        census = self.census
        reason = None
        if events <= self._file_events and self._some <= census.file_lines < 2 * census.file_headless:
            reason = census.headless_reason()
        elif not events and (census.lines >= ENOUGH or (age >= HOUR and census.lines >= SOME)):
            unread = census.reason()
            if unread.code != "no_login" or (census.known >= ENOUGH and age >= HOUR):
                reason = unread
        if reason is None:
            self.not_understood, self._code = None, ""
            return None
        is_new = reason.code != self._code
        self.not_understood, self._code = f"its lines are not understood: {reason.sentence()}", reason.code
        return self.not_understood if is_new else None


def _missed(counters: Mapping[str, int]) -> int:
    return sum(n for name, n in counters.items() if name.startswith("missed_"))
