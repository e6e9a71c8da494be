"""Sessions over several lines, repeated messages and unfolded rows, by example, on both backends (docs/MATCHING.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.inline import AUTUMN, FORMATS, REFERENCE, UTC
from backends.running import DEFAULT, line_starts, run
from pbs_fast.events import Event
from pbs_fast.matching.backends import Backend

AT = REFERENCE - 3600
"""07:00:00 in a zone one hour east of UTC."""
IP = "192.0.2.7"


def line(message: str, second: int = 0, *, host: str = "mx", tag: str = "deltad[12]") -> str:
    """One line, `second` seconds after AT."""
    minute, second = divmod(second, 60)
    return f"Mar  4 {7 + minute // 60:02}:{minute % 60:02}:{second:02} {host} {tag}: {message}"


def events(core: Backend, *lines: str) -> list[Event]:
    """What comes of the lines, whole and cut after every line, which must be the same."""
    data = "".join(text + "\n" for text in lines).encode()
    whole, pieces = run(core, data), run(core, data, cuts=line_starts(data))
    assert whole.events == pieces.events
    assert whole.counters == pieces.counters
    return whole.events


def told(core: Backend, *lines: str) -> list[str | None]:
    """Kind and address of each event, reason of each missed line."""
    return [event.reason or f"{event.kind} {event.ip}" for event in events(core, *lines)]


def test_a_login_of_three_lines(core: Backend) -> None:
    lines = [
        line(f"from {IP}, to {IP}, TLS"),
        line("hello lena <s1>", 2),
        line("gone", 9),
    ]
    login, logout = events(core, *lines)
    at = [0, len(lines[0]) + 1, len(lines[0]) + len(lines[1]) + 2]
    assert login == Event(at[1], "login", IP, AT + 2, "delta", "lena", "mx", "s1", True, True, None)
    assert logout == Event(at[2], "logout", IP, AT + 9, "delta", "lena", "mx", "s1", True, True, None)
    counters = run(core, "\n".join(lines).encode()).counters
    assert (counters["login"], counters["logout"], counters["other"]) == (1, 1, 1)


@pytest.mark.parametrize(
    ("address", "success", "tag", "tls"),
    [
        (", TLS", " x", "deltad", True),
        ("", " x", "deltad", False),
        (", TLS", ", x", "deltad", False),
        ("", ", x, TLS", "deltad", True),
        ("", " x", "y/deltas", True),
        ("", ", x", "y/deltas", True),
    ],
)
def test_tls_is_that_of_the_success_and_else_of_the_address(
    core: Backend, address: str, success: str, tag: str, tls: bool
) -> None:
    tag += "[1]"
    lines = [line(f"from {IP}{address}", tag=tag), line(f"hello{success}", tag=tag), line("gone", tag=tag)]
    assert [event.tls for event in events(core, *lines)] == [tls, tls]


@pytest.mark.parametrize(
    ("lines", "want"),
    [
        # Two success lines a login; a session that ends twice.
        (("from", "hello", "hello", "gone", "gone"), ["login", "logout"]),
        (("hello",), ["no-session"]),
        (("gone", "no x", "from"), []),
        (("from", "no x", "hello"), ["no-session"]),
        (("from", "gone", "hello"), ["no-session"]),
        (("from", "hello", "no x", "gone"), ["login"]),
        (("from", "hello", "gone", "hello"), ["login", "logout", "no-session"]),
        # The pid comes again.
        (("from", "hello", "from", "gone"), ["login"]),
        (("from", "hello", "from", "hello", "gone"), ["login", "login", "logout"]),
        # An address that is none ends what was known under the pid.
        (("from", "from 1.2.3", "hello"), ["no-session"]),
        (("from", "hello", "from 1.2.3", "gone"), ["login"]),
        # The server's success text, but no pattern.
        (("from", "hello  x"), ["no-pattern"]),
    ],
)
def test_what_comes_of_steps(core: Backend, lines: tuple[str, ...], want: list[str]) -> None:
    full = [text + {"from": f" {IP}", "hello": " lena"}.get(text, "") for text in lines]
    assert told(core, *map(line, full)) == [one if "-" in one else f"{one} {IP}" for one in want]


def test_sessions_are_told_apart(core: Backend) -> None:
    """By host, tag, pid and format, whatever the order of the lines."""
    lines = [
        line("from 192.0.2.1"),
        line("from 192.0.2.2", tag="deltad[13]"),
        line("from 192.0.2.3", host="other"),
        line("from 192.0.2.4", tag="imapd[12]"),
        line("from 192.0.2.5", tag="deltad[012]"),
        line("from 192.0.2.6", tag="deltad"),
        line("hello a", host="other"),
        line("hello a", tag="deltad[012]"),
        line("hello a", tag="deltad"),
        line("hello a", tag="imapd[12]"),
        line("hello a"),
        line("gone", tag="imapd[12]"),
        line("hello a", tag="deltad[13]"),
        line("gone", host="third"),
    ]
    assert told(core, *lines) == [
        "login 192.0.2.3",
        "login 192.0.2.5",
        "no-session",
        "login 192.0.2.4",
        "login 192.0.2.1",
        "logout 192.0.2.4",
        "login 192.0.2.2",
    ]
    twice = tuple(replace(fmt, name=fmt.name + number) for number in "12" for fmt in FORMATS if fmt.name == "delta")
    other = replace(twice[1], session_address=(), session_success=("hello twice",))
    data = (line(f"from {IP}") + "\n" + line("hello twice")).encode()
    assert [e.format for e in run(core, data, replace(DEFAULT, formats=(twice[0], other))).events] == ["delta1"]
    outcome = run(core, data, replace(DEFAULT, formats=(other, twice[0])))
    assert [(e.format, e.reason) for e in outcome.events] == [("delta2", "no-session")]


@pytest.mark.parametrize(
    ("second", "want"), [(-301, "no-session"), (-300, "login"), (0, "login"), (600, "login"), (601, "no-session")]
)
def test_a_success_comes_in_time(core: Backend, second: int, want: str) -> None:
    lines = [line(f"from {IP}", 1000), line("hello a", 1000 + second)]
    assert told(core, *lines) == [want if want == "no-session" else f"login {IP}"]
    # One that was too late changes nothing.
    assert told(core, *lines, line("hello a", 1000))[-1:] == [f"login {IP}"]
    assert told(core, line(f"from {IP}"), line("hello a"), line("hello a", 3600), line("gone", 7200)) == [
        f"login {IP}",
        f"logout {IP}",
    ]


def test_steps_with_unreadable_stamps(core: Backend) -> None:
    def bad(message: str) -> str:
        return line(message).replace("07:00", "27:00")

    first, hello, gone = line(f"from {IP}"), line("hello a"), line("gone")
    assert told(core, bad(f"from {IP}"), hello) == ["no-session"]
    assert told(core, first, bad(f"from {IP}"), hello) == ["no-session"]
    assert told(core, first, bad("hello a"), hello) == ["bad-stamp", f"login {IP}"]
    assert told(core, bad("hello a")) == ["bad-stamp"]
    assert told(core, first, hello, bad("gone"), gone) == [f"login {IP}", "bad-stamp"]
    assert told(core, first, bad("gone"), hello) == ["no-session"]
    assert told(core, first, bad("no a"), hello) == ["no-session"]


def test_steps_in_cut_records_are_none(core: Backend) -> None:
    """`imapd` is also a tag of the format that cuts at 60 bytes."""

    def cut(message: str) -> str:
        return line(message.ljust(60, "x"), tag="imapd[1]")

    def short(message: str) -> str:
        return line(message, tag="imapd[1]")

    address = f"from {IP}"
    assert told(core, short(address), cut("hello a"), short("x"), short("hello a")) == ["cut-record", f"login {IP}"]
    assert told(core, cut("x"), short(address), short("hello a")) == ["no-session"]
    assert told(core, short(address), cut("x"), short("hello a")) == ["continuation"]
    assert told(core, short(address), cut("gone"), short("x"), short("hello a")) == [f"login {IP}"]
    assert told(core, short(address), cut("x"), short("no a"), short("hello a")) == [f"login {IP}"]
    assert told(core, short(address), cut("x"), short("gone"), short("hello a"), cut("x"), short("gone")) == [
        f"login {IP}"
    ]


def test_a_login_of_steps_is_a_login_to_session_ids(core: Backend) -> None:
    lines = [line(f"from {IP}"), line("hello a <s>"), line("out <s>", tag="deltad"), line("out <s>"), line("gone")]
    assert told(core, *lines) == [f"login {IP}", f"logout {IP}", "logout None", f"logout {IP}"]


@pytest.mark.system
def test_only_the_newest_sessions_of_steps_are_remembered(core: Backend) -> None:
    limit = 131_072
    first = [line(f"from {IP}", tag=f"deltad[{pid}]") for pid in range(limit)]
    # 0 logs in, which makes it no newer; 1 begins again, which does; one more pushes 0 out, the next one 2.
    more = [
        line("hello a", tag="deltad[0]"),
        *(line("from ::1", tag=f"deltad[{pid}]") for pid in (1, limit, limit + 1)),
    ]
    last = [line("gone", tag="deltad[0]"), *(line("hello a", tag=f"deltad[{pid}]") for pid in (1, 2, 3, limit + 1))]
    data = "\n".join((*first, *more, *last)).encode()
    found = [event.reason or f"{event.kind} {event.ip}" for event in run(core, data).events]
    assert found == [f"login {IP}", "login ::1", "no-session", f"login {IP}", "login ::1"]


@pytest.mark.parametrize(("pid", "remembered"), [("1" * 502, True), ("1" * 503, False), ("1" * 9_000, False)])
def test_a_process_with_a_long_name_is_not_remembered(core: Backend, pid: str, remembered: bool) -> None:
    """Host, tag and pid with a blank between: `mx deltad` and a pid of 502 digits are 512 bytes."""
    lines = [line(f"from {IP}", tag=f"deltad[{pid}]"), line("hello a", tag=f"deltad[{pid}]")]
    assert told(core, *lines) == ([f"login {IP}"] if remembered else ["no-session"])


@pytest.mark.parametrize(("user", "remembered"), [("u" * 512, True), ("u" * 513, False), ("ä" * 257, False)])
def test_a_login_with_long_names_is_made_and_forgotten(core: Backend, user: str, remembered: bool) -> None:
    lines = [line(f"from {IP}"), line(f"hello {user}"), line("hello again"), line("gone")]
    assert told(core, *lines) == [f"login {IP}", *([f"logout {IP}"] if remembered else ["no-session"])]


def test_steps_in_the_ambiguous_hour(core: Backend) -> None:
    """Each step is the event before for the next, whatever comes of it."""
    zone = ((-(1 << 40), 7200), (AUTUMN, 3600))

    def at(time: str, message: str) -> str:
        return f"Oct 25 {time} mx deltad[1]: {message}\n"

    log = at("02:50:00", "no x") + at("02:10:00", f"from {IP}") + at("02:10:30", "hello a") + at("02:20:00", "gone")
    setting = replace(DEFAULT, zone=zone, reference=AUTUMN + 86_400)
    for cuts in ([], line_starts(log.encode())):
        outcome = run(core, log.encode(), setting, cuts)
        assert [e.timestamp for e in outcome.events] == [AUTUMN + 630, AUTUMN + 1200]


@pytest.mark.parametrize(
    ("message", "want"),
    [
        ("message repeated 2 times: [ {}]", "login"),
        ("message repeated 02 times: [{}]", "login"),
        ("[ID 1 a.b] message repeated 2 times: [ {}]", "login"),
        ("message repeated 2 times: [  {}]", None),
        ("message repeated 2 times: [ {}", "no-pattern"),
        ("message repeated 2 times: [ {}] ", "no-pattern"),
        ("message repeated times: [ {}]", "no-pattern"),
        ("Message repeated 2 times: [ {}]", "no-pattern"),
        ("message repeated 2 times: [ [ID 1 a.b] {}]", "no-pattern"),
        ("message repeated 2 times: [ message repeated 2 times: [ {}]]", "no-pattern"),
        ("message repeated 2 times: []{}", "no-pattern"),
        ("message repeated 2 times: []", None),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_repeated_message_is_itself(core: Backend, message: str, want: str | None, end: str) -> None:
    login = f"Login user=lena host=[{IP}]"
    want = "no-pattern" if want is None and "{}" in message else want
    log = (line(message.format(login), tag="betad") + end).encode()
    assert [event.reason or event.kind for event in run(core, log).events] == ([want] if want else [])


def test_what_is_cut_is_the_repeated_message(core: Backend) -> None:
    login = f"LOGIN, user={{}}, ip=[{IP}]"
    short = login.format("x" * (59 - len(login) + 2))
    assert len(short) == 59
    for message, want in ((short, ["login"]), (short.replace("x", "xx", 1), ["cut-record"])):
        log = line(f"message repeated 3 times: [ {message}]", tag="alphad").encode()
        assert [event.reason or event.kind for event in run(core, log).events] == want


def test_no_repeated_messages_in_an_own_layout(core: Backend) -> None:
    login = f"in: Login: user=<u>, rip={IP}, lip=::1"
    log = f"Mar  4 07:00:00 message repeated 2 times: [ {login}]\n".encode()
    assert [event.reason for event in run(core, log, replace(DEFAULT, layout="gamma")).events] == ["no-pattern"]
    # Nobody's: there is no tag.
    assert run(core, b"Mar  4 07:00:00 mx last message repeated 2 times\n").events == []


def test_unfolded_rows_name_their_process(core: Backend) -> None:
    login = f"in: Login: user=<u>, rip={IP}, lip=::1"
    timestamp = "2026-03-04T07:00:00"
    lines = [
        line(login, tag="gamma"),
        line(login, tag="gamma[007]"),
        f"{timestamp} mx [gamma] ",
        f"<22>1 {timestamp} mx gamma 12 - - {login}",
        f"<22>1 {timestamp} mx gamma 1x - - {login}",
        f"<22>1 {timestamp} mx gamma - - - {login}",
        line(f"LOGIN, user=u, ip=[{IP}]", tag="\xff/alphas[1]"),
        f"Mar  4 07:00:00 [gamma] {login}",
        f"Mar  4 07:00:00 gamma[3]: {login}",
        line("in: bye", tag="gamma"),
        line("in: bye", tag="gamma[5]"),
        line("in: bye <s>", tag="gamma"),
        line(f"from {IP}"),
        line("hello u"),
        line("gone"),
    ]
    data = b"".join(text.encode("latin-1") + b"\n" for text in lines)
    outcome = run(core, data, replace(DEFAULT, fold=False))
    (batch,) = outcome.batches
    assert batch["process"] == [
        "gamma", "gamma[007]", "gamma[12]", "gamma", "gamma", "\ufffd/alphas[1]", "gamma", "gamma[3]", "gamma[5]",
        "gamma", "deltad[12]", "deltad[12]",
    ]  # fmt: skip
    assert batch["ip"] == [IP] * 8 + ["", "", IP, IP]
    assert outcome.counters["logout_no_address"] == 3
    folded = run(core, data)
    assert set(folded.batches[0]["process"]) == {""}
    assert "" not in folded.batches[0]["ip"]
    own = run(
        core, f"{timestamp} {login}\n{timestamp} in: bye\n".encode(), replace(DEFAULT, fold=False, layout="gamma")
    )
    assert (own.batches[0]["process"], own.batches[0]["ip"]) == ([""], [IP])


def test_a_success_pattern_needs_nothing_else(core: Backend) -> None:
    """Neither failure nor end need be known, and each pattern of a step is one."""
    fmt = replace(FORMATS[2], session_end=(), session_failure=())
    data = (line(f"from {IP}") + "\n" + line("hello, lena") + "\n" + line("gone")).encode()
    outcome = run(core, data, replace(DEFAULT, formats=(fmt,), zone=UTC))
    assert [(e.kind, e.user, e.timestamp) for e in outcome.events] == [("login", "lena", REFERENCE)]
