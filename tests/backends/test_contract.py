"""Each rule of docs/MATCHING.md by example, on both backends. What is expected was written from the page, by hand."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from backends.inline import AUTUMN, FORMATS, IP, REFERENCE, SPRING, UTC, ZONE
from backends.running import DEFAULT, Setting, run
from pbs_fast.errors import FormatError
from pbs_fast.events import MAX_AHEAD, Event
from pbs_fast.formats import Format
from pbs_fast.matching.backends import Backend

TIMESTAMP = "Mar  4 07:12:09"
AT = REFERENCE - 3600 + 12 * 60 + 9
"""`TIMESTAMP` in a zone one hour east of UTC."""
LOGIN = "LOGIN, user=lena, ip=[192.0.2.7]"


def events(core: Backend, *lines: str | bytes, setting: Setting = DEFAULT) -> list[Event]:
    data = b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines)
    return run(core, data, setting).events


def told(core: Backend, *lines: str | bytes, setting: Setting = DEFAULT) -> list[str | None]:
    """Address of each event, reason of each missed line."""
    return [event.reason or event.ip for event in events(core, *lines, setting=setting)]


# 1. Lines


def test_line_ends(core: Backend) -> None:
    data = f"{TIMESTAMP} mx alphad: {LOGIN}".encode()
    for text, addresses, lines in [
        (data, ["192.0.2.7"], 1),
        (data + b"\n", ["192.0.2.7"], 1),
        (data + b"\r\n", ["192.0.2.7"], 1),
        (data + b"\r\r\n", ["no-pattern"], 1),
        (data + b"\r", ["no-pattern"], 1),
        (b"\n" + data, ["192.0.2.7"], 2),
        (b"\n\r\n\n" + data + b"\n\n" + data, ["192.0.2.7"] * 2, 6),
        (b"", [], 0),
        (b"\r", [], 1),
        (data.replace(b"[", b"\n["), ["no-pattern"], 2),
    ]:
        out = run(core, text)
        assert [e.reason or e.ip for e in out.events] == addresses, text
        assert out.counters["lines"] == lines, text


def test_offsets_are_of_the_source(core: Backend) -> None:
    line = f"{TIMESTAMP} mx alphad: {LOGIN}\n".encode()
    data = b"x\n" + line + b"\n" + line
    assert [e.offset for e in run(core, data).events] == [2, 3 + len(line)]
    m = core.Matcher(FORMATS, ZONE)
    scan = m.scan(data, start=2, stop=2 + len(line), offset=1000, reference=REFERENCE)
    assert [e.offset for e in core.Stream(m, source="s", gap=0).events(scan)] == [1000]
    scan = m.scan(data, start=2 + len(line), offset=7, reference=REFERENCE)
    assert [e.offset for e in core.Stream(m, source="s", gap=0).events(scan)] == [8]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("before", [b"", b"noise\n"])
def test_the_longest_line(core: Backend, end: bytes, over: int, before: bytes) -> None:
    head, tail = f"{TIMESTAMP} mx betad: Login user=".encode(), b" host=[192.0.2.7]"
    line = head + b"u" * (16_384 + over - len(head) - len(tail)) + tail
    out = run(core, before + line + end + b"x\n" * 3)
    if not end:
        out = run(core, before + line)
    assert out.counters["too_long"] == over
    # From 700 bytes on it may be a part of a record, whoever writes it.
    assert [e.reason for e in out.events] == ["cut-record"] * (1 - over)


def test_lines_of_a_megabyte(core: Backend) -> None:
    good = f"{TIMESTAMP} mx alphad: {LOGIN}".encode()
    long = good + b"x" * (1 << 20)
    out = run(core, b"\n".join([long, good, b"\r" * 20_000, b" " * 16_384, good]))
    assert out.counters == {
        **dict.fromkeys(out.counters, 0),
        "lines": 5,
        "too_long": 2,
        "login": 1,
        "missed_continuation": 1,
        "other": 1,
    }


# 2. Envelopes

ENVELOPES = [
    ("{bsd} mx alphad: ", "mx"),
    ("{bsd} mx alphad[77]: ", "mx"),
    ("{bsd} mx  alphad: ", "mx"),
    ("{bsd}  mx alphad: ", "mx"),
    ("{bsd} alphad: ", ""),
    ("{bsd} alphad[1]: ", ""),
    ("{bsd} [alphad] ", ""),
    ("{bsd} <mail.info> mx alphad: ", "mx"),
    ("{bsd} <mail.info> alphad: ", ""),
    ("{bsd} <mail.info> <mail.info> alphad: ", "<mail.info>"),
    ("{bsd} <mail.info>x alphad: ", "<mail.info>x"),
    ("{bsd} mx mail.info alphad: ", "mx"),
    ("{bsd} mail.info alphad: ", "mail.info"),
    ("{bsd} mail.info mail.info alphad: ", "mail.info"),
    ("{bsd} mx alphad: [ID 197553 mail.info] ", "mx"),
    ("{bsd} (none) alphad: ", "(none)"),
    ("{bsd} 2001:db8::5 alphad: ", "2001:db8::5"),
    ("{bsd} 1234567 alphad: ", "1234567"),
    ("{bsd} 10.1.2.3 mail.info alphad: ", "10.1.2.3"),
    ("{bsd} - alphad: ", "-"),
    ("{bsd} T0:x alphad: ", "T0:x"),
    ("{bsd} <<x alphad: ", "<<x"),
    ("{bsd} [a]b alphad: ", "[a]b"),
    ("{bsd} [a[b] alphad: ", "[a[b]"),
    ("<22>{bsd} mx alphad: ", "mx"),
    ("<022>{bsd} alphad: ", ""),
    ("Mar 4 07:12:09 mx alphad: ", "mx"),
    ("Mar 04 07:12:09.5 mx alphad: ", "mx"),
    ("Mar  4 2026 07:12:09,123456789 mx alphad: ", "mx"),
    ("2026-03-04T07:12:09 mx alphad: ", "mx"),
    ("2026-03-04 07:12:09 mx mail.info alphad: ", "mx"),
    ("2026-03-04T06:12:09Z mx alphad: ", "mx"),
    ("2026-03-04T07:12:09.123456+01:00 mx alphad[5]: ", "mx"),
    ("2026-03-04T02:12:09-0400 mx alphad: ", "mx"),
    ("<22>2026-03-04T07:12:09+0100 mx alphad: ", "mx"),
    ("<22>1 2026-03-04T07:12:09.123456+01:00 mx alphad 99 - - ", "mx"),
    ("<22>1 2026-03-04T07:12:09.123456+01:00 mx alphad - ID7 -  ", "mx"),
    ("<22>1 2026-03-04T07:12:09 mx alphad 99 - - \ufeff", "mx"),
    ("<22>1 2026-03-04T07:12:09 mx alphad 99 - - \ufeff ", "mx"),
    ('<22>1 2026-03-04T06:12:09Z mx alphad 9 - [meta sequenceId="5"] ', "mx"),
    ('<22>1 2026-03-04T06:12:09Z mx alphad 9 - [a x="\\]\\"\\\\"][b][] [ID 1 a.b] ', "mx"),
    ("<1>1 2026-03-04T07:12:09 - alphad - - - ", "-"),
    ("{bsd} relay Message forwarded from mx: alphad[7]: ", "mx"),
    ("{bsd} relay  mail.info Message forwarded from mx: alphad: ", "mx"),
    ("2026-03-04T07:12:09.5+01:00 relay Message forwarded from 2001:db8::5: alphad: ", "2001:db8::5"),
    ("{bsd} relay Message forwarded from ::: alphad: [ID 1 a.b] ", "::"),
    ("{bsd} <x> Message forwarded from mx: alphad: ", "mx"),
    ("{bsd} <mail.info> <x> mail.info Message forwarded from mx: alphad: ", "mx"),
    ("<22>{bsd} <mail.info> relay Message forwarded from [mx]: alphad: ", "[mx]"),
]
BROKEN = [
    "mx alphad: ",
    " {bsd} mx alphad: ",
    "{bsd}mx alphad: ",
    "{bsd} mx alphad:",
    "{bsd} mx alphad :",
    "{bsd} mx alphad[]: ",
    "{bsd} mx alphad[x]: ",
    "{bsd} mx alphad[1]:: ",
    "{bsd} mx [alphad] ",
    "{bsd} mx x alphad: ",
    "{bsd} mx: alphad: ",
    "{bsd} x[1]: alphad: ",
    "{bsd} x[y: alphad: ",
    "{bsd} [x] alphad: ",
    "{bsd} [x]  alphad: ",
    "{bsd} <mail.info>  alphad: ",
    "{bsd} <mail.info>  mx alphad: ",
    "{bsd} mx mail.info  alphad: ",
    "{bsd} mx Mail.info alphad: ",
    "{bsd} mx ALPHAD: ",
    "{bsd} mx alpha: ",
    "{bsd} mx alphadd: ",
    "{bsd} mx xalphad: ",
    "{bsd} mx x/alphad: ",
    "{bsd} mx alphad:  ",
    "{bsd} mx alphad: [ID 1 a.b]  ",
    "{bsd} mx alphad: [ID x a.b] ",
    "{bsd} mx alphad: [ID 1 a.b] [ID 1 a.b] ",
    "Mrz  4 07:12:09 mx alphad: ",
    "mar  4 07:12:09 mx alphad: ",
    "Mar   4 07:12:09 mx alphad: ",
    "Mar  4 7:12:09 mx alphad: ",
    "Mar  4 07:12:09. mx alphad: ",
    "Mar  4 07:12:09.1234567890 mx alphad: ",
    "Mar  4 07:12:09+01:00 mx alphad: ",
    "Mar  4 26 07:12:09 mx alphad: ",
    "2026-3-4T07:12:09 mx alphad: ",
    "2026-03-04t07:12:09 mx alphad: ",
    "2026-03-04T07:12 mx alphad: ",
    "2026-03-04T07:12:09+01 mx alphad: ",
    "2026-03-04T07:12:09z mx alphad: ",
    "<2222>{bsd} mx alphad: ",
    "<>{bsd} mx alphad: ",
    "<22> {bsd} mx alphad: ",
    "<22>1 {bsd} mx alphad 99 - - ",
    "<22>1 2026-03-04 07:12:09 mx alphad 99 - - ",
    "<22>2 2026-03-04T07:12:09 mx alphad 99 - - ",
    "1 2026-03-04T07:12:09 mx alphad 99 - - ",
    "<22>1 2026-03-04T07:12:09  mx alphad 99 - - ",
    "<22>1 2026-03-04T07:12:09 mx  alphad 99 - - ",
    "<22>1 2026-03-04T07:12:09 mx alphad 99 - ",
    "<22>1 2026-03-04T07:12:09 mx alphad 99 - -",
    "<22>1 2026-03-04T07:12:09 mx - 99 - - ",
    "<22>1 2026-03-04T07:12:09 mx alphad[9] 99 - - ",
    "<22>1 2026-03-04T07:12:09 mx alphad 99 - -   ",
    "<22>1 2026-03-04T07:12:09 mx alphad 99 - - \ufeff\ufeff",
    "<22>1 2026-03-04T07:12:09 mx alphad 99 - -  \ufeff",
    "<22>1 2026-03-04T07:12:09 mx alphad 99 - [x",
    '<22>1 2026-03-04T07:12:09 mx alphad 99 - [x y="] ',
    '<22>1 2026-03-04T07:12:09 mx alphad 99 - [x y="]"] ',
    '<22>1 2026-03-04T07:12:09 mx alphad 99 - [x y="\\"] ',
    "<22>1 2026-03-04T07:12:09 mx alphad 99 - [x]- ",
    "{bsd} Message forwarded from mx: alphad: ",
    "{bsd} relay Message forwarded from mx alphad: ",
    "{bsd} relay Message forwarded from : alphad: ",
    "{bsd} relay Message forwarded from mx:  alphad: ",
    "{bsd} relay Message forwarded from mx: [alphad] ",
    "{bsd} relay Message forwarded from mx: mail.info alphad: ",
    "{bsd} relay Message forwarded from mx: Message forwarded from mx: alphad: ",
    "{bsd} relay message forwarded from mx: alphad: ",
    "<22>1 2026-03-04T07:12:09 relay Message forwarded from mx: alphad 99 - - ",
]


@pytest.mark.parametrize(("head", "host"), ENVELOPES, ids=repr)
def test_envelope(core: Backend, head: str, host: str) -> None:
    line = head.format(bsd=TIMESTAMP) + LOGIN
    expected = Event(0, "login", "192.0.2.7", AT, "alpha", "lena", host, None, None, False, None)
    # First, in the middle, last; a line of a buffer is found in another way than one at its edge.
    assert events(core, line) == [expected]
    size = len(line.encode()) + 1
    assert events(core, line, line, line) == [expected._replace(offset=i * size) for i in range(3)]
    m = core.Matcher(FORMATS, ZONE)
    assert m.timestamp(line.encode(), reference=REFERENCE) == AT
    assert m.sniff(line.encode()) == "syslog"


@pytest.mark.parametrize("head", BROKEN, ids=repr)
def test_no_envelope_no_event(core: Backend, head: str) -> None:
    line = head.format(bsd=TIMESTAMP) + LOGIN
    assert [e for e in events(core, line, line, line) if e.kind != "missed"] == []


def test_end_of_line_ends_a_tag(core: Backend) -> None:
    everything = Format("any", "", "", ("any",), (), (), (), (r"(?P<user>.*)",))
    setting = replace(DEFAULT, formats=(everything,))
    for line in [
        f"{TIMESTAMP} mx any:",
        f"{TIMESTAMP} any[1]:",
        f"{TIMESTAMP} [any]",
        "<1>1 2026-03-04T07:12:09 h any - - -",
    ]:
        for end in (b"\n", b"\r\n", b""):
            out = run(core, line.encode() + end, setting)
            assert [(e.kind, e.user) for e in out.events] == [("logout", "")], (line, end)
    assert run(core, f"{TIMESTAMP} mx any:\r".encode(), setting).events == []


def test_own_layout(core: Backend) -> None:
    setting = replace(DEFAULT, layout="gamma")
    good = "in: Login: user=<lena>, rip=192.0.2.7, lip=192.0.2.9"
    for head in (f"{TIMESTAMP} ", f"gamma: {TIMESTAMP}  ", f"gamma[{TIMESTAMP} ", "gamma: 2026-03-04T06:12:09.5Z "):
        expected = Event(0, "login", "192.0.2.7", AT, "gamma", "lena", "", None, False, False, None)
        assert events(core, head + good, setting=setting) == [expected], head
        assert events(core, "", head + good, "", setting=setting) == [expected._replace(offset=1)], head
        m = core.Matcher(FORMATS, ZONE)
        assert m.timestamp((head + good).encode(), layout="gamma", reference=REFERENCE) == AT
        assert m.sniff(b"nothing\n" + (head + good).encode()) == "gamma"
    missed = told(core, f"{TIMESTAMP} Login: x", f"gamma: {TIMESTAMP} {good}x", setting=setting)
    assert missed == ["no-pattern", "no-pattern"]
    # Nobody else's patterns, no host, no tag.
    bad = [
        f"{TIMESTAMP} {LOGIN}",
        f"{TIMESTAMP} mx gamma: {good}",
        f"x{TIMESTAMP} {good}",
        f"gamma:{TIMESTAMP} {good}",
        f"{TIMESTAMP}",
    ]
    assert [e for e in told(core, *bad, setting=setting) if e != "no-pattern"] == []
    assert told(core, f"{TIMESTAMP} {good}") == []


def test_unknown_layouts_and_bounds(core: Backend) -> None:
    m = core.Matcher(FORMATS, ZONE)
    for layout in ("nobody", "alpha", ""):
        with pytest.raises(ValueError, match="layout"):
            m.scan(b"", layout=layout, reference=0)
        with pytest.raises(ValueError, match="layout"):
            m.timestamp(b"", layout=layout, reference=0)
    for start, stop in ((2, 1), (0, 4), (4, 4)):
        with pytest.raises(ValueError, match="within"):
            m.scan(b"abc", start=start, stop=stop, reference=0)


def test_sniff(core: Backend) -> None:
    m = core.Matcher(FORMATS, ZONE)
    syslog, own = f"{TIMESTAMP} mx x: y", f"{TIMESTAMP} in: y"
    for lines, layout in [
        ([], None),
        (["", "nothing", f"{TIMESTAMP} in", "Mar 99"], None),
        (["nothing", syslog, own], "syslog"),
        (["nothing", own, syslog], "gamma"),
        ([f"{TIMESTAMP} in(x)<y>: z"], "gamma"),
        ([f"{TIMESTAMP} ind: z"], "syslog"),
        ([f"gamma: {TIMESTAMP} other: x"], None),
        ([f"{TIMESTAMP} x in: y"], "syslog"),
        (["x" * 16_385, syslog], "syslog"),
        ([syslog + "x" * 16_384], None),
        (["<1>1 - - - - - -"], "syslog"),
        (["Feb 30 99:99:99 mx x:"], "syslog"),
        ([syslog + "\r"], "syslog"),
    ]:
        assert m.sniff("\n".join(lines).encode()) == layout, lines
        assert m.sniff(("\n".join(lines) + "\n").encode()) == layout, lines


# 3. Tags to formats


def test_tags(core: Backend) -> None:
    beta = "Login user=lena host=[192.0.2.7]"
    for tag, message, name, tls in [
        ("alphad", LOGIN, "alpha", None),
        ("imapd", LOGIN, "alpha", None),
        ("imapd", beta, "beta", None),
        ("imapd-ssl", LOGIN, "alpha", True),
        ("x/alphas", LOGIN, "alpha", True),
        ("x/y/alphas", LOGIN, "alpha", True),
        ("/alphas", LOGIN, "alpha", True),
        ("-/alphas", LOGIN, "alpha", True),
        ("cyrus/beta", beta, "beta", None),
        ("9gammas", "in: Login: rip=192.0.2.7", "gamma", True),
    ]:
        [event] = events(core, f"{TIMESTAMP} mx {tag}: {message}")
        assert (event.format, event.tls, event.ip) == (name, tls, "192.0.2.7"), tag
        assert events(core, f"{TIMESTAMP} {tag}: {message}") == [event._replace(host="")], tag
        app = f"<22>1 2026-03-04T07:12:09 mx {tag} - - - {message}"
        assert events(core, "", app) == [event._replace(offset=1)], tag
    for tag in ("alphas", "beta", "betad2", "alphas/", "alphas/x", "x/betad", "imapd-ssl/", "x/imapd"):
        assert told(core, "", f"{TIMESTAMP} mx {tag}: {LOGIN}", f"{TIMESTAMP} {tag}: {beta}") == [], tag


def test_a_tag_without_a_slash_has_no_component(core: Backend) -> None:
    whole = Format("a", "", "", ("t",), (), (), (rf"x {IP}",), ())
    last = Format("b", "", "", ("*/t",), (), (), (rf"y {IP}",), ())
    lines = [f"{TIMESTAMP} mx {tag}: {letter} 192.0.2.7" for tag in ("t", "u/t") for letter in "xy"]
    assert [e.format for e in events(core, *lines, setting=replace(DEFAULT, formats=(whole, last)))] == ["a", "b"]


def test_first_pattern_decides(core: Backend) -> None:
    first = Format("a", "", "", ("t",), (), (), (rf"x (?P<user>y)? ?{IP}",), (r"(?P<user>x) .*",))
    second = Format("b", "", "", ("t",), (), (), (rf"x {IP}",), ())
    line = f"{TIMESTAMP} mx t: x 192.0.2.7"
    assert [e.format for e in events(core, line, setting=replace(DEFAULT, formats=(first, second)))] == ["a"]
    [event] = events(core, line, setting=replace(DEFAULT, formats=(second, first)))
    assert (event.format, event.kind) == ("b", "login")
    [event] = events(core, f"{TIMESTAMP} mx t: x y", setting=replace(DEFAULT, formats=(second, first)))
    assert (event.format, event.kind, event.ip, event.user) == ("a", "logout", None, "x")


def test_a_pattern_takes_the_whole_message(core: Backend) -> None:
    for message in (f"x{LOGIN}", f"{LOGIN}x", f" {LOGIN}", f"{LOGIN} "):
        assert told(core, f"{TIMESTAMP} mx alphad: {message}") == ["no-pattern"]


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
    """100,000 hosts, each with a cut record and a login from one address: it was 7,000 lines a second in a list."""
    hosts = range(100_000)
    data = "".join(f"{TIMESTAMP} h{host} alphad: {'x' * 60}\n" for host in hosts)
    data += "".join(f"{TIMESTAMP} h{host} alphad: {LOGIN}\n" for host in hosts)
    text = data.encode()
    m = core.Matcher(FORMATS, ZONE)
    stream = core.Stream(m, source="s", gap=1)
    began = time.process_time()
    stream.add(m.scan(text, reference=REFERENCE))
    assert len(stream.take()) == 100_000 - 4_096
    assert time.process_time() - began < 10


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


# 5. Timestamps


def seconds(
    core: Backend, text: str, reference: int = REFERENCE, zone: tuple[tuple[int, int], ...] = ZONE
) -> int | None:
    setting = replace(DEFAULT, reference=reference, zone=zone)
    [event] = events(core, f"{text} mx alphad: {LOGIN}", setting=setting)
    m = core.Matcher(FORMATS, zone)
    first = m.timestamp(f"{text} anything else: x".encode(), reference=reference)
    assert first is None if event.timestamp is None else first is not None
    assert event.reason == ("bad-stamp" if event.timestamp is None else None)
    return event.timestamp


def test_impossible_and_edge_stamps(core: Backend) -> None:
    for text in (
        "2026-02-29T00:00:00", "2026-13-01T00:00:00", "2026-00-01T00:00:00", "2026-01-00T00:00:00",
        "2026-01-32T00:00:00",
        "2026-01-01T24:00:00", "2026-01-01T00:60:00", "2026-01-01T00:00:60", "2026-01-01T23:58:60",
        "2026-01-01T23:59:61",
        "1969-12-31T23:59:59", "0000-01-01T00:00:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60",
        "Feb 30 00:00:00", "Jan  0 00:00:00", "Jan 0 00:00:00", "Feb 29 2026 00:00:00", "Jan  1 1969 00:00:00",
    ):  # fmt: skip
        assert seconds(core, text) is None, text
    for text, expected in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00+01:00", -3600),
        ("2026-01-01T23:59:60Z", 1767312000),
        ("2026-01-02T00:00:00.999999999Z", 1767312000),
        ("2024-02-29T12:00:00-23:59", 1709208000 + 23 * 3600 + 59 * 60),
        ("9999-12-31T23:59:59Z", 253402300799),
        ("Jan  2 2026 00:59:59,9", 1767311999),
        ("Jan 02 2026 01:00:00", 1767312000),
    ]:
        assert seconds(core, text) == expected, text


def test_years(core: Backend) -> None:
    new_year = 1767225600  # 2026-01-01 00:00:00 UTC
    for text, reference, expected in [
        ("Dec 31 23:59:59", new_year, new_year - 1),
        ("Jan  1 00:00:00", new_year - 1, new_year),
        ("Jan  2 02:00:00", new_year, new_year + 26 * 3600),
        ("Jan  2 02:00:01", new_year, new_year + 26 * 3600 + 1 - 365 * 86400),
        ("Feb 29 00:00:00", new_year, 1709164800),
        ("Feb 29 00:00:00", 1709164800 - 86400, 1709164800),
        ("Feb 29 00:00:00", 1709164800 - 3 * 86400, 1582934400),
        ("Feb 29 00:00:00", 4102444800, 3981312000),  # 2100 has none: 2096
        ("Jan  1 00:00:00", 1, 0),
        ("Jan  3 00:00:00", 1, None),
    ]:
        assert seconds(core, text, reference, UTC) == expected, (text, reference)


def test_zone(core: Backend) -> None:
    for text, expected in [
        ("2026-03-29T01:59:59", SPRING - 1),
        ("2026-03-29T02:00:00", SPRING),  # in the gap: read with the offset before it
        ("2026-03-29T02:59:59", SPRING + 3599),
        ("2026-03-29T03:00:00", SPRING),
        ("2026-10-25T01:59:59", AUTUMN - 3601),
        ("2026-10-25T02:00:00", AUTUMN - 3600),
        ("2026-10-25T02:59:59", AUTUMN - 1),
        ("2026-10-25T03:00:00", AUTUMN + 3600),
        ("2026-10-25T02:30:00+01:00", AUTUMN + 1800),
    ]:
        assert seconds(core, text) == expected, text
    for zone in ((), ((0, 0), (0, 3600)), ((5, 0), (3, 3600))):
        with pytest.raises(ValueError, match=r".+"):
            core.Matcher(FORMATS, zone)


# 6. Order


def hour(core: Backend, *texts: str, live: bool = False, reference: int = AUTUMN) -> list[int]:
    """Seconds from the moment when clocks go back, one a timestamp of that day."""
    lines = [f"2026-10-25T{text} mx alphad: {LOGIN}" for text in texts]
    setting = replace(DEFAULT, live=live, reference=reference)
    return [e.timestamp - AUTUMN for e in events(core, *lines, setting=setting) if e.timestamp is not None]


def test_ambiguous_hour(core: Backend) -> None:
    assert hour(core, "02:00:00", "02:10:00") == [-3600, -3000]
    assert hour(core, "02:59:00", "02:00:00", "02:01:00") == [-60, 0, 60]
    # Not more than 300 s back is disorder, not the hour set back; the event before is the one as resolved.
    assert hour(core, "02:10:00", "02:05:00") == [-3000, -3300]
    assert hour(core, "02:10:00", "02:04:59") == [-3000, 299]
    assert hour(core, "02:30:00", "02:10:00", "02:06:00", "02:20:00") == [-1800, 600, 360, 1200]
    assert hour(core, "01:00:00", "02:10:00", "03:10:00", "02:50:00") == [-7200, -3000, 4200, 3000]
    # Live: the reading nearest to the reference, the earlier of equals.
    for reference, expected in ((AUTUMN - 3600, -1800), (AUTUMN, -1800), (AUTUMN + 1, 1800), (AUTUMN + 9999, 1800)):
        assert hour(core, "02:30:00", live=True, reference=reference) == [expected]


def test_what_is_the_event_before(core: Backend) -> None:
    late, early = "2026-10-25T02:50:00", "2026-10-25T02:10:00"
    long = LOGIN.replace("lena", "x" * 60)
    for between, later in [
        (f"{late} mx alphad: {LOGIN}", True),
        (f"{late} mx gamma: in(u)<s>: Logged out", True),
        (f"{late} mx alphad: {long}", False),
        (f"{late} mx alphad: {LOGIN}x", False),
        (f"{late} mx alphad: LOGIN, user=u, ip=[1]", False),
        (f"{late} mx other: {LOGIN}", False),
    ]:
        data = f"{between}\n{early} mx betad: Login user=u host=[::1]\n".encode()
        for cuts in ([], [len(between) + 1]):
            assert run(core, data, cuts=cuts).events[-1].timestamp == AUTUMN + (600 if later else -3000), between


def test_sessions(core: Backend) -> None:
    def login(ip: str, session: str) -> str:
        return f"{TIMESTAMP} mx gamma: in: Login: user=<u>, rip={ip}, lip=::1, session=<{session}>"

    def out(session: str) -> str:
        return f"{TIMESTAMP} mx gamma: in(u)<{session}>: Logged out"

    lines = [out("a"), login("192.0.2.1", "a"), login("192.0.2.2", "b"), out("b"), out("b"), out("a"), out("a")]
    want = [None, "192.0.2.1", "192.0.2.2", "192.0.2.2", None, "192.0.2.1", None]
    data = "".join(line + "\n" for line in lines).encode()
    for cuts in ([], [i + 1 for i, c in enumerate(data) if c == 10][:-1]):
        outcome = run(core, data, cuts=cuts)
        assert [e.ip for e in outcome.events] == want
        assert outcome.counters["logout_no_address"] == 3
        # A row of its own has each login and each logout with a session id, known or not; folded, each address's login.
        single = run(core, data, replace(DEFAULT, fold=False), cuts=cuts)
        assert [ip or None for b in single.batches for ip in b["ip"]] == want
        assert single.counters == outcome.counters
        assert [ip for b in outcome.batches for ip in b["ip"]] == ["192.0.2.1", "192.0.2.2"]
    # The same id again is the newer one; an address of its own comes first and leaves the session alone.
    bye = f"{TIMESTAMP} mx gamma: in: bye 192.0.2.9 <a>"
    assert told(core, login("::2", "a"), login("::3", "a"), bye, out("a")) == ["::2", "::3", "192.0.2.9", "::3"]
    assert told(core, login("::2", ""), out("")) == ["::2", None]
    # Logins that make no event have no session.
    assert told(core, login("1.2.3", "a"), out("a")) == ["bad-address", None]


@pytest.mark.system
def test_only_the_newest_sessions_are_remembered(core: Backend) -> None:
    limit = 131_072
    ids = [*range(limit), 0, limit]
    lines = [f"{TIMESTAMP} mx gamma: in: Login: user=<u>, rip=192.0.2.7, lip=::1, session=<{i}>" for i in ids]
    lines += [f"{TIMESTAMP} mx gamma: in(u)<{i}>: Logged out" for i in (0, 1, 2, limit)]
    # 0 came again and is new, so the 131,073rd pushed 1 out.
    assert told(core, *lines)[-4:] == ["192.0.2.7", None, "192.0.2.7", "192.0.2.7"]


@pytest.mark.parametrize(
    ("session", "remembered"), [("s" * 512, True), ("s" * 513, False), ("ä" * 256, True), ("ä" * 257, False)]
)
def test_a_session_with_a_long_id_is_not_remembered(core: Backend, session: str, remembered: bool) -> None:
    lines = [
        f"{TIMESTAMP} mx gamma: in: Login: user=<u>, rip=192.0.2.7, lip=::1, session=<{session}>",
        f"{TIMESTAMP} mx gamma: in(u)<{session}>: Logged out",
    ]
    uncut = tuple(replace(fmt, cut=0) for fmt in FORMATS)
    setting = replace(DEFAULT, formats=uncut)
    assert told(core, *lines, setting=setting) == ["192.0.2.7", "192.0.2.7" if remembered else None]


def rows(
    core: Backend, *events: tuple[int, str], setting: Setting = DEFAULT, host: str = "mx"
) -> dict[str, list[object]]:
    """The batch of logins given as (seconds after AT, rest of a gamma login)."""
    lines = []
    for after, rest in events:
        minutes, second = divmod(12 * 60 + 9 + after, 60)
        lines.append(f"Mar  4 {7 + minutes // 60:02}:{minutes % 60:02}:{second:02} {host} gamma: {rest}")
    return run(core, "\n".join(lines).encode(), setting).batches[0]


def test_fold(core: Backend) -> None:
    def login(user: str, rest: str = "") -> str:
        return f"in: Login: user=<{user}>, rip=192.0.2.7, lip=192.0.2.9{rest}"

    batch = rows(core, (0, login("a")), (-5, login("b", ", session=<s>")), (9, login("a", ", session=<t>")))
    assert batch == {
        "source": "s", "ip": ["192.0.2.7"], "first": [AT], "last": [AT + 9], "n": [3], "kind": ["login"],
        "format": ["gamma"], "host": ["mx"], "offset": [0], "tls": [False], "loop": [False], "session": [None],
        "user_first": ["a"], "user_last": ["a"], "users": [2], "process": [""],
    }  # fmt: skip
    single = rows(core, (0, login("a")), (-5, login("b")), setting=replace(DEFAULT, fold=False))
    assert (single["first"], single["n"], single["users"]) == ([AT, AT - 5], [1, 1], [1, 1])
    nobody = rows(core, (0, "in: Login: rip=::1"))
    assert (nobody["user_first"], nobody["user_last"], nobody["users"]) == ([None], [None], [0])
    many = rows(core, *[(0, login(f"u{i % 70}")) for i in range(140)])
    assert (many["users"], many["user_last"], many["n"]) == ([64], ["u69"], [140])
    # What is told apart: TLS, loop, format, host, ahead. A logout is in no row.
    apart = rows(core, (0, login("a")), (0, login("a", ", TLS")), (1, login("b")), (0, "in: Login: rip=192.0.2.7"),
                 (0, "in: Login: user=<a>, rip=192.0.2.9, lip=192.0.2.9"), (2, "in: bye 192.0.2.7"))  # fmt: skip
    assert (apart["n"], apart["tls"]) == ([2, 1, 1, 1], [False, True, None, False])
    assert apart["loop"] == [False, False, False, True]
    assert apart["kind"] == ["login"] * 4


def test_fold_splits_where_the_gap_is_exceeded(core: Backend) -> None:
    setting = replace(DEFAULT, gap=100)
    a, b = "in: Login: user=<a>, rip=192.0.2.7, lip=::1", "in: Login: user=<a>, rip=192.0.2.7, lip=::1, TLS"
    for after, first, last in [
        ((0, 100), [0], [100]),
        ((0, 101), [0, 101], [0, 101]),
        ((0, 100, 200), [0], [200]),
        ((0, -500, 100), [0], [100]),
        ((0, 101, 0), [0, 101], [0, 101]),
    ]:
        batch = rows(core, *[(s, a) for s in after], setting=setting)
        assert (batch["first"], batch["last"]) == ([AT + s for s in first], [AT + s for s in last]), after
    # One row of the address being late closes all of them.
    batch = rows(core, (0, a), (0, b), (101, a), (101, b), (102, a), setting=setting)
    assert (batch["n"], batch["first"]) == ([1, 1, 2, 1], [AT, AT, AT + 101, AT + 101])
    with pytest.raises(ValueError, match="gap"):
        core.Stream(core.Matcher(FORMATS, ZONE), source="s", gap=-1)


def test_ahead(core: Backend) -> None:
    a = "in: Login: user=<a>, rip=192.0.2.7, lip=::1"
    setting = replace(DEFAULT, reference=AT, gap=10_000)
    batch = rows(core, (0, a), (MAX_AHEAD, a), (MAX_AHEAD + 1, a), (1, a), setting=setting)
    assert (batch["n"], batch["last"]) == ([3, 1], [AT + MAX_AHEAD, AT + MAX_AHEAD + 1])


# 7. Counters, and what is refused


def test_counters_begin_with_all_names(core: Backend) -> None:
    m = core.Matcher(FORMATS, ZONE)
    assert core.Stream(m, source="s", gap=0).counters == dict.fromkeys(
        [
            "lines", "too_long", "login", "logout", "other", "logout_no_address", "missed_no_pattern",
            "missed_bad_address", "missed_bad_stamp", "missed_cut_record", "missed_continuation", "missed_no_session",
        ],
        0,
    )  # fmt: skip


def test_what_cannot_be_compiled(core: Backend) -> None:
    fmt = FORMATS[1]
    for bad in (
        replace(fmt, login=("(",)),
        replace(fmt, logout=("[",)),
        replace(fmt, session_address=(IP,), session_success=("(",)),
        replace(fmt, name="syslog"),
    ):
        with pytest.raises(FormatError, match=r"^\S[^\n]+$"):
            core.Matcher((bad,), ZONE)
    with pytest.raises(FormatError, match="beta"):
        core.Matcher((fmt, fmt), ZONE)


def test_a_scan_of_another_matcher_is_refused(core: Backend) -> None:
    one, other = core.Matcher(FORMATS, ZONE), core.Matcher(FORMATS, UTC)
    scan = one.scan(b"x\n", reference=0)
    with pytest.raises(ValueError, match="another matcher"):
        core.Stream(other, source="s", gap=0).add(scan)
    with pytest.raises(ValueError, match="another matcher"):
        core.Stream(other, source="s", gap=0).events(scan)


def test_times_are_told(core: Backend) -> None:
    m = core.Matcher(FORMATS, ZONE)
    scan = m.scan(f"{TIMESTAMP} mx alphad: {LOGIN}\n".encode() * 100, reference=REFERENCE)
    stream = core.Stream(m, source="s", gap=0)
    assert scan.seconds > 0
    assert stream.fold_seconds == 0
    stream.add(scan)
    stream.take()
    assert stream.fold_seconds > 0
