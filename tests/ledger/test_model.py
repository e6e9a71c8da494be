"""The ledger against a naive model: events one by one, a dictionary of ends, a look at every row to expire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_fast.events import MAX_AHEAD, Delta, Grant
from pbs_fast.ledger.intake import FutureTimestamp
from pbs_fast.ledger.ledger import OUTCOMES, Ledger
from pbs_fast.ledger.sessions import OpenSessions

from .rows import Login, batch

START = 1_700_000_000
GRACE = 100
#: Few addresses, so that most logins renew; one of each family and form.
IPS = ["203.0.113.1", "203.0.113.2", "10.0.0.1", "2001:db8::1", "2001:db8::2"]


class Model:
    """The rules of DESIGN's 'Time' and 'Ledger', for single events."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.users: dict[str, str | None] = {}
        self.counts: Counter[str] = Counter()

    def login(self, login: Login, now: float | None, ahead: FutureTimestamp) -> None:
        timestamp = login.timestamp
        if now is not None and timestamp > now + MAX_AHEAD:
            if ahead == "reject":
                self.counts["refused_ahead"] += 1
                return
            timestamp = floor(now)
        elif now is not None and now >= timestamp + GRACE:
            self.counts["too_old"] += 1
            return
        end = self.ends.get(login.ip)
        if end is None or timestamp > end:
            self.counts["granted"] += 1
        elif timestamp + GRACE < end:
            self.counts["late"] += 1
            return
        else:
            self.counts["renewed"] += 1
            if timestamp + GRACE == end:
                return
        self.ends[login.ip] = timestamp + GRACE
        self.users[login.ip] = login.user

    def expire(self, now: float) -> set[str]:
        gone = {ip for ip, end in self.ends.items() if end <= now}
        for ip in gone:
            del self.ends[ip]
        return gone


#: Timestamps relative to now: mostly near, some late, too old, slightly and far ahead.
TIMESTAMPS = st.one_of(
    st.integers(-20, 0),
    st.integers(-20, 0),
    st.integers(-GRACE - 5, 5),
    st.sampled_from([-GRACE, -GRACE + 1, 300, 301, 4000]),
)
LOGINS = st.lists(
    st.tuples(
        st.sampled_from(IPS), TIMESTAMPS, st.sampled_from(["alice", "bob", None]), st.sampled_from(["dovecot", "cyrus"])
    ),
    min_size=1,
    max_size=12,
)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), LOGINS, st.sampled_from(["clamp", "reject"])),
        st.tuples(st.just("observe"), LOGINS, st.sampled_from(["clamp", "reject"])),
        st.tuples(st.just("pass"), st.floats(0, GRACE * 0.8), st.none()),
        st.tuples(st.just("expire"), st.floats(0, GRACE * 1.5), st.none()),
    ),
    min_size=3,
    max_size=25,
)


def check_queue(ledger: Ledger) -> None:
    assert ledger.queued() == len(ledger)
    queued = {ip: second for second, ips in ledger._queue._buckets.items() for ip in ips}
    rows = ledger.rows()
    assert queued.keys() == rows.keys()
    assert all(second <= rows[ip].expires for ip, second in queued.items())
    assert ledger.next_expiry() == min(queued.values(), default=None)
    assert sorted(ledger._queue._seconds) == sorted(ledger._queue._buckets)


def publish(table: dict[str, int], delta: Delta) -> None:
    """What a table holds after a Delta."""
    assert not delta.set.keys() & set(delta.removed)
    table.update((ip, grant.expires) for ip, grant in delta.set.items())
    for ip in delta.removed:
        del table[ip]


