"""Rules of docs/MATCHING.md by example, on both backends: lines, envelopes, tags. Written from the page, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.inline import AT, FORMATS, IP, LOGIN, REFERENCE, TIMESTAMP, ZONE
from backends.running import DEFAULT, events, run, told
from pbs_fast.events import Event
from pbs_fast.formats import Format
from pbs_fast.matching.backends import Backend

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
