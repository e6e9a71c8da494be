"""While a log is busy, a turn does what somebody waits for; what is due every second or less often waits a little."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from pbs_fast.daemon import loop

from .turns import Site, heard_site

TURNS = 200
PAUSE = 0.003


@pytest.fixture
def site() -> Iterator[Site]:
    with heard_site() as site:
        yield site


def turns(site: Site, monkeypatch: pytest.MonkeyPatch, *, idle: bool) -> tuple[int, list[float]]:
    """Turns that are PAUSE seconds apart: how many there were, and when each did its chores."""
    now = [1000.0]
    works, chores = [], []
    daemon = site.daemon

    def wait() -> bool:
        now[0] += PAUSE
        if len(works) == TURNS - 1:
            daemon._signals.stop = 15  # type: ignore[assignment]
        return idle

    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(daemon, "_wait", wait)
    monkeypatch.setattr(daemon, "_work", lambda: works.append(now[0]))
    monkeypatch.setattr(daemon, "_chores", lambda: chores.append(now[0]))
    daemon.serve()
    return len(works), chores


def test_each_turn_without_a_busy_log_does_its_chores(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    works, chores = turns(site, monkeypatch, idle=True)
    assert works == len(chores) == TURNS


def test_a_busy_log_has_them_done_now_and_then(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    works, chores = turns(site, monkeypatch, idle=False)
    assert works == TURNS
    assert TURNS * PAUSE / 0.06 <= len(chores) <= TURNS * PAUSE / 0.05 + 1
    assert max(after - before for before, after in pairwise(chores)) < 0.06
