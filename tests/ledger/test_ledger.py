"""What the ledger does, one rule a test; the same rules at random in test_model.py."""

from __future__ import annotations

import pytest

from pbs_fast.events import Counters, Grant
from pbs_fast.ledger.ledger import OUTCOMES, Ledger

from .rows import Login, batch

A, B = "203.0.113.1", "2001:db8::1"
NOW = 1_700_000_000
GRACE = 1800


@pytest.fixture(params=[1, 10**9], ids=["many", "few"])
def ledger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """With batches that count as large, and as small."""
    monkeypatch.setattr("pbs_fast.ledger.intake._MANY", request.param)
    return Ledger(GRACE)


def test_a_login_opens_a_row_until_its_stamp_plus_grace(ledger: Ledger) -> None:
    delta = ledger.observe(batch([Login(A, NOW - 7, "bob", "courier")]), NOW)
    assert delta.set == {A: Grant(NOW - 7 + GRACE, "bob", "courier", "new", "mx")}
    assert ledger.rows() == delta.set
    assert ledger.next_expiry() == NOW - 7 + GRACE
    assert ledger.get(A) == delta.set[A]
    assert A in ledger
    assert B not in ledger


def test_a_row_dies_at_the_very_second_of_its_end(ledger: Ledger) -> None:
    ledger.observe(batch([(A, NOW)]), NOW)
    assert not ledger.expire(NOW + GRACE - 0.001)
    gone: dict[str, Grant] = {}
    assert ledger.expire(NOW + GRACE, gone).removed == (A,)
    assert gone == {A: Grant(NOW + GRACE, "alice", "dovecot", "new", "mx")}
    assert len(ledger) == ledger.queued() == 0
    assert ledger.next_expiry() is None


def test_a_renewal_moves_the_end_and_not_the_queue(ledger: Ledger) -> None:
    ledger.observe(batch([(A, NOW)]), NOW)
    delta = ledger.observe(batch([Login(A, NOW + 60, None)]), NOW + 60)
    assert delta.set == {A: Grant(NOW + 60 + GRACE, None, "dovecot", "renewed", "mx")}
    assert ledger.queued() == 1
    assert not ledger.expire(NOW + GRACE)
    assert ledger.next_expiry() == NOW + 60 + GRACE
    assert ledger.expire(NOW + 60 + GRACE).removed == (A,)


def test_late_and_equal_stamps_change_nothing(ledger: Ledger) -> None:
    ledger.observe(batch([(A, NOW)]), NOW)
    before = ledger.rows()
    assert not ledger.observe(batch([Login(A, NOW - 1, "eve"), Login(B, NOW - 1)]), NOW).set.get(A)
    assert not ledger.observe(batch([Login(A, NOW, "eve")]), NOW)
    assert ledger.get(A) == before[A]
    assert ledger.counters["late"] == 1
    assert ledger.counters["renewed"] == 1


@pytest.mark.parametrize(("age", "outcome"), [(GRACE - 1, "granted"), (GRACE, "too_old"), (GRACE + 900, "too_old")])
def test_older_than_grace_grants_nothing(ledger: Ledger, age: int, outcome: str) -> None:
    told: list[tuple[str, str]] = []
    ledger.explain = lambda ip, what: told.append((ip, what))
    ledger.observe(batch([(A, NOW - age)]), NOW)
    assert +ledger.counters == {outcome: 1}
    assert len(ledger) == (outcome == "granted")
    assert told == ([] if outcome == "granted" else [(A, "too_old")])


def test_far_ahead_counts_as_its_arrival_live_and_not_at_all_in_a_replay(ledger: Ledger) -> None:
    ahead = batch([(A, NOW + 301), (B, NOW + 300)])
    assert ledger.observe(ahead, NOW + 0.9, ahead="reject").set.keys() == {B}
    assert ledger.get(B).expires == NOW + 300 + GRACE  # type: ignore[union-attr]
    assert ledger.counters["refused_ahead"] == 1
    assert ledger.observe(ahead, NOW + 0.9).set == {A: Grant(NOW + GRACE, "alice", "dovecot", "new", "mx")}
    assert ledger.counters["ahead"] == 1


def test_a_login_after_the_end_is_a_new_grant_though_nobody_called_expire(ledger: Ledger) -> None:
    ledger.observe(batch([(A, NOW)]), None)
    assert ledger.observe(batch([(A, NOW + GRACE)]), None).set[A].why == "renewed"
    assert ledger.observe(batch([(A, NOW + 2 * GRACE + 1)]), None).set[A].why == "new"
    assert (ledger.granted, ledger.counters["expired"], ledger.queued()) == (2, 1, 1)


