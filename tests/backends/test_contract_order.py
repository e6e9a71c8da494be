"""Rules of docs/MATCHING.md by example, on both backends: timestamps, order, rows, counters. Written from the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backends.inline import AT, AUTUMN, FORMATS, IP, LOGIN, REFERENCE, SPRING, TIMESTAMP, UTC, ZONE
from backends.running import DEFAULT, Setting, events, run, told
from pbs_fast.errors import FormatError
from pbs_fast.events import MAX_AHEAD
from pbs_fast.matching.backends import Backend

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
