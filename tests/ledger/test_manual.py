"""Manual grants and denials as data, and what a manual grant does to a ledger's rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rows import Login, batch
from pbs_fast.events import Grant
from pbs_fast.ledger import manual as manual_
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.manual import (
    LONGEST,
    DamagedError,
    Manual,
    ManualDenial,
    ManualError,
    ManualGrant,
    decode,
)
from pbs_fast.ledger.origins import row_origin
from pbs_fast.ledger.sessions import OpenSessions

NOW = 1_700_000_000
IP, OTHER = "203.0.113.5", "2001:db8::5"

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIMES = st.tuples(st.integers(0, 1 << 40), st.integers(1, LONGEST)).map(lambda pair: (pair[0] + pair[1], pair[0]))
GRANTS = st.builds(
    lambda ip, times, uid, reason: ManualGrant(ip, times[0], times[1], uid, reason),
    st.sampled_from([IP, OTHER]),
    TIMES,
    st.integers(0, 65534),
    TEXTS,
)
DENIALS = st.builds(
    lambda whom, times, uid, reason: ManualDenial(whom[0], whom[1], times[0], times[1], uid, reason),
    st.sampled_from([("ip", IP), ("network", "192.0.2.0/24"), ("network", "192.0.2.7/32"), ("user", "Ann@Example.org")])
    | TEXTS.filter(bool).map(lambda user: ("user", user)),
    TIMES,
    st.integers(0, 65534),
    TEXTS,
)


def state_of(grants: list[ManualGrant], denials: list[ManualDenial]) -> Manual:
    state = Manual()
    for grant in grants:
        state.grant(grant)
    for denial in denials:
        state.deny(denial)
    return state


STATES = st.builds(state_of, st.lists(GRANTS, max_size=4), st.lists(DENIALS, max_size=4))


@given(STATES)
def test_what_is_written_is_read(state: Manual) -> None:
    assert decode(state.encode()) == state


@given(STATES, st.data())
def test_damage_is_noticed_and_costs_no_readable_denial(
    share: Callable[[object], None], state: Manual, data: st.DataObject
) -> None:
    """Whatever stands in one entry: the other denials are in force, and the file's grants are not."""
    record = json.loads(state.encode())
    entries = [*record["denials"], *record["grants"]]
    share(entries)
    if not entries:
        return
    index = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[index]
    key = data.draw(st.sampled_from(sorted(entry)))
    entry[key] = data.draw(st.sampled_from([None, True, -1, 1 << 60, [], {}, "x" * 600, "\ud800", 1.5]))
    denials = [ManualDenial(**each) for each in record["denials"] if each is not entry]
    with pytest.raises(DamagedError) as raised:
        decode(json.dumps(record).encode())
    assert list(raised.value.left.denials.values()) == denials
    assert not raised.value.left.grants


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"version":2}', b"[" * 100_000, b'{"version":1}'])
def test_what_is_no_state_at_all(data: bytes) -> None:
    with pytest.raises(DamagedError) as raised:
        decode(data)
    assert raised.value.left == Manual()


@given(st.binary(max_size=100))
def test_any_bytes_are_a_state_or_damage(data: bytes) -> None:
    with pytest.raises(DamagedError):
        decode(data)


def test_a_denial_is_extended_and_not_cut() -> None:
    long, short = (ManualDenial("user", name, NOW + n, NOW, 0, "") for name, n in (("Ann", 100), ("ann", 10)))
    state = state_of([], [long, short])
    assert [*state.denials.values()] == [long]
    assert [*state_of([], [short, long]).denials.values()] == [long]


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual_, "MOST", 2)
    state = Manual()
    for number in range(2):
        state.grant(ManualGrant(f"203.0.113.{number}", NOW + 1, NOW, 0, ""))
        state.deny(ManualDenial("user", f"u{number}", NOW + 1, NOW, 0, ""))
    with pytest.raises(ManualError, match="there are 2 manual grants"):
        state.grant(ManualGrant(IP, NOW + 1, NOW, 0, ""))
    with pytest.raises(ManualError, match="there are 2 manual denials"):
        state.deny(ManualDenial("user", "u3", NOW + 1, NOW, 0, ""))
    state.grant(ManualGrant("203.0.113.1", NOW + 2, NOW, 0, "again"))
    state.end(NOW + 1)
    assert (len(state.grants), len(state.denials)) == (1, 0)


