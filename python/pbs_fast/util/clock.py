"""The only place that reads clocks.

Two clocks: the *wall* clock, which log stamps are written by and which may be stepped, and the *ledger's* clock, which
runs on the boot clock and is never stepped. The ledger's clock starts at the wall clock's reading, so its seconds look
like epoch seconds; `shift` is what must be added to a stamp to put it on the ledger's clock, and is 0 until somebody
steps the wall clock. So a step changes what later stamps mean, and moves no expiry. Imports nothing of the package.
"""

from __future__ import annotations

import time

#: Seconds from which on a difference is believed to be a step; below, NTP slews it away. More than half, so that a
#: clock at the border between two whole seconds does not go to and fro between them.
_STEP_S = 0.75


class Clock:
    """The machine's clocks. Subclasses change what `_wall` and `_boot` read."""

    def __init__(self) -> None:
        self._origin = self._wall() - self._boot()
        self._shift = 0

    def wall(self) -> float:
        """Seconds since the epoch, as stamps are written."""
        return self._wall()

    def now(self) -> float:
        """Seconds on the ledger's clock; goes on while the machine sleeps where CLOCK_BOOTTIME is there (Linux)."""
        return self._boot() + self._origin

    def shift(self) -> int:
        """Whole seconds to add to a stamp of now to put it on the ledger's clock."""
        exact = self.now() - self.wall()
        if abs(exact - self._shift) > _STEP_S:
            self._shift = round(exact)
        return self._shift

    def to_wall(self, seconds: int) -> int:
        """The wall clock's reading at a second of the ledger's clock, unless the wall clock is stepped before."""
        return seconds - self.shift()

    def _wall(self) -> float:
        return time.time()

    def _boot(self) -> float:
        return time.clock_gettime(_BOOT)


#: Counts suspended time too, so a laptop's grants end while it sleeps; elsewhere (BSD, macOS) the monotonic clock.
_BOOT: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class FakeClock(Clock):
    """A clock for tests: stands still until told otherwise."""

    def __init__(self, wall: float = 1_700_000_000.0, boot: float = 1_000.0) -> None:
        self.wall_reading = wall
        self.boot_reading = boot
        super().__init__()

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall_reading += seconds
        self.boot_reading += seconds

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.wall_reading += seconds

    def _wall(self) -> float:
        return self.wall_reading

    def _boot(self) -> float:
        return self.boot_reading
