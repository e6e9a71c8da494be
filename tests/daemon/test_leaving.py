"""Rows that end in great numbers leave the tables in parts, so that a login does not wait for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pbs_fast.control.peers import Peer
from pbs_fast.control.protocol import Grant as ManualGrant
from pbs_fast.daemon import rows
from pbs_fast.daemon.state_file import StateFile

from .turns import GRACE, Site, heard_site


@pytest.fixture
def site() -> Iterator[Site]:
    with heard_site() as site:
        yield site


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