def test_a_denial_that_has_ended_is_kept_for_a_start_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual_, "MOST", 2)
    state = Manual()
    for number in range(2):
        state.deny(ManualDenial("user", f"u{number}", NOW + 1 + number, NOW, 0, ""))
    state.end(NOW + 10, keep=9)
    assert [each.what for each in state.denials.values()] == ["u1"]
    state.deny(ManualDenial("user", "u2", NOW + 20, NOW + 10, 0, ""))
    state.deny(ManualDenial("user", "u3", NOW + 20, NOW + 10, 0, ""))
    assert [each.what for each in state.denials.values()] == ["u2", "u3"]
    with pytest.raises(ManualError):
        state.deny(ManualDenial("user", "u4", NOW + 20, NOW + 10, 0, ""))


def test_undo_takes_exactly_what_is_named() -> None:
    grant = ManualGrant(IP, NOW + 9, NOW, 0, "")
    denials = [
        ManualDenial("ip", IP, NOW + 9, NOW, 0, ""),
        ManualDenial("network", "203.0.113.0/24", NOW + 9, NOW, 0, ""),
        ManualDenial("user", "Ann", NOW + 9, NOW, 0, ""),
    ]
    state = state_of([grant], denials)
    assert state.undo("user", "aNN") == (denials[2], None)
    assert state.undo("network", "203.0.113.0/25") == (None, None)
    assert state.undo("ip", IP) == (denials[0], grant)
    assert state.undo("ip", IP) == (None, None)
    assert [*state.denials.values()] == [denials[1]]


# -- in the ledger ----------------------------------------------------------------------------------------------------


def test_a_manual_grant_lasts_for_its_time_whatever_logins_come() -> None:
    ledger = Ledger(100)
    assert ledger.grant(IP, NOW + 500).set[IP].why == "manual"
    assert not ledger.observe(batch([Login(IP, NOW, "ann")]), NOW)
    assert ledger.get(IP) == Grant(NOW + 500, None, "", "manual")
    assert ledger.counters["late"] == 1
    assert not ledger.expire(NOW + 499)
    assert ledger.expire(NOW + 500).removed == (IP,)
    assert ledger.marked == {"recovered": 0, "manual": 0, "hub": 0}


def test_a_login_that_gives_more_takes_the_row_over() -> None:
    ledger = Ledger(100)
    ledger.grant(IP, NOW + 50)
    row = ledger.observe(batch([Login(IP, NOW, "ann")]), NOW).set[IP]
    assert (row.user, row.expires) == ("ann", NOW + 100)
    assert not ledger.grant(IP, NOW + 60), "it may for longer already"
    assert ledger.marked["manual"] == 0
    assert ledger.grant(IP, NOW + 600)
    assert ledger.marked["manual"] == 1
    assert not ledger.expire(NOW + 100)
    assert ledger.get(IP) == Grant(NOW + 600, None, "", "manual")


def test_it_is_not_in_what_a_checkpoint_keeps() -> None:
    ledger = Ledger(100)
    ledger.grant(IP, NOW + 500)
    ledger.observe(batch([Login(OTHER, NOW)]), NOW)
    assert [*ledger.state().rows] == [OTHER]


def test_with_open_sessions_it_lasts_at_least_for_its_time() -> None:
    ledger = Ledger(100, sessions=OpenSessions(1000, {"uw": "address"}))
    ledger.finish_replay(NOW)
    ledger.observe(batch([Login(IP, NOW, "ann", "uw")]), NOW)
    assert ledger.is_open(IP)
    ledger.grant(IP, NOW + 500)
    ledger.observe(batch([Login(IP, NOW + 10, "ann", "uw", "logout")]), NOW + 10)
    assert not ledger.is_open(IP)
    row = ledger.get(IP)
    assert row is not None
    assert row.expires == NOW + 500
    assert not ledger.expire(NOW + 499)
    assert ledger.expire(NOW + 500).removed == (IP,)


