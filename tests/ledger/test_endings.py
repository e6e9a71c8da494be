"""Sessions whose logout never comes: ended by a server's start, a killed process, an error; or not counted at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.test_sessions import ENDS, GRACE, IPS, LONGEST, START, Say, batch, check, new_ledger, publish
from pbs_fast.events import Batch, Delta
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.recognition import EARLY_SHARE, LATE_SHARE, WATCHED
from pbs_fast.ledger.sessions import ABORT, ABORT_EARLY, OpenSessions

EARLY, LATE = int(LONGEST * EARLY_SHARE), int(LONGEST * LATE_SHARE)


def open_sessions(ledger: Ledger) -> list[str | int]:
    return [key[3] for key, _ in ledger.sessions.items()]


def word(
    kind: str,
    timestamp: int,
    *,
    process: str = "",
    session: str | None = None,
    format_: str = "dovecot",
    host: str = "mx",
    user: str = "lena",
) -> Batch:
    """A row of what ends sessions without a logout."""
    made = batch(Say("logout", "", session, timestamp, format_, process, host))
    made.kind[0] = kind  # type: ignore[call-overload]
    made.user_last[0] = user
    return made


def login(ip: str, session: str | None, timestamp: int, **further: str) -> Say:
    return Say("login", ip, session, timestamp, **further)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [10, GRACE + 50, LONGEST - 1])
@pytest.mark.parametrize(
    "ending",
    [
        lambda at: word("restart", at),
        lambda at: word("killed", at, process="dovecot[7]"),
        lambda at: word("killed", at, process="dovecot[9]", session="a"),
    ],
    ids=["restart", "killed by pid", "killed by id"],
)
def test_an_ended_session_leaves_its_row_until_its_logins_grace(ending: Callable[[int], Batch], after: int) -> None:
    ledger = new_ledger()
    table: dict[str, int] = {}
    publish(table, ledger.observe(batch(login(IPS[0], "a", START, process="dovecot[7]")), START))
    now = START + after
    publish(table, ledger.expire(now))
    assert table == {IPS[0]: START + LONGEST}
    publish(table, ledger.observe(ending(now), now))
    publish(table, ledger.expire(now))
    check(ledger, table, now)
    assert table == ({IPS[0]: START + GRACE} if after < GRACE else {})
    assert (len(ledger.sessions), ledger.counters["session_lost"]) == (0, 1)
    # What comes late of the session finds nothing and gives nothing.
    publish(table, ledger.observe(batch(Say("logout", "", "a", now)), now))
    assert table == ({IPS[0]: START + GRACE} if after < GRACE else {})


def test_a_grace_that_a_logout_gave_outlives_a_start() -> None:
    ledger = new_ledger()
    ledger.observe(batch(login(IPS[0], "a", START), login(IPS[0], "b", START + 1)), START + 1)
    ledger.observe(batch(Say("logout", "", "a", START + 500)), START + 500)
    ledger.observe(word("restart", START + 510), START + 510)
    assert ledger.rows()[IPS[0]].expires == START + 500 + GRACE
    assert not ledger.expire(START + 500 + GRACE - 1).removed
    assert ledger.expire(START + 500 + GRACE).removed == (IPS[0],)


def test_a_start_ends_the_sessions_of_its_server_only() -> None:
    ledger = new_ledger()
    lines = [
        login(IPS[0], "a", START),
        login(IPS[0], "b", START, host="other"),
        login(IPS[1], None, START, format="uw", process="imapd[3]"),
        login(IPS[2], "later", START + 20),
    ]
    ledger.observe(batch(*lines[:3]), START)
    ledger.observe(word("restart", START + 20), START + 20)
    ledger.observe(batch(lines[3]), START + 20)
    assert open_sessions(ledger) == ["b", "imapd[3]", "later"]


def test_a_start_that_another_log_tells_late_ends_no_younger_session() -> None:
    ledger = new_ledger()
    ledger.observe(batch(login(IPS[0], "old", START), login(IPS[1], "new", START + 30)), START + 40)
    ledger.observe(word("restart", START + 10), START + 40)
    assert open_sessions(ledger) == ["new"]
    # Nor does a login of before it, told late, open one.
    ledger.observe(batch(login(IPS[2], "older", START + 9), source="slow"), START + 40)
    assert open_sessions(ledger) == ["new"]
    assert ledger.rows()[IPS[2]].expires == START + 9 + GRACE


def test_a_start_of_a_clock_that_runs_ahead_ends_nothing_to_come() -> None:
    ledger = new_ledger()
    ledger.observe(word("restart", START + 10_000), START)
    ledger.observe(batch(login(IPS[0], "a", START + 1)), START + 1)
    assert open_sessions(ledger) == ["a"]


def test_a_killed_process_ends_all_its_sessions_and_no_others() -> None:
    ledger = new_ledger()
    lines = [
        login(IPS[0], "a", START, process="dovecot[7]"),
        login(IPS[1], "b", START, process="dovecot[7]"),
        login(IPS[2], "c", START, process="dovecot[8]"),
        login(IPS[2], "d", START, process="dovecot[7]", host="other"),
    ]
    ledger.observe(batch(*lines), START)
    ledger.observe(word("killed", START + 5, process="dovecot[7]"), START + 5)
    assert open_sessions(ledger) == ["c", "d"]
    # The pid is used again.
    ledger.observe(batch(login(IPS[0], "e", START + 9, process="dovecot[7]")), START + 9)
    ledger.observe(word("killed", START + 5, process="dovecot[7]"), START + 10)
    assert open_sessions(ledger) == ["c", "d", "e"]
    ledger.observe(word("killed", START + 5, process="dovecot"), START + 10)
    assert open_sessions(ledger) == ["c", "d", "e"], "without a pid nobody is named"


@pytest.mark.parametrize(
    ("late", "ends"), [(-ABORT_EARLY - 1, False), (-1, True), (0, True), (ABORT, True), (61, False)]
)
def test_an_error_ends_the_login_of_its_user_that_was_just_made(late: int, ends: bool) -> None:
    ledger = new_ledger()
    now = START + 100
    ledger.observe(batch(login(IPS[0], "a", START)), now)
    ledger.observe(word("aborted", START + late, user="otto"), now)
    ledger.observe(word("aborted", START + late, host="other"), now)
    assert open_sessions(ledger) == ["a"]
    ledger.observe(word("aborted", START + late), now)
    assert open_sessions(ledger) == ([] if ends else ["a"])


@pytest.mark.parametrize(("after", "opens"), [(0, False), (ABORT_EARLY, False), (ABORT_EARLY + 1, True)])
def test_an_error_may_come_before_its_login(after: int, opens: bool) -> None:
    """Two processes write; the log has them in either order. It stands for one login."""
    ledger = new_ledger()
    lines = batch(login(IPS[0], "a", START + after))
    ledger.observe(word("aborted", START), START)
    ledger.observe(lines, START + after)
    assert (len(ledger.sessions), ledger.rows()[IPS[0]].expires - START - after) == (
        (1, LONGEST) if opens else (0, GRACE)
    )
    ledger.observe(batch(login(IPS[0], "b", START + after)), START + after)
    assert "b" in open_sessions(ledger)


def test_a_word_alone_grants_nothing_and_forgets_nothing() -> None:
    ledger = new_ledger()
    for kind in ("restart", "killed", "aborted"):
        assert not ledger.observe(word(kind, START, process="dovecot[7]"), START)
    assert (len(ledger), ledger.counters["session_lost"], ledger.counters["logout_unused"]) == (0, 0, 0)


def test_a_replay_keeps_no_session_of_before_a_start() -> None:
    ledger = new_ledger(replaying=True)
    now = START + 500
    ledger.observe(batch(login(IPS[0], "a", START), login(IPS[1], "b", START)), now, ahead="reject")
    ledger.observe(word("restart", START + 200), now, ahead="reject")
    ledger.observe(batch(login(IPS[1], "c", START + 201)), now, ahead="reject")
    assert ledger.finish_replay(now).set.keys() == {IPS[1]}
    assert open_sessions(ledger) == ["c"]


def test_a_word_of_now_waits_for_the_logins_that_the_replay_has_still_to_find() -> None:
    ledger = new_ledger(replaying=True)
    now = START + 500
    ledger.observe(word("restart", now), now)
    ledger.observe(batch(login(IPS[0], "a", START)), now, ahead="reject")
    assert not ledger.finish_replay(now).set
    assert not open_sessions(ledger)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["login"] * 4 + ["logout", "restart", "killed", "pass", "pass"]),
        st.sampled_from(IPS),
        st.sampled_from(["mx", "relay"]),
        st.sampled_from(["dovecot", "courier"]),
        st.integers(1, 3),
        st.one_of(st.integers(0, 3), st.integers(0, 40), st.integers(GRACE - 1, GRACE + 1)),
    ),
    min_size=8,
    max_size=40,
)


def test_no_session_older_than_a_start_is_open_and_no_row_outlives_its_grace(share: Callable[[object], None]) -> None:
    """Starts and kills at any point, against a model that keeps each session as a row of its own."""

    @given(STEPS, st.booleans())
    def run(steps: list[tuple[str, str, str, str, int, int]], one_by_one: bool) -> None:
        ledger = Ledger(GRACE, sessions=OpenSessions(1_000_000, ENDS))
        ledger.finish_replay(START)
        table: dict[str, int] = {}
        now = START
        sessions: dict[tuple[str, str, str], tuple[str, int, str]] = {}
        ends: dict[str, int] = {}
        lost = 0
        for number, (kind, ip, host, format_, pid, wait) in enumerate(steps):
            now += wait
            process = f"imapd[{pid}]"
            said: Batch | None = None
            if kind == "login":
                said = batch(login(ip, f"s{number}", now, format=format_, process=process, host=host))
                sessions[format_, host, f"s{number}"] = (ip, now, process)
                ends[ip] = max(ends.get(ip, 0), now + GRACE)
            elif kind == "logout" and sessions:
                of = list(sessions)[number % len(sessions)]
                ip, _, process = sessions.pop(of)
                said = batch(Say("logout", ip, of[2], now, of[0], process, of[1]))
                ends[ip] = max(ends.get(ip, 0), now + GRACE)
            elif kind in ("restart", "killed"):
                said = word(kind, now, process=process, format_=format_, host=host)
                gone = [
                    key
                    for key, (_, _, by) in sessions.items()
                    if key[:2] == (format_, host) and (kind == "restart" or by == process)
                ]
                lost += len(gone)
                for key in gone:
                    del sessions[key]
            delta = Delta() if said is None else ledger.observe(said, now)
            publish(table, delta)
            if one_by_one or number == len(steps) - 1:
                publish(table, ledger.expire(now))
                held = {ip for ip, _, _ in sessions.values()}
                assert set(table) == {ip for ip, end in ends.items() if end > now or ip in held}
                assert {ip: end for ip, end in table.items() if ip not in held} == {
                    ip: ends[ip] for ip in table if ip not in held
                }
                check(ledger, table, now)
            assert {(key[1], key[0], key[3]) for key, _ in ledger.sessions.items()} == set(sessions)
            assert ledger.counters["session_lost"] == lost
        share(lost)

    run()


class Site:
    """A server whose clients log in once in a while, in a ledger that says what it stops to count."""

    def __init__(self, *, format_: str = "dovecot") -> None:
        self.ledger = new_ledger()
        self.said: list[tuple[str, str]] = []
        self.ledger.sessions.on_unrecognised = lambda *server: self.said.append(server)
        self.now = START
        self._number = 0
        self._format = format_

    def login(self, host: str = "mx") -> str:
        self._number += 1
        ip, session = f"198.51.100.{self._number % 250}", f"s{self._number}"
        self.ledger.observe(batch(login(ip, session, self.now, host=host, format=self._format)), self.now)
        return session

    def logout(self, session: str, host: str = "mx") -> None:
        self.ledger.observe(batch(Say("logout", "", session, self.now, self._format, host=host)), self.now)

    def wait(self, seconds: int) -> None:
        for _ in range(0, seconds, 30):
            self.now += min(30, seconds)
            self.ledger.expire(self.now)


def test_a_server_whose_sessions_never_end_is_not_counted_any_more() -> None:
    site = Site()
    for _ in range(WATCHED):
        site.login()
    site.wait(EARLY - 30)
    assert not site.said
    site.wait(120)
    assert site.said == [("dovecot", "mx")]
    assert site.ledger.counters["session_uncounted"] == WATCHED
    # Logins and their graces are over: no row is left, and the next login has its grace only.
    assert (len(site.ledger.sessions), len(site.ledger)) == (0, 0)
    site.login()
    assert len(site.ledger.sessions) == 0
    site.login(host="other")
    assert len(site.ledger.sessions) == 1
    site.wait(GRACE)
    assert len(site.ledger) == 1
    assert len(site.said) == 1


def test_one_end_that_is_recognised_keeps_the_counting_until_most_are_not() -> None:
    """The sessions of an office's clients may last for a morning; half of `max_session` they do not last."""
    site = Site()
    for _ in range(WATCHED):
        session = site.login()
    site.logout(session)
    site.wait(LATE - 30)
    assert not site.said
    assert len(site.ledger.sessions) == WATCHED - 1
    site.wait(120)
    assert site.said == [("dovecot", "mx")]


