"""Rows that end in great numbers leave the tables in parts, so that a login does not wait for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pbs_fast.caps.counter import CapCounter
from pbs_fast.caps.limits import Limits
from pbs_fast.config.model import Guards as GuardConfig
from pbs_fast.control.peers import Peer
from pbs_fast.control.protocol import Grant as ManualGrant
from pbs_fast.daemon import rows
from pbs_fast.daemon.cap_state import CapState
from pbs_fast.daemon.cap_watch import CapWatch
from pbs_fast.daemon.log_watch import LogWatch
from pbs_fast.daemon.loop import Daemon
from pbs_fast.daemon.manual import ManualRows
from pbs_fast.daemon.notify import Notifier
from pbs_fast.daemon.publisher import Publisher
from pbs_fast.daemon.state_file import StateFile
from pbs_fast.daemon.unexplained import Unexplained
from pbs_fast.events import Batch, Counters, Delta, Grant
from pbs_fast.guards import Guards, Machine
from pbs_fast.guards.deny import DenyList
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.health.notices import Notices
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.sources.wakeup import Hints
from support.clock import FakeClock
from support.own_log import heard

GRACE = 10


class Table:
    """Keeps its rows, and how many each change removed."""

    spec, file, window, refused = "test:", None, 0.0, 0

    def __init__(self) -> None:
        self.rows: dict[str, Grant] = {}
        self.removed: list[int] = []
        self.closed = False

    def load(self) -> dict[str, Any]:
        return {}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        self.rows = dict(rows)

    def apply(self, delta: Delta) -> None:
        self.rows.update(delta.set)
        for ip in delta.removed:
            del self.rows[ip]
        self.removed.append(len(delta.removed))

    def check(self) -> None:
        pass

    def heartbeat(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Logs:
    """One log; what `next` holds is read in the next turn."""

    busy, ended = False, False

    def __init__(self) -> None:
        self.next: list[Batch] = []
        self.counters = Counters()

    def scan(self) -> None:
        pass

    def timeout(self) -> float:
        return 0.25

    def poll(self, _reference: int) -> list[Batch]:
        found, self.next = self.next, []
        return found

    def close(self) -> None:
        pass

    def __iter__(self) -> Iterator[object]:
        return iter(())


class Site:
    """A daemon whose turns the test makes, on a clock that the test sets."""

    def __init__(self, said: list[str]) -> None:
        self.said = said
        self.clock = FakeClock()
        self.table = Table()
        self.logs = Logs()
        guards = Guards(GuardConfig(), read_netblocks(()), Machine((), (), ()), DenyList())
        ledger = Ledger(GRACE)
        notices = Notices()
        counter = CapCounter(Limits())
        self.caps = CapWatch(counter, self.clock, notices, CapState(counter, None, self.clock))
        self.daemon = Daemon(
            logs=cast("Any", self.logs),
            guards=guards,
            ledger=ledger,
            publisher=Publisher([cast("Any", self.table)]),
            clock=self.clock,
            signals=cast("Any", SimpleNamespace(stop=None, take_reload=lambda: False, take_counters=lambda: False)),
            hints=Hints(enabled=False),
            notifier=Notifier({}),
            reload=lambda: False,
            unexplained=Unexplained([], ledger, self.clock),
            notices=notices,
            log_watch=LogWatch(notices, grace=GRACE, wall=self.clock.wall),
            manual=ManualRows(None, self.clock, GRACE),
            caps=self.caps,
        )

    def login(self, *ips: str) -> None:
        """Logins of now, read in the next turn."""
        size, now = len(ips), int(self.clock.wall())
        self.logs.next.append(
            Batch(
                "log",
                ip=list(ips),
                first=[now] * size,
                last=[now] * size,
                n=[1] * size,
                kind=["login"] * size,
                format=["dovecot"] * size,
                host=["hub"] * size,
                offset=[0] * size,
                tls=[None] * size,
                loop=[False] * size,
                session=[None] * size,
                user_first=[None] * size,
                user_last=[None] * size,
                users=[0] * size,
                process=[""] * size,
            )
        )

    def turn(self) -> None:
        self.daemon._turn()
        self.daemon.measures.turned(0.0)

    def all_said(self, what: str) -> list[str]:
        return [line.split()[1] for line in self.said if line.startswith(what)]


@pytest.fixture
def site() -> Iterator[Site]:
    with heard() as found:
        site = Site(found.lines)
        yield site
        site.caps.close()


IPS = [f"10.1.{number >> 8}.{number & 255}" for number in range(1000)]


def ended(site: Site) -> None:
    """All rows are granted and have ended; one turn was made since."""
    site.login(*IPS)
    site.turn()
    assert set(site.table.rows) == set(IPS)
    site.clock.advance(GRACE)
    site.table.removed.clear()
    site.turn()


def test_they_leave_in_parts_and_nobody_sleeps_meanwhile(site: Site) -> None:
    ended(site)
    assert len(site.table.rows) == len(IPS) - rows.LEAVING
    while site.table.rows:
        assert site.daemon._pause() == 0
        site.turn()
    assert site.daemon._pause() > 0
    assert max(site.table.removed) == rows.LEAVING
    assert sum(site.table.removed) == len(IPS)
    assert sorted(site.all_said("removed")) == sorted(IPS)


def test_a_login_meanwhile_is_granted_in_the_same_turn(site: Site) -> None:
    ended(site)
    site.login("192.0.2.77")
    site.turn()
    assert "192.0.2.77" in site.table.rows
    assert len(site.table.rows) > len(IPS) / 3


def test_who_comes_back_before_the_row_has_left_keeps_it(site: Site) -> None:
    ended(site)
    back = IPS[-1]
    assert back in site.table.rows
    site.login(back)
    for _ in IPS:
        site.turn()
    assert list(site.table.rows) == [back]
    assert site.table.rows[back].expires == site.clock.now() + GRACE
    words = [line.split()[0] for line in site.said if f" {back} " in line]
    assert words == ["added", "removed", "added"]


def test_an_address_that_is_granted_by_hand_before_its_row_has_left_keeps_it(site: Site, tmp_path: Path) -> None:
    site.daemon._manual._file = StateFile(tmp_path / "manual.json")
    ended(site)
    back = IPS[-1]
    assert back in site.table.rows
    site.daemon._changes.grant(ManualGrant(back, 600, ""), Peer(1, 0, True))
    for _ in IPS:
        site.turn()
    assert list(site.table.rows) == [back]
    assert site.table.rows[back].why == "manual"


def test_none_stays_when_the_daemon_ends(site: Site) -> None:
    ended(site)
    assert site.daemon.close()
    assert site.table.closed
    assert not site.table.rows
    assert len(site.all_said("removed")) == len(IPS)