@pytest.mark.parametrize("life", [500, 5000], ids=["shorter than the session may be", "longer"])
@pytest.mark.parametrize("first", ["undo", "logout"])
def test_what_it_gave_to_a_session_ends_with_it(life: int, first: str) -> None:
    """The row may be a session's by then, and the grant in what that leaves: none of it outlasts a grace."""
    ledger = Ledger(100, sessions=OpenSessions(1000, {"uw": "address"}))
    ledger.finish_replay(NOW)
    ledger.observe(batch([Login(IP, NOW, "ann", "uw")]), NOW)
    ledger.grant(IP, NOW + life)
    steps = [
        lambda: ledger.observe(batch([Login(IP, NOW + 10, "ann", "uw", "logout")]), NOW + 10),
        lambda: ledger.ungrant(IP, NOW + 10),
    ]
    for step in steps[:: -1 if first == "undo" else 1]:
        step()
    row = ledger.get(IP)
    assert row is not None
    assert row.expires == NOW + 110
    assert not ledger.is_open(IP)
    assert not ledger.expire(NOW + 109)
    assert ledger.expire(NOW + 110).removed == (IP,)
    assert ledger.queued() == 0


def test_the_end_of_a_grant_takes_nothing_from_a_login() -> None:
    ledger = Ledger(100)
    ledger.grant(IP, NOW + 50)
    ledger.observe(batch([Login(IP, NOW, "ann")]), NOW)
    assert not ledger.ungrant(IP, NOW)
    assert not ledger.ungrant(OTHER, NOW)
    assert ledger.expire(NOW + 100).removed == (IP,)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["login", "grant", "adopt", "expire", "revoke", "restore"]),
        st.sampled_from([IP, OTHER, "203.0.113.6"]),
        st.integers(0, 300),
    ),
    max_size=30,
)


@given(OPERATIONS)
def test_rows_without_a_login_are_counted(
    share: Callable[[object], None], operations: list[tuple[str, str, int]]
) -> None:
    """The counts that `status` shows are those of the rows, whatever was done to them."""
    ledger, now = Ledger(100), NOW
    seen = 0
    for do, ip, seconds in operations:
        now += seconds // 10
        act(ledger, do, ip, seconds, now)
        counted: dict[str, Any] = {"recovered": 0, "manual": 0, "hub": 0}
        for row in ledger.rows().values():
            if (origin := row_origin(row)) is not None:
                counted[origin] += 1
        assert ledger.marked == counted, do
        seen += sum(counted.values())
    share(seen)


def act(ledger: Ledger, do: str, ip: str, seconds: int, now: int) -> None:
    if do == "login":
        ledger.observe(batch([Login(ip, now)]), now)
    elif do == "grant":
        ledger.grant(ip, now + seconds + 1)
    elif do == "adopt":
        ledger.adopt({ip: None}, now)
    elif do == "expire":
        ledger.expire(now)
    elif do == "revoke":
        ledger.revoke([ip])
    else:
        gone: dict[str, Grant] = {}
        ledger.expire(now + seconds, gone)
        ledger.unexpire(gone)


def test_what_other_nodes_deny_and_what_was_undone_is_kept_until_it_is_over() -> None:
    state = Manual()
    theirs = ManualDenial("user", "Ann", NOW + 9, NOW, 0, "why", "pop1", "root@pop1", 77)
    ours = ManualDenial("node", "pop2", NOW + 90, NOW, 0, "", number=78)
    assert state.deny_as_others(theirs)
    assert state.deny_as_others(theirs._replace(node="pop3"))
    state.undone["node", "pop2"] = ours
    again = decode(state.encode())
    assert (again.others, again.undone) == (state.others, state.undone)
    state.deny(ours)
    assert not state.undone
    again.end(NOW + 10)
    assert not again.others
    assert again.undone


def test_a_node_that_denies_without_end_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual_, "MOST", 10)
    state = Manual()
    denials = [ManualDenial("user", f"u{n}", NOW + 9, NOW, 0, "", "pop2", "root@pop2", n) for n in range(12)]
    assert [state.deny_as_others(each) for each in denials] == [True] * 10 + [False] * 2
    assert state.deny_as_others(denials[3]), "replaced"
    thief = ManualDenial("user", "thief", NOW + 9, NOW, 0, "", "pop1", "root@pop1", 1)
    assert state.deny_as_others(thief)
    assert len(state.others) == 10
    assert ("pop1", "user", "thief") in state.others
    assert ("pop2", "user", "u0") not in state.others, "its oldest"
    assert not state.deny_as_others(denials[11]), "it is still the one with the most"
