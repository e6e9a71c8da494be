"""A hub's clock as one node sees it: our own clock and an offset. Pure.

`now` is always the ledger's clock of this node (`util/clock.py`), which is never set. A hub's clock may be.
"""

from __future__ import annotations

from collections import deque
from statistics import median

#: Samples of which the median is taken: one of each 10 s.
_SAMPLES = 5
#: Seconds from which on a difference means that the hub's clock was set.
STEP = 2.0


class HubClock:
    """The offset of one hub's clock."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self.offset: float | None = None
        """Seconds by which the hub's clock is ahead of the ledger's; None until the first answer."""

    def sample(self, asked: float, hub: float, answered: float) -> float:
        """Take the answer of TIME: `hub` in seconds since the epoch, asked and answered at these seconds of ours.

        Returns by how many seconds the hub's clock was set since the last sample; 0.0 if it was not. An answer that
        took long proves a step only beyond its own error, half the time that it took.
        """
        offset = hub - (asked + answered) / 2
        error = (answered - asked) / 2
        if self.offset is not None and abs(offset - self.offset) - error > STEP:
            step = offset - self.offset
            self._samples.clear()
        else:
            step = 0.0
        self._samples.append(offset)
        self.offset = median(self._samples)
        return step

    def hub(self, now: float) -> float:
        """The hub's clock at a second of ours. Raises ValueError before the first sample."""
        if self.offset is None:
            raise ValueError("the hub's clock is not known yet")
        return now + self.offset

    def ours(self, hub: float) -> float:
        """Our clock at a second of the hub's. Raises ValueError before the first sample."""
        if self.offset is None:
            raise ValueError("the hub's clock is not known yet")
        return hub - self.offset
