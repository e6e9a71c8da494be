"""What is said of hubs, of other nodes and of logins that cannot be shared: once, not each second."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pbs_fast.daemon.share_watch import Link, ShareWatch
from pbs_fast.share.reading import NodeState
from pbs_fast.share.spec import parse_hub


@pytest.fixture
def now() -> list[float]:
    return [1_800_000_000.0]


@pytest.fixture
def watch(now: list[float]) -> ShareWatch:
    return ShareWatch([], lambda: now[0], longest=3600)


def test_a_node_whose_rows_end_here_sooner(watch: ShareWatch, caplog: pytest.LogCaptureFixture) -> None:
    for grace in (0, 1800, 3600, 7200, 7200, 9000):
        watch.look([NodeState("pop1", trusted=True, grace=grace), NodeState("pop2", trusted=False, grace=86400)])
    said = [record.getMessage() for record in caplog.records if "pop" in record.getMessage()]
    assert said == [
        f"node pop1 lets an address relay for {grace} s, and share.longest = 3600 ends its rows here sooner"
        for grace in (7200, 9000)
    ]


def test_logins_that_cannot_be_shared_are_said_once_an_hour(
    watch: ShareWatch, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    said = []
    for count, passed in ((0, 0), (1, 0), (1, 10), (9, 10), (9, 3600), (10, 1)):
        now[0] += passed
        watch.unshared(count)
        said.append(len(caplog.records))
    assert said == [0, 1, 1, 1, 1, 2]
    assert "not shared: they relay through this node only" in caplog.text


def test_the_reason_is_that_of_the_thread_that_failed() -> None:
    """Whichever of the two was first, and whatever the other one has not tried yet."""
    for thread in ("reading", "writing"):
        link = Link(1, SimpleNamespace(url=parse_hub("valkey://hub1")), 0.0, 0.0)  # type: ignore[arg-type]
        assert (link.reason, link.is_up) == ("not yet connected", None)
        setattr(link, thread, "Connection refused")
        assert (link.reason, link.is_up, link.state) == ("Connection refused", False, "down")
    link.reading = link.writing = None
    assert (link.reason, link.is_up) == (None, True)
