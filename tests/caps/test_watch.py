"""The loop's side of the caps: a flood of alarms is handled in parts."""

from __future__ import annotations

import pytest

from pbs_fast.caps.counter import CapCounter
from pbs_fast.caps.limits import Limits
from pbs_fast.daemon import cap_watch
from pbs_fast.daemon.cap_state import CapState
from pbs_fast.daemon.cap_watch import CapWatch
from pbs_fast.health.notices import Notices
from support.clock import FakeClock


def test_an_alarm_that_takes_long_ends_the_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    counter = CapCounter(Limits(user=["1/1h"]))
    watch = CapWatch(counter, clock, Notices(), CapState(counter, None, clock))
    for user in range(50):
        for _ in range(2):
            counter.count(f"user{user}", "192.0.2.1", "m", "", clock.now(), new_message=True)
    assert len(counter.alarms) == 50
    monkeypatch.setattr(cap_watch, "_BUDGET", 0.0)
    watch.turned(lambda *_: iter(()))
    assert len(counter.alarms) == 49
    assert watch.busy
    monkeypatch.setattr(cap_watch, "_BUDGET", 60.0)
    watch.turned(lambda *_: iter(()))
    assert not watch.busy
    watch.close()
