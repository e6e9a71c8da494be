"""A start that catches up with other nodes: what came is in the tables in one piece, and not before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from pbs_fast.events import SharedRow
from pbs_fast.sources.protocol import Coverage

from .turns import GRACE, Site, heard_site

IPS = [f"10.1.{number >> 8}.{number & 255}" for number in range(600)]


@pytest.fixture
def site() -> Iterator[Site]:
    with heard_site() as site:
        yield site


def shared(site: Site, ips: Sequence[str]) -> list[SharedRow]:
    now = int(site.clock.now())
    return [SharedRow(ip, now + GRACE, now, "anna", "dovecot", "mx1", "pop1") for ip in ips]


class PlayedShare:
    """Gives a part of the rows in each turn until all are given; then it is ready."""

    receives, links = True, ()

    def __init__(self, site: Site, ips: Sequence[str]) -> None:
        self.site, self.left = site, list(ips)
        self.in_table: list[int] = []

    @property
    def ready(self) -> bool:
        return not self.left

    def begin(self) -> None:
        pass

    def turn(self) -> None:
        part, self.left = self.left[:100], self.left[100:]
        self.in_table.append(len(self.site.table.rows))
        if part:
            self.site.daemon._rows.merge(shared(self.site, part), False)

    def filenos(self) -> list[int]:
        return []

    def drain(self) -> None:
        pass

    def pause(self) -> float:
        return 0.0

    def replayed(self) -> None:
        pass

    def coverage(self) -> list[Coverage]:
        return [Coverage(True, "")]


def test_a_start_writes_the_tables_once(site: Site) -> None:
    share = PlayedShare(site, IPS)
    site.daemon._share = share  # type: ignore[assignment]
    site.daemon._wait = lambda: None  # type: ignore[method-assign]
    assert site.daemon.start()
    assert len(share.in_table) == 6
    assert not any(share.in_table)
    assert not site.table.removed  # no change was written; the whole table was
    assert set(site.table.rows) == set(IPS)
    assert sorted(site.all_said("added")) == sorted(IPS)


def test_logins_of_our_own_log_do_not_wait_for_it(site: Site) -> None:
    site.daemon._rows.merge(shared(site, IPS), False)
    site.login("192.0.2.77")
    site.turn()
    assert set(site.table.rows) == {"192.0.2.77"}


def test_a_log_that_is_still_replayed_keeps_it_back_no_longer(site: Site) -> None:
    rows = site.daemon._rows
    rows.merge(shared(site, IPS), False)
    rows.revoke(IPS[:1], "revoked")
    rows.release(ready=False)
    site.turn()
    assert set(site.table.rows) == set(IPS[1:])
    rows.merge(shared(site, ["192.0.2.1"]), False)
    site.turn()
    assert "192.0.2.1" not in site.table.rows
    rows.release(ready=False)
    site.turn()
    assert "192.0.2.1" in site.table.rows


def test_what_comes_as_it_is_made_or_after_the_start_is_written_at_once(site: Site) -> None:
    rows = site.daemon._rows
    rows.merge(shared(site, ["192.0.2.1"]), True)
    site.turn()
    assert set(site.table.rows) == {"192.0.2.1"}
    rows.release(ready=True)
    rows.merge(shared(site, ["192.0.2.2"]), False)
    site.turn()
    assert set(site.table.rows) == {"192.0.2.1", "192.0.2.2"}


def test_a_row_that_ended_and_came_back_is_said_in_this_order(site: Site) -> None:
    site.login("192.0.2.1")
    site.turn()
    rows = site.daemon._rows
    site.clock.advance(GRACE)
    site.daemon._ledger.expire(site.clock.now(), rows._leaving)
    said = len(site.said)
    rows.merge(shared(site, ["192.0.2.1"]), False)
    rows.part()
    assert [line.split()[0] for line in site.said[said:]] == ["removed", "added"]
