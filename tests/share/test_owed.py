"""What a hub is owed, and what its end may be: parts that no story of the simulated world comes to."""

from __future__ import annotations

import pytest

from pbs_fast.share import owed
from pbs_fast.share.message import Writer
from pbs_fast.share.owed import Owed


def exchange(hub: Owed, *ids: str) -> None:
    hub.send(["192.0.2.1"], [], len(ids))
    hub.wrote(ids)


def late(hub: Owed, now: float) -> bool:
    """Whether the stream may end so at this second: a message failed at second 10, and arrives after the next one."""
    exchange(hub, "5-0")
    hub.send(["192.0.2.1"], [], 1)
    hub.failed(10.0)
    assert hub.ends_with("5-0", 10.1)  # a new connection, and it is not there
    exchange(hub, "7-0")
    return hub.ends_with("8-0", now)


def new_hub() -> Owed:
    return Owed(Writer("stream", "0" * 8, b"secret"), 0.0)


def test_what_arrives_late_is_no_loss_and_nobody_elses() -> None:
    assert late(new_hub(), 20.0)
    assert not late(new_hub(), 30.0)
    hub = new_hub()
    assert late(hub, 20.0)
    exchange(hub, "9-0")
    assert not hub.ends_with("7-0", 20.1)
    assert not hub.ends_with(None, 20.2)


def test_without_that_time_it_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed, "_LATE", 0.0)
    assert not late(new_hub(), 20.0)
