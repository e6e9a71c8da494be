"""Real Postfix reads our tables: asserted by the replies to RCPT of an instance that may run one smtpd only."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import wait_for
from mta.postfix import ELSEWHERE, LOCAL, Postfix, Reply, require_postfix, running
from pbs_fast.events import Delta
from pbs_fast.tables import Table
from tables.conftest import FILE_TYPES, LIVE_TYPES, POSTFIX_TYPES, Opener, grant

A, B, C = "203.0.113.5", "203.0.113.6", "2001:db8::6"
OTHER = "203.0.113.99"


class Site:
    """A table and the Postfix that reads it."""

    def __init__(self, table: Table, postfix: Postfix) -> None:
        self.table = table
        self.postfix = postfix

    def add(self, *clients: str) -> None:
        self.table.apply(Delta(dict.fromkeys(clients, grant())))

    def remove(self, *clients: str) -> None:
        self.table.apply(Delta({}, clients))

    def relays(self, client: str) -> bool:
        """Whether a new session from this client may relay; anything but yes and the permanent no is an error."""
        reply = self.postfix.rcpt(client)
        assert reply.relayed or reply.denied, reply
        return reply.relayed


def _type(site: Site) -> str:
    return site.table.spec.partition(":")[0]


@pytest.fixture(params=POSTFIX_TYPES)
def kind(request: pytest.FixtureRequest) -> str:
    require_postfix(request.param)
    return str(request.param)


@pytest.fixture
def site(kind: str, opened: Opener) -> Iterator[Site]:
    table = opened(kind)  # empty, and there before Postfix starts
    table.rebuild({})
    with running(table.spec) as postfix:
        yield Site(table, postfix)


def test_clients_come_and_go(site: Site) -> None:
    assert not site.relays(A)
    assert not site.relays(C)
    site.add(A, C)
    assert site.relays(A)
    assert site.relays(C)
    assert not site.relays(OTHER)
    assert not site.relays("2001:db8::7")
    site.remove(A)
    assert not site.relays(A)
    assert site.relays(C)
    site.remove(C)
    assert not site.relays(C)
    pids = set(site.postfix.smtpd_pids())
    if _type(site) in LIVE_TYPES:
        assert len(pids) == 1, "smtpd never restarts"
    else:
        assert len(pids) == 4, "one restart for each change that a client met, and no more"


def test_five_changes_within_one_second(site: Site) -> None:
    """The case in which whole-second times leave smtpd blind: change, look-up, change, all in one second."""
    # Each try asserts what is seen; on a busy machine none may fall within a second.
    end = time.monotonic() + 60
    while five_changes(site) >= 1 and time.monotonic() < end:
        site.remove(C)
    if _type(site) != "policy":  # which is no table to postmap
        assert [site.postfix.postmap(client, site.table.spec) for client in (A, B, C)] == [None, None, "ok"]


def five_changes(site: Site) -> float:
    """The seconds that they took."""
    assert not site.relays(A)
    while time.time() % 1 > 0.1:  # begin with a fresh second
        time.sleep(0.005)
    start = time.monotonic()
    site.add(A)
    seen = [site.relays(A)]
    site.add(B)
    seen.append(site.relays(B))
    site.remove(A)
    seen.append(site.relays(A))
    site.add(C)
    seen.append(site.relays(C))
    site.remove(B)
    seen.append(site.relays(B))
    assert seen == [True, True, False, True, False]
    return time.monotonic() - start


def test_what_an_open_session_sees(site: Site) -> None:
    """lmdb and what is served: the change. The others: what it looked up before, until it ends."""
    in_session = _type(site) in LIVE_TYPES
    with site.postfix.session(A) as session:
        assert session.rcpt().denied
        site.add(A)
        assert session.rcpt().relayed == in_session
    assert site.relays(A)
    with site.postfix.session(A) as session:
        assert session.rcpt().relayed
        site.remove(A)
        assert session.rcpt().relayed != in_session
    assert not site.relays(A)


@pytest.mark.parametrize("kind", [kind for kind in POSTFIX_TYPES if kind != "policy"], indirect=True)
def test_postmap_agrees(site: Site) -> None:
    clients = [A, C, "10.0.0.1", "2001:db8:1:2:3:4:5:6"]
    site.add(*clients)
    assert [site.postfix.postmap(client, site.table.spec) for client in clients] == ["ok"] * 4
    site.remove(A)
    assert site.postfix.postmap(A, site.table.spec) is None
    assert site.postfix.postmap("10.0.0", site.table.spec) is None


def test_ordinary_mail_is_not_touched(site: Site) -> None:
    """Mail for this site is taken from anybody, in the table or not, through the whole of DATA."""
    for client in (OTHER, A):
        with site.postfix.session(client) as session:
            assert session.rcpt(f"bob@{LOCAL}").relayed
            assert session.rcpt(ELSEWHERE).denied
            assert session.data().code == 250
    site.add(A)
    with site.postfix.session(A) as session:
        assert session.rcpt(f"bob@{LOCAL}").relayed
        assert session.rcpt(ELSEWHERE).relayed
        assert session.data().code == 250


@pytest.mark.parametrize("kind", [kind for kind in POSTFIX_TYPES if kind in FILE_TYPES], indirect=True)
def test_rebuild_and_restart_under_a_running_smtpd(site: Site, opened: Opener) -> None:
    site.add(A)
    assert site.relays(A)
    site.table.rebuild({A: grant(), B: grant()})
    assert site.relays(A)
    assert site.relays(B)
    site.table.close()
    assert site.relays(A), "our end shuts nobody out"
    again = opened(site.table.spec.split(":")[0])
    assert sorted(again.load()) == [A, B]
    again.rebuild({B: grant(), C: grant()})
    assert not site.relays(A)
    assert site.relays(B)
    assert site.relays(C)


@pytest.mark.parametrize("kind", [kind for kind in POSTFIX_TYPES if kind in FILE_TYPES], indirect=True)
def test_a_table_that_vanished_stops_no_inbound_mail(site: Site) -> None:
    """permit_auth_destination stands first: a broken table is 451 to relay attempts only. Put back, it works."""
    site.add(A)
    assert site.relays(A)
    assert site.table.file is not None
    Path(site.table.file).unlink()
    reply = site.postfix.rcpt(A)
    assert reply.code == 451, reply
    assert site.postfix.rcpt(OTHER, f"bob@{LOCAL}").code == 250
    site.table.heartbeat()
    # An smtpd that opened no table never looks again (measured): only a reload makes a new one.
    site.postfix.reload()
    wait_for("another smtpd", lambda: site.postfix.rcpt(A).relayed)


@pytest.mark.parametrize("kind", POSTFIX_TYPES)
def test_values_with_user_and_expiry_permit(kind: str, opened: Opener) -> None:
    require_postfix(kind)
    for value in ("ok {user} {expires}", "{expires}", "OK from {user}"):
        table = opened(kind, value=value)
        table.rebuild({A: grant(1_900_000_000, "REJECT"), C: grant(1_900_000_000, "DISCARD x")})
        with running(table.spec) as postfix:
            assert postfix.rcpt(A).relayed
            assert postfix.rcpt(C).relayed
            assert postfix.rcpt(OTHER).denied
        table.rebuild({})
        table.close()


@pytest.mark.parametrize("kind", ["hash", "lmdb"])
def test_a_growing_table_refuses_nobody(kind: str, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its room a hash is rebuilt, never split; lmdb's map grows, ours and that of smtpds which mapped less of it.

    Clients in the table are accepted all the while, in new sessions and (lmdb) in one that stays open.
    """
    require_postfix(kind)
    monkeypatch.setattr("pbs_fast.tables.types.lmdb.MAP_SIZE", 256 << 10)
    table = opened(kind)
    steady = [f"198.18.{i >> 8}.{i & 255}" for i in range(1_000)]
    table.rebuild(dict.fromkeys([A, *steady], grant()))
    stop = threading.Event()
    replies: list[list[Reply]] = [[], []]
    with running(table.spec, smtpd_limit=4, main_cf=["lmdb_map_size = 262144", "in_flow_delay = 0"]) as postfix:

        def ask(mine: list[Reply]) -> None:
            while not stop.is_set():
                mine.append(postfix.rcpt(steady[len(mine) % len(steady)]))

        askers = [threading.Thread(target=ask, args=(mine,)) for mine in replies]
        for asker in askers:
            asker.start()
        try:
            with postfix.session(A) as open_all_the_while:
                for start in range(0, 60_000, 6_000):
                    rows = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(start, start + 6_000)]
                    table.apply(Delta(dict.fromkeys(rows, grant())))
                    assert open_all_the_while.rcpt().relayed
                    assert postfix.rcpt(rows[-1]).relayed
                    assert postfix.rcpt(OTHER).denied
                    enough = sum(map(len, replies)) + 5
                    wait_for("answers to others", lambda enough=enough: sum(map(len, replies)) >= enough)  # type: ignore[misc]
        finally:
            stop.set()
            for asker in askers:
                asker.join()
        assert all(reply.relayed for mine in replies for reply in mine)
        assert sum(map(len, replies)) >= 50
        assert "fatal" not in postfix.logged()
    assert table.file is not None
    assert table.file.stat().st_size > (1 << 20)
