"""Counted sessions: the ledger that keeps an address while a session is open, against a naive model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.events import Batch, Delta, Grant
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.sessions import EARLY, Ends, Line, OpenSessions

START = 1_700_000_000
GRACE = 100
LONGEST = 1_000
ENDS: dict[str, Ends] = {"uw": "address", "courier": "address", "dovecot": "session", "popa3d": "process"}
IPS = ["203.0.113.1", "203.0.113.2", "2001:db8::1"]


class Say(NamedTuple):
    kind: Literal["login", "logout"]
    ip: str
    session: str | None
    timestamp: int
    format: str = "dovecot"
    process: str = "imap-login"
    host: str = "mx"


def batch(*lines: Say, source: str = "log") -> Batch:
    result = Batch(source)
    for offset, line in enumerate(lines):
        values = {
            "ip": line.ip,
            "first": line.timestamp,
            "last": line.timestamp,
            "n": 1,
            "kind": line.kind,
            "format": line.format,
            "host": line.host,
            "offset": offset,
            "tls": None,
            "loop": False,
            "session": line.session,
            "user_first": "lena",
            "user_last": "lena",
            "users": 1,
            "process": line.process,
        }
        for column, value in values.items():
            getattr(result, column).append(value)
    return result


def new_ledger(*, replaying: bool = False) -> Ledger:
    ledger = Ledger(GRACE, sessions=OpenSessions(LONGEST, ENDS))
    if not replaying:
        assert not ledger.finish_replay(START)
    return ledger


class Model:
    """Each session a row of its own, each question answered by looking at all of them."""

    def __init__(self) -> None:
        self.sessions: dict[tuple[str, str | None], tuple[str, int]] = {}
        self.ends: dict[str, int] = {}

    def login(self, line: Say) -> None:
        self.ends[line.ip] = max(self.ends.get(line.ip, 0), line.timestamp + GRACE)
        if line.format in ENDS and (line.format != "dovecot" or line.session is not None):
            self.sessions[line.format, line.session] = (line.ip, line.timestamp)

    def logout(self, line: Say) -> None:
        session = self.sessions.pop((line.format, line.session), None)
        if session is not None:
            ip, opened = session
            self.ends[ip] = max(self.ends.get(ip, 0), min(line.timestamp + GRACE, opened + LONGEST + GRACE))

    def expire(self, now: float) -> None:
        self.sessions = {key: each for key, each in self.sessions.items() if each[1] + LONGEST > now}
        open_ones = {ip for ip, _ in self.sessions.values()}
        self.ends = {ip: end for ip, end in self.ends.items() if end > now or ip in open_ones}


def alive(ledger: Ledger) -> dict[str, int]:
    """Address -> end without open sessions."""
    return {ip: row.expires for ip, row in ledger.state().rows.items()}


def check(ledger: Ledger, table: dict[str, int], now: float) -> None:
    assert ledger.queued() + ledger.held() == len(ledger)
    assert {ip: row.expires for ip, row in ledger.rows().items()} == table
    assert all(end > now for end in table.values())
    due = ledger.next_expiry()
    assert due is None or due > now


def publish(table: dict[str, int], delta: Delta) -> None:
    assert not delta.set.keys() & set(delta.removed)
    table.update((ip, grant.expires) for ip, grant in delta.set.items())
    for ip in delta.removed:
        del table[ip]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["login", "login", "logout", "pass"]),
        st.integers(0, len(IPS) - 1),
        st.integers(0, 4),
        st.one_of(
            st.integers(0, 5),
            st.integers(0, 30),
            st.integers(0, 30),
            st.integers(GRACE - 2, GRACE + 2),
            st.integers(0, LONGEST + 5),
        ),
    ),
    min_size=8,
    max_size=40,
)


def lines_of(steps: list[tuple[str, int, int, int]]) -> list[Say | int]:
    """Events with their timestamps, and times at which nothing happens. A session keeps its address, each id is new."""
    told: list[Say | int] = []
    now = START
    ids: dict[int, tuple[str, str]] = {}
    for name, ip, slot, wait in steps:
        now += wait
        if name == "login":
            if slot not in ids:
                ids[slot] = (IPS[ip], f"s{len(told)}")
                told.append(Say("login", *ids[slot], now))
        elif name == "logout" and slot in ids:
            told.append(Say("logout", *ids.pop(slot), now))
        else:
            told.append(now)
    return told


def live_through(told: list[Say | int], share: Callable[[object], None] | None = None) -> tuple[Ledger, Model]:
    model, ledger, table = Model(), new_ledger(), dict[str, int]()
    for each in told:
        now = each if isinstance(each, int) else each.timestamp
        model.expire(now)
        publish(table, ledger.expire(now))
        if isinstance(each, Say):
            (model.login if each.kind == "login" else model.logout)(each)
            publish(table, ledger.observe(batch(each), now))
        assert alive(ledger) == model.ends
        check(ledger, table, now)
    if share is not None:
        share(ledger.counters["session_closed"] and ledger.counters["expired"])
    return ledger, model


def test_a_row_lives_as_the_model_says(share: Callable[[object], None]) -> None:
    @given(STEPS)
    def run(steps: list[tuple[str, int, int, int]]) -> None:
        live_through(lines_of(steps), share)

    run()


def test_a_replay_finds_what_living_through_it_left(share: Callable[[object], None]) -> None:
    """The log is the database: a restart knows open sessions, and rows of sessions that ended within the grace."""

    @given(STEPS, st.integers(0, 50))
    def run(steps: list[tuple[str, int, int, int]], later: int) -> None:
        told = lines_of(steps)
        last = told[-1]
        now = (last if isinstance(last, int) else last.timestamp) + later
        lived, model = live_through([*told, now])
        ledger = new_ledger(replaying=True)
        table: dict[str, int] = {}
        said = [each for each in told if isinstance(each, Say) and each.timestamp > now - LONGEST]
        publish(table, ledger.observe(batch(*said), now, ahead="reject"))
        # Nothing is granted on the way that the end of the log does not grant.
        assert table.keys() <= model.ends.keys()
        publish(table, ledger.finish_replay(now))
        publish(table, ledger.expire(now))
        check(ledger, table, now)
        begun_before = {each.ip for each in told if isinstance(each, Say) and each.timestamp <= now - LONGEST}
        assert {ip: end for ip, end in alive(ledger).items() if ip not in begun_before} == {
            ip: end for ip, end in model.ends.items() if ip not in begun_before
        }
        assert {key for key, _ in ledger.sessions.items()} == {key for key, _ in lived.sessions.items()}
        share(len(ledger.sessions) and ledger.counters["session_row"] + ledger.held())

    run()


def test_a_restored_state_goes_on_where_it_was_left(share: Callable[[object], None]) -> None:
    @given(STEPS, st.integers(0, 40))
    def run(steps: list[tuple[str, int, int, int]], cut: int) -> None:
        told = lines_of(steps)
        whole, _ = live_through(told)
        cut %= len(told)
        before, _ = live_through(told[:cut])
        ledger, rest = new_ledger(), told[cut:]
        start = told[cut - 1] if cut else START
        ledger.restore(before.state(), start if isinstance(start, int) else start.timestamp)
        for each in rest:
            now = each if isinstance(each, int) else each.timestamp
            ledger.expire(now)
            if isinstance(each, Say):
                ledger.observe(batch(each), now)
        assert alive(ledger) == alive(whole)
        assert ledger.rows().keys() == whole.rows().keys()
        assert {key for key, _ in ledger.sessions.items()} == {key for key, _ in whole.sessions.items()}
        share(len(before.sessions))

    run()


def test_an_open_session_holds_the_row_past_grace_and_its_end_gives_a_grace_more() -> None:
    ledger = new_ledger()
    ledger.observe(batch(Say("login", IPS[0], "a", START)), START)
    assert ledger.rows()[IPS[0]].expires == START + LONGEST
    assert not ledger.expire(START + GRACE + 1).removed
    assert ledger.held() == 1
    delta = ledger.observe(batch(Say("logout", IPS[0], "a", START + 500)), START + 500)
    assert delta.set[IPS[0]] == Grant(START + 500 + GRACE, "lena", "dovecot", "session", "mx")
    assert not ledger.expire(START + 500 + GRACE - 0.5).removed
    assert ledger.expire(START + 500 + GRACE).removed == (IPS[0],)


def test_logins_that_open_no_session_renew_a_row_that_another_session_holds() -> None:
    ledger, table = new_ledger(), dict[str, int]()
    publish(table, ledger.observe(batch(Say("login", IPS[0], "a", START)), START))
    for after in (GRACE + 1, 3 * GRACE, 5 * GRACE, 5 * GRACE + 1):
        now = START + after
        publish(table, ledger.expire(now))
        publish(table, ledger.observe(batch(Say("login", IPS[0], None, now)), now))
        check(ledger, table, now)
        assert table == {IPS[0]: START + LONGEST}
        assert alive(ledger) == {IPS[0]: now + GRACE}
    assert +ledger.counters == {"granted": 1, "renewed": 4, "session_opened": 1}


def test_max_session_is_a_hard_cap_for_a_lost_logout() -> None:
    ledger = new_ledger()
    ledger.observe(batch(Say("login", IPS[0], "a", START)), START)
    assert ledger.next_expiry() == START + GRACE
    ledger.expire(START + GRACE)
    assert ledger.next_expiry() == START + LONGEST
    assert not ledger.expire(START + LONGEST - 1).removed
    assert ledger.expire(START + LONGEST).removed == (IPS[0],)
    assert ledger.counters["session_overdue"] == 1
    assert not ledger.observe(batch(Say("logout", IPS[0], "a", START + LONGEST + 1)), START + LONGEST + 1)


def test_a_logout_of_now_waits_for_the_login_that_the_replay_has_still_to_find() -> None:
    now = START + 3 * GRACE
    ledger = new_ledger(replaying=True)
    ledger.observe(batch(Say("login", IPS[1], "b", now), Say("logout", "", "a", now)), now)
    assert ledger.rows().keys() == {IPS[1]}
    ledger.observe(batch(Say("login", IPS[0], "a", START)), now, ahead="reject")
    assert ledger.rows().keys() == {IPS[1]}
    assert ledger.finish_replay(now).set[IPS[0]].expires == now + GRACE
    assert [session.ip for _, session in ledger.sessions.items()] == [IPS[1]]


def test_a_logout_never_inserts() -> None:
    ledger = new_ledger()
    assert not ledger.observe(batch(Say("logout", IPS[0], "a", START)), START)
    assert not ledger.observe(batch(Say("logout", "", "b", START)), START)
    assert len(ledger) == 0
    assert ledger.counters["logout_unused"] == 2


def test_a_logout_without_address_finds_its_session_by_its_id() -> None:
    ledger = new_ledger()
    ledger.observe(batch(Say("login", IPS[0], "a", START), Say("logout", "", "a", START + 50)), START + 50)
    assert ledger.rows()[IPS[0]].expires == START + 50 + GRACE


def test_a_process_ends_its_session_without_naming_the_address() -> None:
    ledger = new_ledger()
    login = Say("login", IPS[0], None, START, "popa3d", "popa3d[7]")
    other = login._replace(ip=IPS[1], process="popa3d[8]")
    ledger.observe(batch(login, other, Say("logout", "", None, START + 9, "popa3d", "popa3d[7]")), START + 9)
    assert [session.ip for _, session in ledger.sessions.items()] == [IPS[1]]


def test_the_logout_may_come_before_its_login() -> None:
    """Dovecot: login and mail process write independently. The login counts, its session is over."""
    ledger = new_ledger()
    lines = [Say("logout", "", "a", START), Say("login", IPS[0], "a", START)]
    ledger.observe(batch(*lines), START)
    assert len(ledger.sessions) == 0
    assert ledger.rows()[IPS[0]].expires == START + GRACE
    late = START + EARLY + 1
    ledger.observe(batch(Say("logout", "", "b", START), Say("login", IPS[1], "b", late)), late)
    assert len(ledger.sessions) == 1


@pytest.mark.parametrize(
    ("format_", "session", "process"),
    [
        ("dovecot", "a", "dovecot[1]"),
        ("courier", "40122", "imapd"),
        ("uw", None, "imapd[7]"),
        ("courier", None, "imapd"),
        ("popa3d", None, "popa3d[7]"),
    ],
)
def test_a_session_seen_in_two_logs_counts_once(format_: str, session: str | None, process: str) -> None:
    ledger = new_ledger()
    login = Say("login", IPS[0], session, START, format_, process)
    logout = Say("logout", IPS[0], session, START + 20, format_, process)
    for source in ("one", "two"):
        ledger.observe(batch(login, source=source), START)
        assert len(ledger.sessions) == 1
    for source in ("one", "two"):
        ledger.observe(batch(logout, source=source), START + 20)
        assert len(ledger.sessions) == 0
    # The slower log may also tell it all afterwards.
    ledger.observe(batch(login, logout, source="three"), START + 30)
    assert len(ledger.sessions) == 0
    assert ledger.rows()[IPS[0]].expires == START + 20 + GRACE


def test_two_nameless_sessions_of_one_second_are_two() -> None:
    ledger = new_ledger()
    login = Say("login", IPS[0], None, START, "courier", "imapd")
    ledger.observe(batch(login, login), START)
    assert len(ledger.sessions) == 2
    logout = login._replace(kind="logout", timestamp=START + 10)
    ledger.observe(batch(logout), START + 10)
    assert len(ledger.sessions) == 1


def test_a_process_id_used_again_is_another_session() -> None:
    ledger = new_ledger()
    first = Say("login", IPS[0], None, START, "uw", "imapd[7]")
    ledger.observe(batch(first, first._replace(timestamp=START + 300)), START + 300)
    assert [session.opened for _, session in ledger.sessions.items()] == [START + 300]


def test_a_session_whose_process_id_another_address_uses_is_over() -> None:
    """Its logout was lost. The row has its login's grace, not more."""
    ledger = new_ledger()
    first = Say("login", IPS[0], None, START, "popa3d", "popa3d[7]")
    ledger.observe(batch(first), START)
    ledger.expire(START + GRACE)
    assert ledger.held() == 1
    now = START + GRACE + 50
    table = {ip: row.expires for ip, row in ledger.rows().items()}
    publish(table, ledger.observe(batch(first._replace(ip=IPS[1], timestamp=now)), now))
    publish(table, ledger.expire(now))
    check(ledger, table, now)
    assert table == {IPS[1]: now + LONGEST}
    assert ledger.counters["session_lost"] == 1


