"""A clock that stands still until it is told otherwise."""

from __future__ import annotations

from pbs_fast.util.clock import Clock


class FakeClock(Clock):
    """Both of the machine's clocks, under the test's control."""

    def __init__(self, wall: float = 1_700_000_000.0, boot: float = 1_000.0) -> None:
        self.wall_reading = wall
        self.boot_reading = boot
        super().__init__()
        self.boot_id = "1"

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
