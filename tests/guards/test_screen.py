"""The guards that look at more than the address: users, hosts, limits, deny list; and the sums of all counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rows import Login, batch
from pbs_fast.config.model import Guards as GuardConfig
from pbs_fast.events import Counters, Grant
from pbs_fast.guards import Guards
from pbs_fast.guards.deny import Denial, DenyList
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.guards.shared_addresses import STAY_S, WINDOW_S
from pbs_fast.ledger.ledger import OUTCOMES, Ledger
from pbs_fast.util.addresses import parse_network
from support.clock import FakeClock

from .conftest import MACHINE, Live, MakeGuards

NOW = 1_700_000_000
A, B, C = "203.0.113.1", "203.0.113.2", "2001:db8::3"
PRIVATE = "10.0.0.7"


def users(ip: str, count: int, start: int = 0) -> list[Login]:
    return [Login(ip, NOW, f"user{number}") for number in range(start, start + count)]


# -- denials that have ended -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denial", "login"),
    [
        (Denial(users=("mallory",)), Login(A, NOW, "Mallory")),
        (Denial(networks=(parse_network(A),)), Login(A, NOW, "ann")),
        (Denial(networks=(parse_network("203.0.113.0/24"),)), Login(B, NOW, None)),
    ],
)
def test_a_replay_does_not_grant_what_a_denial_removed(make: MakeGuards, denial: Denial, login: Login) -> None:
    """It found the login in the log of before; a new one counts."""
    guards = make()
    guards.deny_manually((replace(denial, until=NOW + 5),))
    for at, replayed, live in ((NOW, 0, 1), (NOW + 5, 0, 1), (NOW + 6, 1, 1)):
        rows = batch([login._replace(timestamp=at)])
        assert len(guards.screen(rows, Live(), NOW + 10, replay=True).batch) == replayed, at
        assert len(guards.screen(rows, Live(), NOW + 10).batch) == live, at
    assert guards.denials(NOW + 10) == []


def test_of_several_denials_the_longest_counts(make: MakeGuards) -> None:
    guards = make()
    shorter, longer = (parse_network(A),), (parse_network("203.0.113.0/24"),)
    for first, second in ((shorter, longer), (longer, shorter)):
        ends = {shorter: NOW + 1, longer: NOW + 5}
        guards.deny_manually((Denial(first, until=ends[first]), Denial(second, until=ends[second])))
        for at, replayed in ((NOW + 3, 0), (NOW + 6, 1)):
            assert len(guards.screen(batch([Login(A, at)]), Live(), NOW + 10, replay=True).batch) == replayed


# -- many users behind one address -------------------------------------------------------------------------------------


def test_a_crowded_public_address_is_warned_of_once(make: MakeGuards) -> None:
    guards = make(max_users_per_address=3)
    assert guards.screen(batch(users(A, 3)), Live(), NOW).warnings == []
    screened = guards.screen(batch(users(A, 2, 3)), Live(), NOW)
    (warning,) = screened.warnings
    assert warning.startswith(f"{A}: more than 3 users logged in from this address within an hour; it keeps its grant")
    assert len(screened.batch) == 2
    assert guards.screen(batch(users(A, 9, 5)), Live(), NOW).warnings == []


@pytest.mark.parametrize("ip", [PRIVATE, "100.64.3.3", "192.168.0.9", "172.31.0.1", "fd00::5"])
def test_a_crowded_private_address_is_refused_and_revoked(make: MakeGuards, ip: str) -> None:
    guards = make(max_users_per_address=3)
    live = Live({ip: None})
    assert guards.screen(batch(users(ip, 3)), live, NOW).revoke == ()
    screened = guards.screen(batch([*users(ip, 1, 3), Login(A, NOW)]), live, NOW)
    assert screened.batch.ip == [A]
    assert screened.revoke == (ip,)
    assert guards.counters == {"refused_max_users_per_address": 1}
    assert "it gets no grant" in screened.warnings[0]
    # It stays refused, also for its first user and in the next window.
    assert len(guards.screen(batch(users(ip, 1)), Live(), NOW + WINDOW_S + 1).batch) == 0
    assert len(guards.screen(batch(users(ip, 1)), Live(), NOW + STAY_S + WINDOW_S).batch) == 1


def test_a_gateway_let_through_is_private(make: MakeGuards) -> None:
    guards = make(gateway=False, max_users_per_address=1)
    assert len(guards.screen(batch(users("192.0.2.1", 1)), Live(), NOW).batch) == 1
    assert len(guards.screen(batch(users("192.0.2.1", 1, 1)), Live(), NOW).batch) == 0


def test_users_are_counted_within_a_window(make: MakeGuards) -> None:
    guards = make(max_users_per_address=3)
    for hour in range(5):
        logins = batch(users(PRIVATE, 3, hour * 3))
        assert len(guards.screen(logins, Live(), NOW + hour * WINDOW_S).batch) == 3


def test_folded_rows_bring_their_own_count(make: MakeGuards) -> None:
    guards = make(max_users_per_address=3)
    folded = batch(users(PRIVATE, 4), gap=1800, reference=NOW)
    assert len(folded) == 1
    assert len(guards.screen(folded, Live(), NOW).batch) == 0
    guards.screen(batch([Login("10.0.0.9", NOW, "user3")]), Live(), NOW)
    ends_with_a_known_one = batch(
        [login._replace(ip="10.0.0.9") for login in users(PRIVATE, 4)], gap=1800, reference=NOW
    )
    assert len(guards.screen(ends_with_a_known_one, Live(), NOW).batch) == 0
    same = batch([Login("10.0.0.8", NOW, "bob")] * 50, gap=None)
    assert len(guards.screen(same, Live(), NOW).batch) == 50


def test_what_a_crowd_remembers_is_bounded(make: MakeGuards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbs_fast.guards.shared_addresses.MAX_ADDRESSES", 10)
    guards = make()
    for block in range(30):
        guards.screen(batch(Login(f"203.0.{block}.{at}", NOW) for at in range(10)), Live(), NOW)
        assert len(guards._crowd._users) <= 20


# -- hosts -------------------------------------------------------------------------------------------------------------


def test_more_than_one_host_is_warned_of_once_a_source(make: MakeGuards) -> None:
    guards = make()
    assert guards.screen(batch([Login(A, NOW, host="mx1"), Login(A, NOW, host="")]), Live(), NOW).warnings == []
    (warning,) = guards.screen(batch([Login(A, NOW, host="MX1"), Login(A, NOW, host="evil")]), Live(), NOW).warnings
    assert warning.startswith("test: contains lines of more than one host (mx1, evil)")
    assert guards.screen(batch([Login(A, NOW, host="third")]), Live(), NOW).warnings == []


def test_only_listed_hosts_are_believed(make: MakeGuards) -> None:
    guards = make(hosts=("mx1", "MX2"))
    hosts = ["mx1", "Mx2", "evil", ""]
    logins = [Login(f"203.0.113.{at}", NOW, host=host) for at, host in enumerate(hosts)]
    ends = [Login(A, NOW, kind="logout", host="evil"), Login(A, NOW, kind="restart", host="evil")]
    screened = guards.screen(batch([*logins, *ends, ends[1]._replace(host="mx1")]), Live(), NOW)
    assert screened.batch.host == ["mx1", "Mx2", "", "mx1"]
    assert screened.warnings == screened.refused[1:] == []
    assert guards.counters == {"refused_hosts": 1, "logout_refused": 2}


# -- limits ------------------------------------------------------------------------------------------------------------


def test_at_max_rows_new_grants_stop_and_renewals_go_on(make: MakeGuards) -> None:
    guards = make(max_rows=3)
    live = Live({A: None, B: None})
    screened = guards.screen(batch([(A, NOW), (C, NOW), (PRIVATE, NOW), (C, NOW), (B, NOW)]), live, NOW)
    assert screened.batch.ip == [A, C, C, B]
    assert guards.counters == {"refused_max_rows": 1}
    full = Live.fromkeys([A, B, C, PRIVATE])
    assert guards.screen(batch([(A, NOW), ("203.0.113.77", NOW)]), full, NOW).batch.ip == [A]  # type: ignore[arg-type]


def test_new_grants_of_a_minute_are_counted_by_the_ledger(make: MakeGuards) -> None:
    guards, ledger = make(max_new_per_minute=3), Ledger(1800)

    def arrive(ips: list[str], at: float, replay: bool = False) -> int:
        screened = guards.screen(batch((ip, int(at)) for ip in ips), ledger, at, replay=replay)
        ledger.observe(screened.batch, at)
        return len(screened.batch)

    assert arrive([A, B], NOW) == 2
    assert arrive([A, A, B], NOW + 20) == 3
    assert arrive([C, PRIVATE], NOW + 40) == 1
    assert guards.counters == {"refused_max_new_per_minute": 1}
    assert arrive([A, PRIVATE], NOW + 59) == 1
    assert arrive([PRIVATE], NOW + 60) == 1
    many = [f"203.0.113.{at}" for at in range(100, 110)]
    assert arrive(many, NOW + 70, replay=True) == 10
    # PRIVATE was this minute's first; what the replay found does not count.
    assert arrive([f"203.0.113.{at}" for at in range(120, 130)], NOW + 71) == 2


def test_logins_that_the_ledger_declines_do_not_use_up_the_minute(make: MakeGuards) -> None:
    guards, ledger = make(max_new_per_minute=5), Ledger(1800)
    old = batch((f"203.0.113.{at}", NOW - 7200) for at in range(5))
    ledger.observe(guards.screen(old, ledger, NOW).batch, NOW)
    assert (ledger.granted, ledger.counters["too_old"]) == (0, 5)
    assert len(guards.screen(batch((f"203.0.113.{at}", NOW) for at in range(5)), ledger, NOW).batch) == 5


# -- deny list ---------------------------------------------------------------------------------------------------------


def deny(*, networks: tuple[str, ...] = (), users: tuple[str, ...] = (), until: float = inf) -> DenyList:
    return DenyList((Denial(tuple(map(parse_network, networks)), users, until),))


def test_denied_addresses_networks_and_users(make: MakeGuards) -> None:
    guards = make(deny=deny(networks=(A, "2001:db8::/32"), users=("mallory",)))
    logins = [Login(A, NOW), Login(C, NOW), Login(B, NOW, "Mallory"), Login(B, NOW, None), Login(B, NOW, "bob")]
    screened = guards.screen(batch(logins), Live(), NOW)
    assert screened.batch.user_last == [None, "bob"]
    assert guards.counters == {"refused_deny": 3}
    assert guards.wants_events
    assert not make(deny=deny(networks=(A,))).wants_events


@pytest.mark.parametrize("names", [("mallory", "bob"), ("bob", "mallory")])
def test_a_folded_row_with_a_denied_user_is_refused(make: MakeGuards, names: tuple[str, str]) -> None:
    guards = make(deny=deny(users=("mallory",)))
    row = batch([Login(A, NOW, name) for name in names], gap=1800, reference=NOW)
    assert len(guards.screen(row, Live(), NOW).batch) == 0


def test_a_denial_ends_by_the_wall_clock(make: MakeGuards) -> None:
    clock = FakeClock(NOW)
    guards = make(deny=deny(networks=(A,), users=("mallory",), until=NOW + 60))

    def granted() -> list[str]:
        logins = batch([Login(A, NOW), Login(B, NOW, "mallory")])
        return guards.screen(logins, Live(), clock.now(), shift=clock.shift()).batch.ip

    assert granted() == []
    clock.advance(59.9)
    assert granted() == []
    clock.advance(0.1)
    assert granted() == [A, B]
    clock.step_wall(-30)
    assert granted() == []
    clock.step_wall(3600)
    assert granted() == [A, B]


def test_which_live_rows_may_not_stay(make: MakeGuards) -> None:
    guards = make(mynetworks=["198.51.100.0/24"], deny=deny(networks=(A,), users=("mallory",), until=NOW + 60))
    rows = {
        ip: Grant(NOW, user, "dovecot", "new")
        for ip, user in {A: "x", B: "MALLORY", C: None, "198.51.100.7": "y", "10": "z"}.items()
    }
    assert guards.refused(rows, NOW) == {A: "deny", B: "deny", "198.51.100.7": "local", "10": "not_canonical"}
    assert guards.refused(rows, NOW + 60) == {"198.51.100.7": "local", "10": "not_canonical"}


def test_live_rows_of_a_host_that_is_no_longer_believed_may_not_stay(make: MakeGuards) -> None:
    rows = {ip: Grant(NOW, None, "dovecot", "new", host) for ip, host in {A: "mx1", B: "evil", C: ""}.items()}
    assert make(hosts=("MX1",)).refused(rows, NOW) == {B: "hosts"}
    assert make().refused(rows, NOW) == {}


# -- sums --------------------------------------------------------------------------------------------------------------

IPS = [A, B, C, PRIVATE, "127.0.0.1", "198.51.100.7", "192.0.2.1", "224.0.0.1", "203.0.113.50"]
LOGINS = st.lists(
    st.builds(
        Login,
        ip=st.sampled_from(IPS),
        timestamp=st.integers(NOW - 2000, NOW + 400),
        user=st.sampled_from(["alice", "bob", "carol", "mallory", None]),
        kind=st.sampled_from(["login", "login", "login", "logout"]),
        host=st.sampled_from(["mx1", "mx1", "mx1", "evil", ""]),
    ),
    max_size=30,
)


def test_each_login_ends_in_exactly_one_counter(share: Callable[[object], None]) -> None:
    @given(st.lists(LOGINS, min_size=1, max_size=4), st.booleans(), st.booleans())
    def run(batches: list[list[Login]], fold: bool, replay: bool) -> None:
        counters = Counters()
        config = GuardConfig(max_rows=3, max_new_per_minute=4, max_users_per_address=2, hosts=("mx1",))
        guards = Guards(
            config,
            read_netblocks(["198.51.100.0/24"]),
            MACHINE,
            deny(networks=("203.0.113.50",), users=("mallory",)),
            counters,
        )
        ledger = Ledger(1800, counters)
        passed = 0
        for at, logins in enumerate(batches):
            now = NOW + at * 25
            rows = batch(logins, gap=1800 if fold else None, reference=now)
            screened = guards.screen(rows, ledger, now, replay=replay)
            ledger.revoke(screened.revoke)
            passed += sum(n for n, kind in zip(screened.batch.n, screened.batch.kind, strict=True) if kind == "logout")
            refused = {refusal.ip for refusal in screened.refused if refusal.guard in ("local", "gateway", "loopback")}
            ledger.observe(screened.batch, now, ahead="refuse" if replay else "arrival")
            assert not refused & ledger.rows().keys()
            assert len(ledger) <= config.max_rows
        events = [login.kind for logins in batches for login in logins]
        outcomes = [name for name in counters if name in OUTCOMES or name == "local" or name.startswith("refused_")]
        assert sum(counters[name] for name in outcomes) == events.count("login")
        assert passed + counters["logout_refused"] == events.count("logout")
        assert counters["granted"] == counters["expired"] + counters["revoked"] + len(ledger)
        share(counters["granted"] and sum(counters[name] for name in counters if name.startswith("refused_")))

    run()
