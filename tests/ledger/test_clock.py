"""Steps of the wall clock neither extend nor drop grants, and new timestamps are read right after one."""

from __future__ import annotations

import time

import pytest

from pbs_fast.ledger.ledger import Ledger
from pbs_fast.util.clock import Clock
from support.clock import FakeClock

from .rows import batch

GRACE = 1800
A, B = "203.0.113.1", "203.0.113.2"


def test_the_ledgers_clock_starts_at_the_wall_clock() -> None:
    clock = FakeClock(wall=1_700_000_000.75, boot=12.5)
    assert clock.now() == clock.wall() == 1_700_000_000.75
    assert clock.shift() == 0
    clock.advance(10)
    assert clock.now() == 1_700_000_010.75
    assert clock.shift() == 0


@pytest.mark.parametrize("step", [3600, -3600, 86_400 * 365, 1, -1, 0.8])
def test_a_step_moves_no_expiry(step: float) -> None:
    clock = FakeClock()
    ledger = Ledger(GRACE)
    ledger.observe(batch([(A, int(clock.wall()))]), clock.now(), shift=clock.shift())
    clock.step_wall(step)
    assert not ledger.expire(clock.now())
    clock.advance(10)
    delta = ledger.observe(batch([(B, int(clock.wall()))]), clock.now(), shift=clock.shift())
    assert not ledger.counters["ahead"]
    # The timestamp is cut to whole seconds, and so is the shift.
    assert delta.set[B].expires == pytest.approx(clock.now() + GRACE, abs=1)
    assert clock.to_wall(delta.set[B].expires) == int(clock.wall()) + GRACE
    clock.advance(GRACE - 10.5)
    assert not ledger.expire(clock.now())
    clock.advance(0.5)
    assert ledger.expire(clock.now()).removed == (A,)
    clock.advance(11)
    assert ledger.expire(clock.now()).removed == (B,)


@pytest.mark.parametrize("drift", [0.4, -0.7, 0.5])
def test_slewing_is_no_step(drift: float) -> None:
    clock = FakeClock()
    clock.step_wall(drift)
    assert clock.shift() == 0


def test_the_shift_does_not_flutter_at_half_a_second() -> None:
    clock = FakeClock()
    clock.step_wall(-1.5)
    seen = []
    for wobble in (0.0, -0.02, 0.02, -0.02, 0.02):
        clock.step_wall(wobble)
        seen.append(clock.shift())
    assert len(set(seen)) == 1


def test_the_real_clocks() -> None:
    clock = Clock()
    assert abs(clock.wall() - time.time()) < 60
    assert abs(clock.now() - time.time()) < 60
    first = clock.now()
    time.sleep(0.02)
    assert 0.01 < clock.now() - first < 60
    assert clock.shift() == 0
