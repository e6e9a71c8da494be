"""Memory of the replay: rows end as the log goes on, what is kept of them may be on the disk, and counts stay."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.bench.hublog import Options, write_log
from pbs_fast.bench.replay import Replay
from pbs_fast.errors import SourceError
from pbs_fast.events import Delta
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.matching import Backend
from pbs_fast.replay.expiries import SpilledExpiries
from support.matchers import catalogue_matcher

IPS = st.sampled_from(["10.0.0.1", "10.0.0.10", "10.0.0.2", "2001:db8::1", "2001:db8::10", "9.9.9.9"])
UPDATES = st.lists(st.lists(st.tuples(IPS, st.integers(-5, 50)), max_size=4), max_size=12)


@given(updates=UPDATES, limit=st.sampled_from([1, 2, 3, 100]), later=st.integers(-5, 50), asks=st.booleans())
def test_past_is_a_map_of_latest_ends(
    updates: list[list[tuple[str, int]]], limit: int, later: int, asks: bool, share: Any
) -> None:
    model = dict[str, int]()
    with closing(SpilledExpiries(limit)) as past:
        for update in updates:
            past.keep((ip for ip, _ in update), (end for _, end in update))
            for ip, timestamp in update:
                model[ip] = max(timestamp, model.get(ip, timestamp))
            assert not asks or past.of([*model, "192.0.2.1"]) == model
        share(len(model) > limit)
        assert past.of([*model, "192.0.2.1"]) == model
        assert past.later_than(later) == {ip: timestamp for ip, timestamp in model.items() if timestamp > later}
        rows = list(past.ordered())
        assert [ip for ip, _ in rows] == sorted(ip for ip, _ in rows)
        assert {ip: max(timestamp for other, timestamp in rows if other == ip) for ip, _ in rows} == model


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each ledger held after each expiry."""
    sizes: list[int] = []
    expire = Ledger.expire

    def noted(self: Ledger, now: float, gone: Any = None) -> Delta:
        sizes.append(len(self))
        return expire(self, now, gone)

    monkeypatch.setattr(Ledger, "expire", noted)
    return sizes


def test_the_ledger_holds_live_rows_only(core: Backend, tmp_path: Path, most: list[int]) -> None:
    log = tmp_path / "hub.log"
    totals = write_log(log, Options(lines=30_000, rate=3.0))
    replay = Replay(core, catalogue_matcher(core.name), grace=600, kept=64)
    result = replay([str(log)], now=None, threads=1, piece=50_000, batch=200_000)
    assert (result.distinct_ips, result.digest) == (totals["distinct_ips"], totals["digest"])
    # In 600 s of grace, 300 s of lag and the 400 s of a batch there are some 300 logins, of 2,400 in all.
    assert 50 < max(most) < 400
    assert result.distinct_ips > 1_200


def test_the_file_on_the_disk_goes_with_the_replay(
    core: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[sqlite3.Connection] = []

    def kept(*args: Any, **more: Any) -> sqlite3.Connection:
        connections.append(connect(*args, **more))
        return connections[-1]

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", kept)
    log = tmp_path / "hub.log"
    write_log(log, Options(lines=8_000, rate=1.0))
    Replay(core, catalogue_matcher(core.name), grace=60, kept=64)(
        [str(log)], now=None, threads=1, piece=50_000, batch=200_000
    )
    assert connections
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")


def test_what_does_not_fit_on_the_disk_is_one_line(
    core: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite3, "connect", full)
    log = tmp_path / "hub.log"
    write_log(log, Options(lines=8_000, rate=1.0))
    replay = Replay(core, catalogue_matcher(core.name), grace=60, kept=64)
    with pytest.raises(SourceError, match=r"^replay: cannot keep .* disk is full; set TMPDIR"):
        replay([str(log)], now=None, threads=1, piece=50_000, batch=200_000)
