"""Whole parts and what follows them: one outcome on both backends, whatever the pieces (docs/MATCHING.md, 4)."""

from __future__ import annotations

from itertools import accumulate
from random import Random

import pytest

from backends.running import BOTH, run
from pbs_fast.matching.python.cuts import LASTS

#: Lengths at the edges of `cut` and `cut_whole` of the format gamma, and what is too long.
LENGTHS = (99, 100, 109, 110, 119, 120, 149, 150, 700, 20_000)
LOGIN = "in: Login: user=<lena>, rip=192.0.2.7, lip=192.0.2.1"


def lines(random: Random, number: int) -> list[bytes]:
    """Records of a few writers, by a clock that mostly goes forward, at times back, at times unreadable."""
    made, second = [], 12_000
    for _ in range(number):
        second += random.choice((0, 0, 1, 5, LASTS // 2, LASTS, LASTS + 1, -LASTS, -3))
        clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        timestamp = random.choice((f"Mar  4 {clock}",) * 9 + (f"Feb 30 {clock}",))
        prefix = random.choice(("in: ", "in: ", "in: ", "to: ", ""))
        text = random.choice((LOGIN, LOGIN, prefix + "x", (prefix + "z" * 20_000)[: random.choice(LENGTHS)]))
        made.append(f"{timestamp} {random.choice(('mx', 'mx', 'mx', 'hub'))} gamma: {text}\n".encode())
    return made


@pytest.mark.parametrize("seed", range(150))
def test_pieces_and_backends_agree(seed: int) -> None:
    random = Random(seed)
    made = lines(random, random.randrange(2, 60))
    starts = list(accumulate(map(len, made)))[:-1]
    log = b"".join(made)
    whole, *others = [
        run(name, log, cuts=cuts)
        for name in BOTH
        for cuts in ((), starts, random.sample(starts, min(len(starts), random.randrange(6))))
    ]
    for other in others:
        assert (other.events, other.counters) == (whole.events, whole.counters)


def test_some_are_refused_and_some_are_not() -> None:
    counters = run("python", b"".join(lines(Random(0), 3_000))).counters
    assert counters["login"] > 50
    assert counters["missed_continuation"] > 300