@pytest.mark.parametrize("ended", [WATCHED // 2, WATCHED])
def test_a_server_whose_sessions_end_stays_counted(ended: int) -> None:
    site = Site()
    for _ in range(5):
        sessions = [site.login() for _ in range(WATCHED)]
        for session in sessions[:ended]:
            site.logout(session)
        site.wait(LATE + 120)
    assert not site.said
    site.login()
    assert len(site.ledger.sessions) >= 1


def test_few_logins_prove_nothing() -> None:
    site = Site()
    for _ in range(WATCHED - 1):
        site.login()
    site.wait(LONGEST)
    assert not site.said
    site.login()
    site.wait(EARLY + 60)
    assert site.said


def test_a_start_begins_the_counting_anew() -> None:
    site = Site()
    for _ in range(WATCHED):
        site.login()
    site.ledger.observe(word("restart", site.now), site.now)
    site.wait(LATE + 120)
    assert not site.said, "sessions that a start ended say nothing of logouts"
    for _ in range(WATCHED):
        site.login()
    site.wait(EARLY + 120)
    assert site.said
    site.ledger.observe(word("restart", site.now), site.now)
    site.login()
    assert len(site.ledger.sessions) == 1


def test_the_sessions_after_a_start_are_watched_from_the_first() -> None:
    site = Site()
    for _ in range(WATCHED):
        site.login()
    site.ledger.observe(word("restart", site.now), site.now)
    for _ in range(WATCHED):
        site.login()
    site.wait(EARLY + 120)
    assert site.said == [("dovecot", "mx")]


@pytest.mark.parametrize("how", ["killed", "aborted", "revoked"])
def test_sessions_that_end_otherwise_say_nothing_of_logouts(how: str) -> None:
    site = Site()
    for _ in range(WATCHED):
        session = site.login()
        if how == "revoked":
            site.ledger.revoke(list(site.ledger.rows()))
        else:
            site.ledger.observe(word(how, site.now, session=session), site.now)
    assert len(site.ledger.sessions) == 0
    site.wait(LATE + 120)
    assert not site.said


def test_a_replay_judges_when_it_has_seen_all() -> None:
    now = START + LONGEST - 1
    logins = [login(f"198.51.100.{n}", f"s{n}", START + n) for n in range(WATCHED)]
    logouts = [Say("logout", "", f"s{n}", START + n + 20) for n in range(WATCHED)]
    for ends, rows in ((True, 0), (False, 0)):
        ledger = new_ledger(replaying=True)
        said: list[tuple[str, str]] = []
        ledger.sessions.on_unrecognised = lambda *server, said=said: said.append(server)  # type: ignore[misc]
        ledger.observe(batch(*logins), now, ahead="reject")
        ledger.expire(now)
        assert not said
        if ends:
            ledger.observe(batch(*logouts), now, ahead="reject")
        ledger.finish_replay(now)
        assert (said, len(ledger)) == ([] if ends else [("dovecot", "mx")], rows)


def test_what_is_not_counted_is_so_after_a_restart_of_ours() -> None:
    site = Site()
    for _ in range(WATCHED):
        site.login()
    site.wait(EARLY + 120)
    ledger = new_ledger()
    ledger.restore(site.ledger.state(), site.now)
    ledger.observe(batch(login(IPS[0], "a", site.now)), site.now)
    assert len(ledger.sessions) == 0


@pytest.mark.system
def test_memory_of_words_is_bounded() -> None:
    ledger = Ledger(GRACE, sessions=OpenSessions(LONGEST, ENDS))
    ledger.finish_replay(START)
    for n in range(70_000):
        ledger.observe(word("aborted", START, user=f"u{n}"), START)
    for n in range(5_000):
        ledger.observe(word("restart", START, host=f"h{n}"), START)
        ledger.observe(batch(login(IPS[0], "a", START, host=f"h{n}")), START)
    sessions = ledger.sessions
    assert len(sessions._errors) == 65_536
    assert len(sessions._starts) == len(sessions._recognition._watched) == 4_096
    ledger.revoke([IPS[0]])
    assert not sessions._named
