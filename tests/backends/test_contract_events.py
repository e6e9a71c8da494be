"""Rules of docs/MATCHING.md by example, on both backends: which message is which event. Written from the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from backends.inline import AT, FORMATS, IP, LOGIN, REFERENCE, TIMESTAMP, ZONE
from backends.running import DEFAULT, events, run, told
from pbs_fast.events import Event
from pbs_fast.formats import Format
from pbs_fast.matching.backends import Backend
from support.timing import growth

# 4. Events


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("0.0.0.0", "0.0.0.0"),  # noqa: S104
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:0db8:0:0:0:0:0:0001", "2001:db8::1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:0:0:2:2:0:0:3", "1::2:2:0:0:3"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("1::2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
        ("::", "::"),
        ("::1", "::1"),
        ("::1:0", "::0.1.0.0"),
        ("::1.2.3.4", "::1.2.3.4"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("0:0:0:0:0:ffff:0:0", "0.0.0.0"),  # noqa: S104
        ("64:ff9b::192.0.2.7", "64:ff9b::c000:207"),
        ("::fffe:1.2.3.4", "::fffe:102:304"),
        *[
            (bad, None)
            for bad in (
                "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.", ".1.2.3.4", "1..2.3", "10", ":", ":::",
                "1::2::3",
                "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4::5:6:7:8", "12345::", "::1.2.3", "::01.2.3.4",
                "1.2.3.4::",
                "1:2:3:4:5:6:7:1.2.3.4", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "::1.2.3.4:5", "f" * 46,
            )
        ],
    ],
)  # fmt: skip
def test_addresses(core: Backend, text: str, canonical: str | None) -> None:
    [event] = events(core, f"{TIMESTAMP} mx betad: Login user=u host=[{text}]")
    assert (event.ip, event.reason) == (canonical, None if canonical else "bad-address")
    [event] = events(core, f"{TIMESTAMP} mx gamma: in: Login: user=<u>, rip=192.0.2.7, lip={text}")
    assert (event.ip, event.loop) == ("192.0.2.7", canonical == "192.0.2.7")


def test_fields(core: Backend) -> None:
    head = f"{TIMESTAMP} mx gamma: in: Login: user=<u>, rip=192.0.2.7, lip=192.0.2.9"
    base = Event(0, "login", "192.0.2.7", AT, "gamma", "u", "mx", None, False, False, None)
    assert events(core, head) == [base]
    assert events(core, head + ", TLS") == [base._replace(tls=True)]
    assert events(core, head + ", TLS, session=<a+/>") == [base._replace(tls=True, session="a+/")]
    assert events(core, head + ", session=<>") == [base]
    assert events(core, head.replace("<u>", "<>")) == [base._replace(user="")]
    assert events(core, f"{TIMESTAMP} mx gamma: in: Login: rip=192.0.2.7") == [base._replace(user=None, tls=None)]
    hostile = (
        head.encode().replace(b"<u>", b"<\xff\xc3\xed\xa0\x80\xf0\x9f\x98\0\x85>").replace(b" mx ", b" m\x80\xe2\x82x ")
    )
    assert events(core, hostile) == [base._replace(user="\ufffd" * 6 + "\0\ufffd", host="m\ufffd\ufffdx")]


def test_optional_address(core: Backend) -> None:
    assert told(
        core,
        f"{TIMESTAMP} mx gamma: in: bye",
        f"{TIMESTAMP} mx gamma: in: bye 1.2.3",
        f"{TIMESTAMP} mx gamma: in: bye ::1",
    ) == [
        None,
        "bad-address",
        "::1",
    ]
    optional = Format("o", "", "", ("o",), (), (), (rf"x(?: {IP})?",), ())
    assert told(core, f"{TIMESTAMP} o: x", f"{TIMESTAMP} o: x ::1", setting=replace(DEFAULT, formats=(optional,))) == [
        "bad-address",
        "::1",
    ]


def test_missed_lines(core: Backend) -> None:
    expected = Event(0, "missed", None, None, "alpha", None, "mx", None, None, False, "no-pattern")
    assert events(core, f"{TIMESTAMP} mx imapd: x LOGIN, user=y") == [expected]
    assert events(core, f"{TIMESTAMP} mx imapd: x Login user=y") == [expected._replace(format="beta")]
    assert events(core, f"{TIMESTAMP} mx betad: x LOGIN, user=y") == [expected._replace(format="beta")]
    assert events(core, f"{TIMESTAMP} mx alphad: LOGIN FAILED", f"{TIMESTAMP} LOGIN, user= alphad: x") == []
    # The success text must stand in the message, not in what is dropped before it.
    assert events(core, "<22>1 2026-03-04T07:12:09 mx gamma LOGIN Login: [Login: ] x") == []
    bad = f"{TIMESTAMP} mx alphad: LOGIN, user=u, ip=[1.2.3]"
    assert events(core, bad) == [expected._replace(reason="bad-address")]
    assert events(core, bad.replace(TIMESTAMP, "Feb 30 00:00:00")) == [expected._replace(reason="bad-address")]
    late = f"Feb 30 00:00:00 mx alphad: {LOGIN}"
    assert events(core, late) == [expected._replace(reason="bad-stamp")]
    assert events(core, late + "x") == [expected]
    assert events(core, f"<22>1 - mx alphad - - - {LOGIN}") == [expected._replace(reason="bad-stamp")]


def test_cut_records(core: Backend) -> None:
    def record(message: str, host: str = "mx", tag: str = "alphad") -> str:
        return f"{TIMESTAMP} {host} {tag}: {message}"

    def failed(length: int) -> str:
        return "LOGIN FAILED, user=".ljust(length, "x")

    long_login = "LOGIN, user=".ljust(40, "x") + ", ip=[192.0.2.77]"
    assert len(long_login) < 60
    for lines, outcome in [
        ([failed(60), LOGIN], ["continuation"]),
        ([failed(59), LOGIN], ["192.0.2.7"]),
        ([failed(60), LOGIN, LOGIN], ["continuation", "192.0.2.7"]),
        ([failed(60), "x", LOGIN], ["192.0.2.7"]),
        ([failed(60), failed(60), LOGIN], ["continuation"]),
        ([failed(60), LOGIN.replace("lena", "x" * 60), LOGIN], ["cut-record", "continuation"]),
        ([LOGIN.replace("lena", "x" * 60)], ["cut-record"]),
        ([LOGIN.replace("lena", "x" * 60).replace(".7", ".x")], []),
        ([failed(60), LOGIN.replace("192", "992")], ["continuation"]),
        ([failed(60), LOGIN + "x"], []),
        ([LOGIN + "x"], ["no-pattern"]),
        ([failed(60), LOGIN + "x", LOGIN + "x"], ["no-pattern"]),
        ([failed(60), "LOGOUT, user=u, ip=[192.0.2.7], x"], ["continuation"]),
        ([failed(16_384), LOGIN], ["continuation"]),
        ([failed(100_000), LOGIN, LOGIN], ["continuation", "192.0.2.7"]),
        ([failed(16_000), LOGIN], ["continuation"]),
        ([long_login], ["192.0.2.77"]),
    ]:
        assert told(core, *map(record, lines)) == outcome, lines
        # Others in between do not matter, nor where the pieces are cut.
        data = "".join(
            record(x) + "\n" + record(LOGIN, host="other") + "\n" + record(LOGIN, tag="imapd") + "\nz\n" for x in lines
        )
        whole = run(core, data.encode())
        cuts = [i + 1 for i, c in enumerate(data) if c == "\n"]
        pieces = run(core, data.encode(), cuts=cuts[:-1])
        assert whole.events == pieces.events
        assert whole.counters == pieces.counters
        mine = [e for e in whole.events if e.host == "mx" and data[e.offset :].startswith(record(""))]
        assert [e.reason or e.ip for e in mine] == outcome, lines
        assert sum(e.host == "other" and e.ip == "192.0.2.7" for e in whole.events) == len(lines)

    # The least length of the tag's formats counts, also for the other format; without one that of any writer.
    beta = "Login user=lena host=[192.0.2.7]"
    assert told(core, record(failed(60), tag="imapd"), record(beta, tag="imapd")) == ["continuation"]
    assert told(core, record(failed(699), tag="betad"), record(beta, tag="betad")) == ["192.0.2.7"]
    assert told(core, record(failed(700), tag="betad"), record(beta, tag="betad")) == ["continuation"]
    assert told(core, record(beta.replace("lena", "x" * 700), tag="betad")) == ["cut-record"]
    for lengths in ((60, 70), (70, 60)):
        both = tuple(replace(fmt, cut=n) for fmt, n in zip(FORMATS[:2], lengths, strict=True))
        lines = [record(failed(length), tag="imapd") + "\n" + record(beta, tag="imapd") for length in (60, 59)]
        assert told(core, *lines, setting=replace(DEFAULT, formats=both)) == ["continuation", "192.0.2.7"]
    # From `cut` on a message may have lost its end, from `cut_rest` on what follows may be its rest.
    lenient = replace(DEFAULT, formats=(replace(FORMATS[0], cut_rest=80), *FORMATS[1:]))
    logout = "LOGOUT, user=u, ip=[192.0.2.7]"
    for lines, outcome in [
        ([failed(79), LOGIN], ["192.0.2.7"]),
        ([failed(80), LOGIN], ["continuation"]),
        ([LOGIN.replace("lena", "x" * 40), LOGIN], ["cut-record", "192.0.2.7"]),
        ([logout.replace("u,", "u" * 40 + ","), LOGIN], ["192.0.2.7", "192.0.2.7"]),
        ([logout.replace("u,", "u" * 60 + ","), LOGIN], ["cut-record", "continuation"]),
        ([failed(80), logout.replace("u,", "u" * 40 + ","), LOGIN], ["continuation", "192.0.2.7"]),
        ([failed(80), logout.replace("u,", "u" * 60 + ","), LOGIN], ["cut-record", "continuation"]),
        ([failed(100_000), logout.replace("u,", "u" * 40 + ",")], ["continuation"]),
    ]:
        data = "".join(record(line) + "\n" for line in lines)
        for cuts in ([], [i + 1 for i, c in enumerate(data) if c == "\n"][:-1]):
            found = run(core, data.encode(), lenient, cuts=cuts).events
            assert [e.reason or e.ip for e in found] == outcome, (lines, cuts)
    # The dropped Solaris text is no part of the message; the tag counts without its pid.
    assert told(core, record("[ID 1 a.b] " + failed(59)), record(LOGIN)) == ["192.0.2.7"]
    assert told(core, record(failed(60), tag="alphad[1]"), record(LOGIN, tag="alphad[2]")) == ["continuation"]
    assert told(core, record(failed(60), tag="a/alphas"), record(LOGIN, tag="b/alphas")) == ["192.0.2.7"]
    # A timestamp that cannot be read does not make a record less of one.
    assert told(core, record(failed(60)), record("x").replace(TIMESTAMP, "Feb 30 00:00:00"), record(LOGIN)) == [
        "192.0.2.7"
    ]


def test_records_that_repeat_a_prefix(core: Backend) -> None:
    """The next record of host and tag is a continuation, and the next that starts with what the writer repeats."""
    ip, other = "192.0.2.7", "to: x"

    def record(message: str, tag: str = "gamma") -> str:
        return f"{TIMESTAMP} mx {tag}: {message}"

    def part(length: int, prefix: str = "in: ") -> str:
        return prefix.ljust(length, "x")

    login, long_login = f"in: Login: rip={ip}", f"in: Login: user=<{'x' * 60}>, rip={ip}, lip=::1"
    assert len(long_login) >= 100
    for messages, outcome in [
        ([part(99), login], [ip]),
        ([part(100), login, login], ["continuation", ip]),
        ([part(100), other, login, login], ["continuation", ip]),
        ([part(100), other, other, other, login], ["continuation"]),
        ([part(100), part(100), login, login], ["continuation", ip]),
        ([part(100, "to: "), other, login], [ip]),
        ([part(100, "to: "), login, login], ["continuation", ip]),
        # Without what is repeated, and in other letters, it is no part below 700 bytes.
        ([part(699, "IN: "), login], [ip]),
        ([part(700, "IN: "), login, login], ["continuation", ip]),
        ([part(700), other, login], ["continuation"]),
        ([long_login], ["cut-record"]),
        ([part(20_000), other, login], ["continuation"]),
    ]:
        lines = [record(message) for message in messages]
        assert told(core, *lines) == outcome, messages
        data = "".join(f"{line}\nz\n" for line in lines).encode()
        starts = [i + 1 for i, byte in enumerate(data) if byte == 10]
        assert run(core, data, cuts=starts[:-1]).events == run(core, data).events
    # Another tag of the format is another writer.
    assert told(core, record(part(100)), record(login, "9gammas"), record(login)) == [ip, "continuation"]
    own = replace(DEFAULT, layout="gamma")
    lines = [f"{TIMESTAMP} {part(100)}", f"{TIMESTAMP} {other}", f"gamma: {TIMESTAMP} {login}", f"{TIMESTAMP} {login}"]
    assert told(core, *lines, setting=own) == ["continuation", ip]


def test_only_the_newest_cut_records_are_remembered(core: Backend) -> None:
    """4,096 of them: forged hosts cost no memory without end, nor a search."""
    hosts = [f"h{number}" for number in range(4_097)]
    data = "".join(f"{TIMESTAMP} {host} alphad: {'x' * 60}\n" for host in hosts)
    data += "".join(f"{TIMESTAMP} {host} alphad: {LOGIN}\n" for host in hosts)
    whole = run(core, data.encode())
    assert [e.host for e in whole.events if e.kind == "login"] == ["h0"]
    assert whole.counters["missed_continuation"] == 4_096
    middle = data.index(f"{TIMESTAMP} h2000")
    second = data.index(f"{TIMESTAMP} h99 alphad: LOGIN")
    assert run(core, data.encode(), cuts=[middle, second]).events == whole.events


@pytest.mark.system
def test_forged_hosts_cost_no_search(core: Backend) -> None:
    """Each host with a cut record and a login from one address: it was 7,000 lines a second in a list of 4,096."""

    def prepare(hosts: int) -> Callable[[], object]:
        data = "".join(f"{TIMESTAMP} h{host} alphad: {'x' * 60}\n" for host in range(hosts))
        data += "".join(f"{TIMESTAMP} h{host} alphad: {LOGIN}\n" for host in range(hosts))
        m = core.Matcher(FORMATS, ZONE)
        stream = core.Stream(m, source="s", gap=1)
        text = data.encode()

        def add() -> None:
            stream.add(m.scan(text, reference=REFERENCE))
            assert len(stream.take()) == max(hosts - 4_096, 0)

        return add

    prepare(5_000)()
    assert growth(prepare, 256, 16) < 32


def test_rows_of_one_address_at_many_hosts(core: Backend) -> None:
    """The same rows however many there are, also after a gap, and at their first offsets."""
    lines = [
        f"Mar  4 {hour:02}:00:00 h{host} alphad: {LOGIN.replace('lena', f'u{again}')}\n"
        for hour in (6, 7)
        for again in range(3)
        for host in range(20)
    ]
    (rows,) = run(core, "".join(lines).encode()).batches
    assert rows["host"] == [f"h{host}" for _ in (6, 7) for host in range(20)]
    assert set(rows["n"]) == {3}
    assert set(rows["users"]) == {3}
    starts = [len("".join(lines[:n]).encode()) for n in (*range(20), *range(60, 80))]
    assert rows["offset"] == starts


def test_cut_records_in_an_own_layout(core: Backend) -> None:
    formats = (replace(FORMATS[3], cut=60, cut_prefix=(), cut_whole=()),)
    setting = replace(DEFAULT, formats=formats, layout="gamma")
    assert told(core, f"{TIMESTAMP} {'x' * 60}", f"gamma: {TIMESTAMP} in: Login: rip=::1", setting=setting) == [
        "continuation"
    ]
    assert told(core, f"{TIMESTAMP} {'x' * 59}", f"gamma: {TIMESTAMP} in: Login: rip=::1", setting=setting) == ["::1"]
