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


def growth(prepare: Callable[[int], Callable[[], object]], size: int, times: int) -> float:
    """How many times as long as `size` what `prepare` returns takes for `times` the size; its own time is not counted.

    About `times` where the cost is linear and its square where it is quadratic, on any machine; measured again until
    it is below 2 x `times`, which is what a test asserts.
    """
    least = [math.inf, math.inf]
    for _ in range(_ROUNDS):
        for number, each in enumerate((size, size * times)):
            call = prepare(each)
            started = time.thread_time()
            call()
            least[number] = min(least[number], time.thread_time() - started)
        if least[1] < 2 * times * least[0]:
            break
    return least[1] / least[0]