@pytest.mark.parametrize(
    ("fold", "counting"), [(True, False), (False, False), (False, True)], ids=["folded", "events", "counted sessions"]
)
def test_ledger_equals_the_model(fold: bool, counting: bool, share: Callable[[object], None]) -> None:
    """Where no session opens, logins do the same with and without `count_sessions`."""

    @given(OPERATIONS)
    def run(operations: list[tuple[str, object, FutureTimestamp]]) -> None:
        ledger = Ledger(GRACE, sessions=OpenSessions(10 * GRACE, {}) if counting else None)
        model, table = Model(), dict[str, int]()
        now = START + 0.25
        events = 0
        for name, value, ahead in operations:
            if name == "observe":
                logins = [Login(ip, floor(now) + at, user, form) for ip, at, user, form in value]  # type: ignore[attr-defined]
                events += len(logins)
                for login in logins:
                    model.login(login, now, ahead)
                rows = batch(logins, gap=GRACE if fold else None, reference=floor(now))
                delta = ledger.observe(rows, now, ahead=ahead)
                assert not delta.removed
                assert all(ledger.get(ip) == grant for ip, grant in delta.set.items())
                publish(table, delta)
            else:
                now += value  # type: ignore[operator]
                if name == "expire":
                    before = ledger.rows()
                    gone: dict[str, object] = {}
                    delta = ledger.expire(now, gone)  # type: ignore[arg-type]
                    assert set(delta.removed) == model.expire(now)
                    assert gone == {ip: before[ip] for ip in delta.removed}
                    publish(table, delta)
            assert {ip: row.expires for ip, row in ledger.rows().items()} == model.ends == table
            check_queue(ledger)
        assert sum(ledger.counters[name] for name in OUTCOMES) == events
        assert ledger.granted == ledger.counters["granted"] == model.counts["granted"]
        assert ledger.granted == ledger.counters["expired"] + len(ledger)
        if not fold:
            assert {name: ledger.counters[name] for name in OUTCOMES} == {name: model.counts[name] for name in OUTCOMES}
            assert {ip: row.user for ip, row in ledger.rows().items()} == {ip: model.users[ip] for ip in model.ends}
        share(ledger.granted and ledger.counters["renewed"] and ledger.counters["expired"])

    run()


@given(LOGINS, st.lists(st.integers(0, 12), max_size=4))
def test_reprocessing_does_not_depend_on_where_the_log_was_cut(
    logins: list[tuple[str, int, str | None, str]], cuts: list[int]
) -> None:
    whole = [Login(ip, START + 37 * index + at, user, form) for index, (ip, at, user, form) in enumerate(logins)]
    model = Model()
    for login in whole:
        model.login(login, None, "refuse")
    ledger = Ledger(GRACE)
    ends = [0, *sorted(cuts), len(whole)]
    for start, stop in pairwise(ends):
        ledger.observe(batch(whole[start:stop], gap=GRACE, reference=START + 10**6), None)
    assert {ip: row.expires for ip, row in ledger.rows().items()} == model.ends
    assert ledger.granted == model.counts["granted"]
    assert ledger.granted == ledger.counters["expired"] + len(ledger)


@settings(max_examples=60)
@given(OPERATIONS)
def test_a_replay_that_nobody_watches_has_the_same_rows(operations: list[tuple[str, object, FutureTimestamp]]) -> None:
    watched, unwatched, now = Ledger(GRACE), Ledger(GRACE), START + 0.25
    for name, value, _ in operations:
        if name == "observe":
            logins = [Login(ip, floor(now) + at, user, form) for ip, at, user, form in value]  # type: ignore[attr-defined]
            rows = batch(logins, gap=GRACE, reference=START + 10**6)
            watched.observe(rows, None)
            assert not unwatched.observe(rows, None, watched=False)
        else:
            now += value  # type: ignore[operator]
            gone: dict[str, Grant] = {}
            assert set(watched.expire(now).removed) == set(unwatched.expire(now, gone).removed) == set(gone)
        assert without_why(unwatched) == without_why(watched)
        assert (unwatched.counters, unwatched.granted) == (watched.counters, watched.granted)
        assert unwatched.queued() == len(unwatched)
        ends = {ip: row.expires for ip, row in unwatched.rows().items()}
        queued = {ip: second for second, ips in unwatched._queue._buckets.items() for ip in ips}
        assert all(queued[ip] <= end for ip, end in ends.items())


def without_why(ledger: Ledger) -> dict[str, Grant]:
    """The rows; whether a login of the same batch made one new is not told where nobody watches."""
    return {ip: row._replace(why="") for ip, row in ledger.rows().items()}
