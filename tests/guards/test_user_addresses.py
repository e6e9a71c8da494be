"""Many addresses of one user: counted against a list of all logins, warned about, refused where that is on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.rows import Login, batch
from pbs_fast.guards import user_addresses
from pbs_fast.guards.user_addresses import WINDOW_S, UserAddresses

from .conftest import Live, MakeGuards

NOW = 1_700_000_000


def from_addresses(count: int, start: int = 0, user: str = "mallory", at: int = NOW) -> list[Login]:
    return [Login(f"203.0.113.{number}", at, user) for number in range(start, start + count)]


def test_a_user_with_many_addresses_is_warned_about_once_an_hour(make: MakeGuards) -> None:
    guards = make(max_addresses_per_user=3)
    assert guards.screen(batch(from_addresses(3)), Live(), NOW).warnings == []
    screened = guards.screen(batch(from_addresses(2, 3, "MALLORY")), Live(), NOW)
    (warning,) = screened.warnings
    assert warning.startswith("MALLORY: logged in from more than 3 addresses within an hour; their grants stay")
    assert len(screened.batch) == 2
    assert guards.screen(batch(from_addresses(9, 5)), Live(), NOW).warnings == []
    assert guards.screen(batch(from_addresses(9, 20, "anna")), Live(), NOW).warnings[0].startswith("anna: ")
    later = NOW + 2 * WINDOW_S
    assert guards.screen(batch(from_addresses(3, at=later)), Live(), later).warnings == []
    assert len(guards.screen(batch(from_addresses(1, 9, at=later)), Live(), later).warnings) == 1


def test_the_switch_refuses_the_addresses_beyond_the_limit(make: MakeGuards) -> None:
    guards = make(max_addresses_per_user=3, refuse_many_addresses=True)
    assert guards.wants_events, "a folded row would hide users"
    screened = guards.screen(batch([*from_addresses(5), Login("203.0.113.99", NOW, "anna")]), Live(), NOW)
    assert screened.batch.ip == ["203.0.113.0", "203.0.113.1", "203.0.113.2", "203.0.113.99"]
    assert {refusal.guard for refusal in screened.refused} == {"max_addresses_per_user"}
    assert guards.counters == {"refused_max_addresses_per_user": 2}
    assert len(guards.screen(batch(from_addresses(3)), Live(), NOW + 60).batch) == 3, "those within it go on"
    assert not make().wants_events


def test_an_ipv6_network_of_64_bits_is_one_address(make: MakeGuards) -> None:
    guards = make(max_addresses_per_user=2)
    logins = [Login(f"2001:db8::{number:x}", NOW, "anna") for number in range(1, 90)]
    assert guards.screen(batch([*logins, Login("2001:db8:1::1", NOW, "anna")]), Live(), NOW).warnings == []
    assert len(guards.screen(batch([Login("2001:db8:2::1", NOW, "anna")]), Live(), NOW).warnings) == 1


def test_what_other_guards_refuse_does_not_count(make: MakeGuards) -> None:
    guards = make(max_addresses_per_user=1)
    assert guards.screen(batch([Login(f"127.0.0.{at}", NOW, "anna") for at in range(1, 9)]), Live(), NOW).warnings == []


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from(["a", "A", "b"]), st.integers(0, 5)), max_size=40),
)
@settings(max_examples=100)
def test_it_is_what_a_list_of_all_logins_says(
    share: Callable[[object], None], limit: int, steps: list[tuple[int, str, int]]
) -> None:
    """But for the first of several addresses, of which only the latest possible time is known."""
    counted = UserAddresses(limit)
    allowed: dict[str, dict[int, int]] = {}
    now, refused = NOW, 0
    for step, user, number in steps:
        now += step
        seen = allowed.setdefault(user.casefold(), {})
        over = bool(counted.saw([user], [f"192.0.2.{number}"], [now], now)[0])
        recent = {ip for ip, at in seen.items() if at > now - WINDOW_S}
        if number in recent:
            assert not over
        elif len(recent) >= limit:
            assert over
        elif over:
            # The only address so far counts for up to an hour more: when it was last seen is not kept.
            assert len([at for at in seen.values() if at > now - 2 * WINDOW_S - 1]) >= limit
        if not over:
            seen[number] = now
        refused += over
    share(refused)


def test_an_hour_later_an_address_does_not_count_any_more() -> None:
    counted = UserAddresses(2)
    seconds = [NOW, NOW, NOW + WINDOW_S - 1, NOW + WINDOW_S]
    assert counted.saw(["u"] * 4, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"], seconds, NOW) == ([2], ["u"])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_addresses, "MAX_USERS", 100)
    monkeypatch.setattr(user_addresses, "MAX_SITES", 100)
    counted = UserAddresses(20)
    for number in range(2_000):
        counted.saw([f"user{number % 700}"], [f"192.0.2.{number % 250}"], [NOW], NOW)
        assert len(counted._addresses) <= 102
        assert len(counted._before) <= 102
        assert counted._several <= 102
        assert counted._several == sum(len(each) for each in counted._addresses.values() if isinstance(each, dict))
