"""What `gil_used = false` promises: importing does not bring the lock back, and a Stream stands many threads at once.

On a free-threaded CPython (CI: 3.14t) these calls really run at once; elsewhere the lock is released while they work.
"""

from __future__ import annotations

import sys
import sysconfig
import threading

from native.test_binding import LINE, NOW, matcher
from pbs_fast.matching.rust import Matcher, Stream

__all__ = ["matcher"]

THREADS = 4
ROUNDS = 200


def test_importing_the_module_leaves_the_lock_off() -> None:
    """A module that does not declare itself safe switches it on, with a warning at most."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)
    assert locked() == (not sysconfig.get_config_var("Py_GIL_DISABLED"))


def test_nothing_is_lost_and_nobody_waits_for_ever(matcher: Matcher) -> None:
    """Scans are added by some threads while others take rows and read counters: every login comes out once."""
    stream = Stream(matcher, source="a.log", gap=1800)
    scans = [matcher.scan(LINE, offset=number * len(LINE), reference=NOW) for number in range(THREADS)]
    started, taken, faults = threading.Barrier(2 * THREADS), [0] * THREADS, []

    def add(number: int) -> None:
        started.wait()
        for _ in range(ROUNDS):
            stream.add(scans[number])

    def take(number: int) -> None:
        started.wait()
        for _ in range(ROUNDS):
            taken[number] += sum(stream.take().n)
            if stream.counters["login"] > THREADS * ROUNDS or stream.fold_seconds < 0:
                faults.append(dict(stream.counters))

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(THREADS) for work in (add, take)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive(), "a deadlock"
    assert faults == []
    assert sum(taken) + sum(stream.take().n) == THREADS * ROUNDS
    assert stream.counters["login"] == THREADS * ROUNDS