def test_several_rows_of_one_address_in_a_batch(ledger: Ledger) -> None:
    rows = [Login(A, NOW - 9, "first"), Login(B, NOW - 9), Login(A, NOW - 3, "last", "courier"), Login(A, NOW - 5)]
    delta = ledger.observe(batch(rows), NOW)
    assert delta.set[A] == Grant(NOW - 3 + GRACE, "last", "courier", "new", "mx")
    assert {name: ledger.counters[name] for name in OUTCOMES} == {
        "granted": 2,
        "renewed": 1,
        "late": 1,
        "too_old": 0,
        "refused_ahead": 0,
    }
    assert ledger.queued() == 2


def test_the_first_row_of_an_address_is_settled_before_its_second(ledger: Ledger) -> None:
    """The first has lapsed, and the second is late only once the first is resolved."""
    ledger.observe(batch([(A, NOW)]), None)
    ledger.observe(batch([(A, NOW + GRACE + 1), (A, NOW + GRACE - 1)]), None)
    assert ledger.get(A).expires == NOW + 2 * GRACE + 1  # type: ignore[union-attr]
    assert (ledger.granted, ledger.counters["late"]) == (2, 1)


def test_a_logout_never_inserts(ledger: Ledger) -> None:
    delta = ledger.observe(batch([Login(A, NOW, kind="logout"), Login(B, NOW)]), NOW)
    assert delta.set.keys() == {B}
    assert +ledger.counters == {"granted": 1}
    assert not ledger.observe(batch([Login(A, NOW, kind="logout")]), NOW)


def test_an_empty_batch_changes_nothing(ledger: Ledger) -> None:
    assert not ledger.observe(batch([]), NOW)
    assert not ledger.expire(NOW)


def test_adopted_rows_end_at_now_plus_grace_and_known_ones_keep_their_end(ledger: Ledger) -> None:
    ledger.observe(batch([(A, NOW - 100)]), NOW)
    delta = ledger.adopt({A: "x", B: "carol"}, NOW + 0.5)
    assert delta.set == {B: Grant(NOW + GRACE, "carol", "", "recovered")}
    assert ledger.counters["recovered"] == 1
    assert ledger.granted == 1
    assert ledger.expire(NOW - 100 + GRACE).removed == (A,)
    assert ledger.observe(batch([(B, NOW + 1)]), NOW + 1).set[B].why == "renewed"
    assert ledger.expire(NOW + 1 + GRACE).removed == (B,)


def test_a_revoked_row_is_gone_from_the_queue_too(ledger: Ledger) -> None:
    ledger.observe(batch([(A, NOW), (B, NOW)]), NOW)
    ledger.observe(batch([(A, NOW + 5)]), NOW + 5)
    gone: dict[str, Grant] = {}
    assert ledger.revoke([A, "192.0.2.99"], gone).removed == (A,)
    assert gone.keys() == {A}
    assert (len(ledger), ledger.queued(), ledger.counters["revoked"]) == (1, 1, 1)
    assert not ledger.revoke([A])
    assert ledger.observe(batch([(A, NOW + 9)]), NOW + 9).set[A].why == "new"
    assert ledger.queued() == 2
    assert set(ledger.expire(NOW + 9 + GRACE).removed) == {A, B}


def test_rows_is_a_copy(ledger: Ledger) -> None:
    ledger.observe(batch([(A, NOW)]), NOW)
    ledger.rows().clear()
    assert A in ledger


def test_the_shift_puts_stamps_on_the_ledgers_clock(ledger: Ledger) -> None:
    """The wall clock is an hour ahead of the ledger's."""
    logins = batch([(A, NOW + 3600 - 10), (B, NOW + 3600 - GRACE)])
    assert ledger.observe(logins, NOW, shift=-3600).set == {A: Grant(NOW - 10 + GRACE, "alice", "dovecot", "new", "mx")}
    assert ledger.counters["too_old"] == 1
    assert ledger.counters["ahead"] == 0
    assert logins.last[0] == NOW + 3600 - 10


def test_counts_go_to_the_shared_counters_by_events_not_rows(ledger: Ledger) -> None:
    counters = Counters(login=5)
    ledger.counters = counters
    ledger.observe(batch([(A, NOW - 9), (A, NOW - 7), (A, NOW), (B, NOW)], gap=GRACE, reference=NOW), NOW)
    assert counters == {"login": 5, "granted": 2, "renewed": 2}


def test_small_batches_share_their_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(GRACE)
    for number in range(2):
        ledger.observe(batch([Login(f"203.0.113.{number}", NOW, format="".join(("dove", "cot")))]), NOW)
    one, other = ledger.rows().values()
    assert one.format is other.format
    monkeypatch.setattr("pbs_fast.ledger.intake._MAX_TEXTS", 3)
    for number in range(50):
        ledger.observe(batch([Login(A, NOW + number, host=f"h{number}")]), NOW + number)
    assert len(ledger._texts._kept) <= 5
    assert ledger.get(A).host == "h49"  # type: ignore[union-attr]


def test_a_ledger_without_grace_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 second, not 0"):
        Ledger(0)
