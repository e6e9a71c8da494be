"""The only place that reads clocks.

Two clocks: the *wall* clock, which the timestamps of logs follow and which may be set, and the *ledger's* clock, which
follows the boot clock and is never set. The ledger's clock starts with the wall clock's time, so its seconds look like
epoch seconds. `shift` converts a timestamp to the ledger's clock and is 0 until the wall clock is set. So setting the
clock changes the meaning of later timestamps, and moves no expiry.
"""

from __future__ import annotations

import time

#: Seconds from which on a difference is believed to be a step; below, NTP slews it away. More than half, so that a
#: clock at the border between two whole seconds does not go to and fro between them.
_STEP_S = 0.75


class Clock:
    """The machine's clocks. Subclasses change what `_wall` and `_boot` read."""

    def __init__(self) -> None:
        self.boot_id = _boot_id()
        """Tells this run of the machine from all others; None where the system names none."""
        self._origin = self._wall() - self._boot()
        self._shift = 0

    def wall(self) -> float:
        """Seconds since the epoch, as timestamps are written."""
        return self._wall()

    def now(self) -> float:
        """Seconds on the ledger's clock; goes on while the machine sleeps where CLOCK_BOOTTIME is there (Linux)."""
        return self._boot() + self._origin

    def boot(self) -> float:
        """Seconds since the machine was started, as far as `boot_id` is the same."""
        return self._boot()

    def shift(self) -> int:
        """Whole seconds to add to a timestamp of now to put it on the ledger's clock."""
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


def _boot_id() -> str | None:
    """random(4): "regenerated" at each boot of the kernel."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip() or None
    except (OSError, ValueError):
        return None
