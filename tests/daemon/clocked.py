"""Starts `pbs-fast run` on clocks that a test sets: the program itself, but for the Clock that its parts are given.

    python clocked.py STEPS BUSY pbs-fast run OPTION...

STEPS is a file with two numbers: seconds by which the wall clock and the boot clock are ahead of the machine's. BUSY:
seconds for which a lock of others is waited for before the table is written anew without it.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from pbs_fast.cli import main
from pbs_fast.daemon import assemble
from pbs_fast.tables import locks
from pbs_fast.util.clock import Clock


class SteppedClock(Clock):
    """The machine's clocks, set by what stands in a file."""

    def __init__(self, steps: Path) -> None:
        self._steps = steps
        super().__init__()

    def _wall(self) -> float:
        return super()._wall() + float(self._steps.read_text().split()[0])

    def _boot(self) -> float:
        return super()._boot() + float(self._steps.read_text().split()[1])


if __name__ == "__main__":
    assemble.run = partial(assemble.run, clock=SteppedClock(Path(sys.argv[1])))
    locks.LONGEST_BUSY = float(sys.argv[2])
    sys.argv = sys.argv[3:]
    sys.exit(main())
