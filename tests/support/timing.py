"""Processor time where a bound is asserted: other programs make a measurement longer, never shorter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

#: Measurements of each, at most, before a bound counts as broken.
_ROUNDS = 30


def least_seconds(calls: Sequence[Callable[[], object]], enough: Callable[[list[float]], bool]) -> list[float]:
    """The least processor time of each call, in seconds of this thread; measured again until `enough` of it holds."""
    least = [math.inf] * len(calls)
    for _ in range(_ROUNDS):
        for number, call in enumerate(calls):
            started = time.thread_time()
            call()
            least[number] = min(least[number], time.thread_time() - started)
        if enough(least):
            break
    return least