def test_a_login_whose_end_cannot_be_recognised_opens_no_session() -> None:
    """Dovecot before 2.2 names no session (and its process is the log's), Cyrus writes no logout."""
    ledger = new_ledger()
    lines = [
        Say("login", IPS[0], None, START, process="dovecot[812]"),
        Say("login", IPS[1], "x", START, "cyrus", "imap[7]"),
        Say("login", IPS[2], None, START, "popa3d", "popa3d"),
    ]
    ledger.observe(batch(*lines), START)
    assert len(ledger.sessions) == 0
    assert ledger.expire(START + GRACE).removed == tuple(IPS)


def test_a_revoked_address_has_no_sessions_left() -> None:
    ledger = new_ledger()
    ledger.observe(batch(Say("login", IPS[0], "a", START)), START)
    ledger.expire(START + GRACE)
    assert ledger.revoke([IPS[0]]).removed == (IPS[0],)
    assert ledger.held() == 0
    assert not ledger.observe(batch(Say("logout", "", "a", START + 200)), START + 200)
    assert len(ledger) == ledger.queued() == 0


def test_a_folded_row_is_refused() -> None:
    rows = batch(Say("login", IPS[0], "a", START))
    rows.n[0] = 2
    with pytest.raises(ValueError, match="folded"):
        new_ledger().observe(rows, START)


def test_reprocessing_takes_the_stamps_for_the_clock() -> None:
    ledger = new_ledger()
    lines = [
        Say("login", IPS[0], "a", START),
        Say("login", IPS[1], "b", START + LONGEST + 10),
        Say("logout", "", "a", START + LONGEST + 20),
    ]
    ledger.observe(batch(*lines), None)
    assert ledger.counters["session_overdue"] == 1
    assert ledger.counters["logout_unused"] == 1
    assert ledger.expire(START + LONGEST + 20).removed == (IPS[0],)


@pytest.mark.system
def test_memory_is_that_of_the_open_sessions() -> None:
    sessions = OpenSessions(LONGEST, ENDS)
    for n in range(200_000):
        line = Line("log", "mx", "dovecot", "imap-login", f"s{n}", IPS[0], START + n // 100)
        assert sessions.open(line, None)
        assert sessions.close(line) is not None
    assert len(sessions) == 0
    assert len(sessions._ended) == 65_536
    assert sessions.next_overdue() is None
    assert not sessions._caps
