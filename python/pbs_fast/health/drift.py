"""Notices that a server's log lines have changed, so that its logins are no longer recognised.

Two signs, because a new wording has no success words that are known: (a) many lines look like a login and match no
pattern; (b) the logins of a log stop while its lines go on. Dovecot 2.4's new wordings show themselves by (b) only.
Pure: takes counts and the time, returns the warnings to log. One object for each log.
"""

from __future__ import annotations

from collections import deque
from math import exp
from typing import Final, Literal

Sign = Literal["missed", "stopped"]

HOUR: Final = 3_600.0
#: Sign (a): missed lines within an hour, and their share in what looks like a login, from which on it is a sign.
MISSED: Final = 20
MISSED_SHARE: Final = 0.1
#: Sign (b): seconds without a login, and in usual gaps between two logins; and which share of its usual lines goes on.
STOPPED: Final = HOUR
USUAL_GAPS: Final = 20.0
LINES_SHARE: Final = 0.3
#: Logins before a gap counts as usual.
MIN_LOGINS: Final = 20
#: Time constants, in seconds: of what is usual, and of what is usual at this hour of the day.
DAY: Final = 86_400.0
WEEK: Final = 7 * DAY
#: Seconds of one hour of the day that have been seen before its own rate counts.
KNOWN_HOUR: Final = 1_800.0
#: Seconds between two warnings about a log, and until one about a sign that lasts is repeated.
PAUSE: Final = HOUR
REPEAT: Final[dict[Sign, float]] = {"missed": HOUR, "stopped": DAY}
#: Seconds of one part of the hour of sign (a).
_PART: Final = 300.0
#: A longer time between two looks is no observation: the machine slept, or the clock was set.
_LONGEST_STEP: Final = 900.0


class _Rate:
    """Events a second, with exponentially decaying weight; the time it was observed decays too, so a young rate is not
    taken for a low one."""

    __slots__ = ("_constant", "events", "seconds")

    def __init__(self, constant: float) -> None:
        self._constant = constant
        self.events = self.seconds = 0.0

    def add(self, events: int, seconds: float) -> None:
        decay = exp(-seconds / self._constant)
        self.events = self.events * decay + events
        self.seconds = self.seconds * decay + seconds

    def value(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0


class Drift:
    """One log. `saw` after each look at it; `standing` while a sign lasts."""

    def __init__(self) -> None:
        self.standing: dict[Sign, str] = {}
        """What to log of each sign, for as long as it lasts."""
        self._told: dict[Sign, float] = {}
        """When each of them was last logged."""
        self._quiet_until = float("-inf")
        self._seen: float | None = None
        self._hour: deque[tuple[float, int, int]] = deque()
        """(start of the part, missed lines, logins), for the last hour."""
        self._logins, self._lines = _Rate(DAY), _Rate(DAY)
        self._by_hour = [_Rate(WEEK) for _ in range(24)]
        """Logins by the hour of the day."""
        self._usual_logins = self._usual_lines = 0.0
        """Rates at the last login."""
        self._since = _Since()

    def saw(self, now: float, lines: int, logins: int, missed: int) -> str | None:
        """Note what came since the last call: lines in all, logins, missed lines. `now` is seconds since the epoch.

        Returns the warning that is due, in words that continue a sentence after the log's name.
        """
        step = 0.0 if self._seen is None else now - self._seen
        self._seen = now
        if not 0 <= step <= _LONGEST_STEP:
            # What was counted came at unknown times; it shows at least whether there still are logins.
            self._hour.clear()
            step = 0.0
        self._look_at_missed(now, logins, missed)
        self._look_at_stop(now, step, lines, logins)
        for sign in [sign for sign in self._told if sign not in self.standing]:
            del self._told[sign]
        if now < self._quiet_until:
            return None
        for sign, text in self.standing.items():
            if sign not in self._told or now >= self._told[sign] + REPEAT[sign]:
                self._told[sign] = now
                self._quiet_until = now + PAUSE
                return text
        return None

    def _look_at_missed(self, now: float, logins: int, missed: int) -> None:
        """Sign (a)."""
        hour = self._hour
        while hour and now - HOUR >= hour[0][0]:
            hour.popleft()
        if missed or logins:
            if hour and now - hour[-1][0] < _PART:
                begun, before, logins_before = hour[-1]
                hour[-1] = begun, before + missed, logins_before + logins
            else:
                hour.append((now, missed, logins))
        all_missed = sum(part[1] for part in hour)
        like_logins = all_missed + sum(part[2] for part in hour)
        if all_missed < MISSED or all_missed <= MISSED_SHARE * like_logins:
            self.standing.pop("missed", None)
            return
        self.standing["missed"] = (
            f"{all_missed} of the {like_logins} lines that look like a login within an hour match no pattern, so they "
            "grant nothing (pbs-fast match --missed LOG shows them): was the server upgraded or reconfigured?"
        )

    def _look_at_stop(self, now: float, step: float, lines: int, logins: int) -> None:
        """Sign (b)."""
        since, hour = self._since, int(now // HOUR) % 24
        since.add(hour, step, lines)
        if logins:
            self._logins.add(logins, since.seconds)
            self._lines.add(since.lines, since.seconds)
            for each, seconds in since.by_hour.items():
                self._by_hour[each].add(0, seconds)
            self._by_hour[hour].add(logins, 0.0)
            self._usual_logins, self._usual_lines = self._logins.value(), self._lines.value()
            self._since = _Since()
            self.standing.pop("stopped", None)
            return
        usual, of_hour = self._usual_logins, self._by_hour[hour]
        if of_hour.seconds >= KNOWN_HOUR:
            # At night there are fewer; never more than the day's average is expected.
            usual = min(usual, of_hour.value())
        since.expected += usual * step
        if (
            self._logins.events >= MIN_LOGINS
            and since.seconds >= STOPPED
            and since.expected >= USUAL_GAPS
            and since.lines >= LINES_SHARE * self._usual_lines * since.seconds
        ):
            self.standing["stopped"] = (
                f"no login was recognised for {since.seconds / HOUR:.1f} h, in which {since.expected:.0f} are usual, "
                f"while {since.lines} lines came (pbs-fast match LOG shows what is read): was the server upgraded or "
                "reconfigured?"
            )


class _Since:
    """What came since the last login."""

    __slots__ = ("by_hour", "expected", "lines", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.by_hour: dict[int, float] = {}
        """Seconds in each hour of the day."""
        self.lines = 0
        self.expected = 0.0
        """Logins that would usually have come."""

    def add(self, hour: int, step: float, lines: int) -> None:
        self.seconds += step
        self.by_hour[hour] = self.by_hour.get(hour, 0.0) + step
        self.lines += lines
