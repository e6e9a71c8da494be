"""Whole-line patterns of a site's custom formats, on both backends (docs/MATCHING.md, 4), and as the loader names
them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.grammar import logs
from backends.inline import FORMATS, IP, LIP, REFERENCE
from backends.running import BOTH, DEFAULT, Outcome, Setting, line_starts, run
from pbs_fast.errors import FormatError
from pbs_fast.events import Event
from pbs_fast.formats import Format
from pbs_fast.formats.loader import build, in_file
from pbs_fast.formats.timestamps import BSD, ISO
from pbs_fast.formats.wholeline import named
from pbs_fast.matching.backends import Backend
from pbs_fast.matching.python.envelope import when_of

Reporter = Callable[[object], None]

TIMESTAMP = f"(?P<timestamp>{BSD}|{ISO})"
AT = REFERENCE - 3600
SITE = Format(
    name="zsite",
    title="",
    versions="",
    program=(),
    tls_program=(),
    success=(),
    login=(),
    logout=(),
    line_login=(
        rf"^mail: {TIMESTAMP} (?P<host>\S+) popd(?:\[(?P<pid>\w*)\])?: (?i:WELCOME) (?P<user>.*?) from {IP}"
        rf"(?: to {LIP})?(?P<tls> over TLS)?(?: id (?P<session>\w*))?$",
        rf"{TIMESTAMP}.*\bSIGNED IN\b.*\[{IP}\]",
    ),
    line_logout=(rf"{TIMESTAMP}.*GOODBYE(?: {IP})?(?: id (?P<session>\w+))?",),
)
#: Before the formats by tag, and after them; its logouts are tried before another's logins.
EARLY = replace(SITE, name="asite", line_login=(rf"{TIMESTAMP} early {IP}",), line_logout=(rf"{TIMESTAMP} early",))
SETTING = replace(DEFAULT, formats=(EARLY, *FORMATS, SITE))


def events(core: Backend, *lines: str, setting: Setting = SETTING) -> list[Event]:
    """What comes of the lines, whole and cut after every line, which must be the same."""
    data = "".join(text + "\n" for text in lines).encode("latin-1")
    whole, pieces = run(core, data, setting), run(core, data, setting, line_starts(data))
    assert whole.events == pieces.events
    assert whole.counters == pieces.counters
    return whole.events


def told(core: Backend, *lines: str, setting: Setting = SETTING) -> list[str | None]:
    return [event.reason or f"{event.kind} {event.ip}" for event in events(core, *lines, setting=setting)]


def test_every_group(core: Backend) -> None:
    line = "mail: Mar  4 07:00:00.5 mx9 popd[x1]: Welcome jo doe from 192.0.2.7 to 192.0.2.7 over TLS id s1"
    (event,) = events(core, line)
    assert event == Event(0, "login", "192.0.2.7", AT, "zsite", "jo doe", "mx9", "s1", True, True, None)
    unfolded = run(core, line.encode(), replace(SETTING, fold=False))
    assert unfolded.batches[0]["process"] == ["[x1]"]
    (bare,) = events(core, "mail: 2026-03-04T06:00:00Z mx9 popd: WELCOME \xff from ::ffff:192.0.2.7 id ")
    assert bare == Event(0, "login", "192.0.2.7", AT, "zsite", "\ufffd", "mx9", None, False, False, None)
    for line in ("Mar  4 07:00:00 SIGNED IN [192.0.2.7]", "mail: Mar  4 07:00:00 mx popd[]: welcome x from 192.0.2.7"):
        assert run(core, line.encode(), replace(SETTING, fold=False)).batches[0]["process"] == [""]
    (other,) = events(core, "Mar  4 07:00:00 SIGNED IN [192.0.2.7]")
    assert other == Event(0, "login", "192.0.2.7", AT, "zsite", None, "", None, None, False, None)


def test_what_is_found_may_stand_anywhere(core: Backend) -> None:
    for line in (
        "x Mar  4 2026 07:00:00 SIGNED IN as [192.0.2.7] or so",
        "[2026-03-04 07:00:00,5] SIGNED IN as [192.0.2.7]",
        "Mar  4 07:00:00 mx other[1]: SIGNED IN [192.0.2.7]",
        "Mar  4 07:00:00 mx alphad: SIGNED IN [192.0.2.7]",
        "<22>1 2026-03-04T07:00:00 mx alphad - - - SIGNED IN [192.0.2.7]",
    ):
        assert told(core, line) == ["login 192.0.2.7"], line
        assert told(core, line, line.replace("SIGNED", "RESIGNED")) == ["login 192.0.2.7"], line
    assert told(core, "SIGNED IN [192.0.2.7]") == []


@pytest.mark.parametrize(
    ("message", "want"),
    [
        # Taken by a pattern of the tag; an event, none, or a step.
        ("alphad: LOGIN, user=SIGNED IN, ip=[192.0.2.9]", ["login 192.0.2.9"]),
        ("alphad: LOGIN, user=SIGNED IN [192.0.2.7], ip=[1.2.3]", ["bad-address"]),
        ("deltad: gone SIGNED IN [192.0.2.7]", []),
        ("deltad: hello a <SIGNED IN [192.0.2.7]>", ["no-session"]),
        # Missed by the tag.
        ("betad: Login user= SIGNED IN [192.0.2.7]", ["no-pattern"]),
        ("betad: user= SIGNED IN [192.0.2.7]", ["login 192.0.2.7"]),
        # Whose success text is another tag's.
        ("gamma: Login user= SIGNED IN [192.0.2.7]", ["login 192.0.2.7"]),
        ("betad: SIGNED IN [1.2.3]", ["bad-address"]),
    ],
)
def test_only_lines_that_the_tag_leaves_open(core: Backend, message: str, want: list[str]) -> None:
    assert told(core, f"Mar  4 07:00:00 mx {message}") == want


def test_stamps(core: Backend) -> None:
    site = replace(SITE, line_login=(rf"^(?P<timestamp>.*?)?\| {IP}",))
    setting = replace(DEFAULT, formats=(site,))
    for timestamp, want in (
        ("Mar  4 07:00:00", AT),
        ("Mar 4 2026 07:00:00,123", AT),
        ("2026-03-04T02:00:00-0400", AT),
        ("2026-03-04 07:00:00", AT),
        (" Mar  4 07:00:00", None),
        ("Mar  4 07:00:00+01:00", None),
        ("Mar  4 27:00:00", None),
        ("<22>Mar  4 07:00:00", None),
        ("2026-03-04T07:00:00.1234567890", None),
        ("", None),
    ):
        (event,) = events(core, f"{timestamp}| 192.0.2.7", setting=setting)
        assert (event.timestamp, event.reason) == (want, None if want else "bad-stamp"), timestamp
        assert told(core, f"{timestamp}| 1.2.3", setting=setting) == ["bad-address"]


def test_order_of_formats_and_patterns(core: Backend) -> None:
    both = "Mar  4 07:00:00 early 192.0.2.1 SIGNED IN [192.0.2.7] GOODBYE"
    assert [(e.format, e.kind, e.ip) for e in events(core, both)] == [("asite", "login", "192.0.2.1")]
    out = both.replace(" 192.0.2.1", "")
    assert [(e.format, e.kind, e.ip) for e in events(core, out)] == [("asite", "logout", None)]
    late = out.replace(" early", "")
    assert [(e.format, e.kind, e.ip) for e in events(core, late)] == [("zsite", "login", "192.0.2.7")]


def test_logouts_find_their_session(core: Backend) -> None:
    login = "mail: Mar  4 07:00:00 mx popd: welcome u from 192.0.2.7 id s1"
    lines = [login, "Mar  4 07:00:09 GOODBYE id s1", "Mar  4 07:00:09 GOODBYE id s1", "Mar  4 07:00:09 GOODBYE"]
    assert told(core, *lines) == ["login 192.0.2.7", "logout 192.0.2.7", "logout None", "logout None"]
    unfolded = run(core, "\n".join(lines).encode(), replace(SETTING, fold=False))
    assert unfolded.batches[0]["ip"] == ["192.0.2.7", "192.0.2.7", ""]
    assert unfolded.counters["logout_no_address"] == 2


def test_records_that_a_writer_cuts(core: Backend) -> None:
    """A tag of a format that cuts at 60 bytes: no more comes of its records than by the tag."""
    head, signed = "Mar  4 07:00:00 mx alphad: ", "SIGNED IN [192.0.2.7]"
    assert told(core, head + signed.ljust(60, "x"), head + signed, head + signed) == [
        "cut-record",
        "continuation",
        "login 192.0.2.7",
    ]
    # A message with the success text is no line of theirs, even where that makes no missed line.
    cut = head + f"LOGIN, user={signed}".ljust(60, "x")
    assert told(core, cut, cut[:70].rstrip("x")) == []
    own = replace(
        SETTING, layout="gamma", formats=(*(replace(f, cut=60, cut_prefix=(), cut_whole=()) for f in FORMATS), SITE)
    )
    timestamp = "Mar  4 07:00:00 "
    assert told(core, timestamp + "x" * 60, timestamp + signed, timestamp + signed, setting=own) == [
        "continuation",
        "login 192.0.2.7",
    ]


def test_line_ends_and_long_lines(core: Backend) -> None:
    site = replace(SITE, line_login=(rf"{TIMESTAMP}.* in \[{IP}\]$",))
    setting = replace(DEFAULT, formats=(site,))
    line = b"Mar  4 07:00:00 in [192.0.2.7]"
    for data, found in (
        (line, 1), (line + b"\n", 1), (line + b"\r\n", 1), (line + b"\r", 0), (line + b"\r\r\n", 0),
        (b"\n" + line + b"\n\n" + line, 2), (line + b"\0", 0),
        (b"x" * (16_384 - len(line)) + line + b"\n", 1), (b"x" * (16_385 - len(line)) + line + b"\n", 0),
    ):  # fmt: skip
        outcome = run(core, data, setting)
        assert outcome.counters["login"] == found, data[-60:]
        assert [data[e.offset :].partition(b"\n")[0].removesuffix(b"\r") for e in outcome.events if e.ip] == [
            data.strip(b"\n").split(b"\n")[0].removesuffix(b"\r")
        ] * found


def test_sniff(core: Backend) -> None:
    m = core.Matcher(SETTING.formats, DEFAULT.zone)
    assert m.sniff(b"nothing\n2026/03/04 mail\n") is None
    assert m.sniff(b"nothing\nx Mar  4 07:00:00 SIGNED IN [x] [192.0.2.7]\r\n") == "syslog"
    # Own layouts are asked first, also by a line further on in the catalogue.
    own = b"Mar  4 07:00:00 in: SIGNED IN [192.0.2.7]\n"
    assert m.sniff(own) == "gamma"
    assert core.Matcher((SITE,), DEFAULT.zone).sniff(own) == "syslog"


@pytest.mark.parametrize(
    ("old", "line"),
    [
        (r"^[LOGTIME] \S+ (?:ipop3d|imapd)\[\d+\]: Login user=\S+ host=(?:\S+ )?\[(\d+\.\d+\.\d+\.\d+)\]",
         "Mar  4 07:00:00 mx ipop3d[1]: Login user=u host=h [192.0.2.7]"),
        (r"^(... .. ..:..:..) \S+ popd: (?:OK|(?:YES)) (\S+)", "Mar  4 07:00:00 mx popd: OK 192.0.2.7"),
        (r"popd: ([0-9.]+) at [LOGTIME]", "popd: 192.0.2.7 at 2026-03-04T06:00:00Z"),
        (r"^([^ ]+T[^ ]+) (x|y)? {ip}", "2026-03-04T07:00:00 x 192.0.2.7"),
        (r"^[LOGTIME] (?P<ip>[0-9.]+) (a)(b|c)$", "Mar  4 07:00:00 192.0.2.7 ac"),
        (r"[(]\([(]( +)[LOGTIME] (.*)", r"(((  Mar  4 07:00:00 192.0.2.7"),
    ],
)  # fmt: skip
def test_patterns_of_the_old_program(core: Backend, old: str, line: str) -> None:
    table = {"name": "old", "title": "", "versions": "", "line_login": [old]}
    fmt = build(table, in_file(Path("x.toml")))
    groups = re.compile(fmt.line_login[0]).groupindex
    if old.startswith("[("):
        # The first capture is the address here, because [LOGTIME] is the timestamp.
        assert told(core, line, setting=replace(DEFAULT, formats=(fmt,))) == ["bad-address"]
        return
    assert {"timestamp", "ip"} <= set(groups)
    assert re.compile(fmt.line_login[0]).groups == len(groups)
    (event,) = events(core, line, setting=replace(DEFAULT, formats=(fmt,)))
    assert (event.ip, event.timestamp) == ("192.0.2.7", AT)


def test_a_pattern_without_stamp_is_refused() -> None:
    for pattern in ("popd: {ip}", "(?:x) {ip}", r"\(x\) [(]"):
        with pytest.raises(FormatError, match="says nowhere what the timestamp is"):
            named(pattern)
    table = {"name": "old", "title": "", "versions": "", "line_logout": ["[LOGTIME] x"], "line_login": ["popd {ip}"]}
    with pytest.raises(FormatError, match=r"x.toml: line_login: 'popd \(\?P<ip>"):
        build(table, in_file(Path("x.toml")))
    with pytest.raises(FormatError, match=r"unknown placeholder \{ipp\}"):
        build(table | {"line_login": ["[LOGTIME] {ipp}"]}, in_file(Path("x.toml")))
    with pytest.raises(FormatError, match="key 'program' is missing"):
        build({"name": "old", "title": "", "versions": "", "line_logout": ["[LOGTIME]"]}, in_file(Path("x.toml")))


def test_what_cannot_be_compiled(core: Backend) -> None:
    for bad in (replace(SITE, line_login=("(",)), replace(SITE, line_logout=("[",))):
        with pytest.raises(FormatError, match=r"^format zsite: \S[^\n]+$"):
            core.Matcher((bad,), DEFAULT.zone)


def test_a_stamp_is_what_both_grammars_say() -> None:
    both = re.compile(f"(?:{BSD}|{ISO})".encode())
    for month in ("Jan", "Mar", "Mrz"):
        for rest in (" 4 07:00:00", "  4 07:00:00.1", " 14 2026 07:00:00,123456789", " 4 07:00:00Z", "   4 07:00:00"):
            text = (month + rest).encode()
            assert (when_of(text) is None) == (both.fullmatch(text) is None), text
    for iso in (
        b"2026-03-04T07:00:00",
        b"2026-03-04 07:00:00.5Z",
        b"2026-03-04T07:00:00+0100",
        b"2026-03-04T07:00:00+01",
    ):
        assert (when_of(iso) is None) == (both.fullmatch(iso) is None), iso


_WORDS = st.sampled_from(
    (
        b"mail: Mar  4 07:00:00 mx popd[12]: Welcome u from 192.0.2.7 id s1",
        b"Mar  4 07:00:01 mx other: SIGNED IN as x [192.0.2.8]",
        b"Mar  4 07:00:02 mx alphad: SIGNED IN as x [192.0.2.8]",
        b"Mar  4 07:00:02 mx alphad: SIGNED IN as x [192.0.2.8]".ljust(90, b"x"),
        b"Oct 25 02:30:00 GOODBYE id s1",
        b"2026-10-25 02:40:00 GOODBYE 192.0.2.7",
        b"Mar  4 27:00:00 early 192.0.2.9",
        b"Mar  4 07:00:00 early",
        b"Mar  4 07:00:00 deltad[12]: gone GOODBYE",
    )
)


def same(data: bytes, setting: Setting, cuts: list[int]) -> Outcome:
    rust, python = (run(name, data, setting, cuts) for name in BOTH)
    assert rust.events == python.events
    assert rust.batches == python.batches
    assert rust.counters == python.counters
    return python


@given(st.data(), st.lists(_WORDS, min_size=1, max_size=8), st.sampled_from(("syslog", "gamma")), st.booleans())
def test_twins_are_equal(share: Reporter, data: st.DataObject, words: list[bytes], layout: str, fold: bool) -> None:
    parts = data.draw(logs(layout, 8)).split(b"\n")
    for word in words:
        parts.insert(data.draw(st.integers(0, len(parts))), word)
    log = b"\n".join(parts)
    setting = replace(SETTING, layout=layout, fold=fold)
    starts = line_starts(log)
    outcome = same(log, setting, data.draw(st.lists(st.sampled_from(starts), max_size=4)) if starts else [])
    assert outcome.events == run("python", log, setting).events
    share(any(event.format in ("asite", "zsite") for event in outcome.events))
