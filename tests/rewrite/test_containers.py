"""Docker's and CRI's entries: what comes of them, and that a stranger who decides where one is cut gains nothing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.grammar import mutate
from backends.inline import FORMATS, REFERENCE, ZONE
from backends.running import DEFAULT, matcher, run
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.backends import Backend
from rewrite.wrapping import AT, LOGIN, TIMESTAMP, WRAPPERS, Outcome, cri, docker, line_ends, told
from support.timing import growth

Reporter = Callable[[object], None]
IP = "192.0.2.7"


@pytest.fixture(params=["docker", "cri"])
def wrap(request: pytest.FixtureRequest) -> Callable[..., bytes]:
    return WRAPPERS[request.param]


@pytest.mark.parametrize(
    "inner",
    [
        LOGIN,
        f"Mar  4 07:00:00 {LOGIN}",
        f"<22>Mar  4 2025 23:00:00.5 {LOGIN}",
        f"1999-03-04T07:00:00+11:00  {LOGIN}",
        f"2026-03-04 23:59:59,5 {LOGIN}",
        LOGIN.removeprefix("mx "),
        "<22>1 2001-03-04T07:00:00+11:00 mx alphad 1 - - " + LOGIN.partition(": ")[2],
        "<22>1 - mx alphad 1 - - " + LOGIN.partition(": ")[2],
    ],
)
def test_the_stamp_is_the_runtimes(core: Backend, wrap: Callable[..., bytes], inner: str) -> None:
    for timestamp in (TIMESTAMP, "2026-03-04T07:00:00.1+01:00", "2026-03-04T02:00:00-04:00"):
        data = wrap("noise", timestamp=timestamp) + wrap(inner, timestamp=timestamp)
        (event,) = Outcome(core.name, data).events
        assert (event.timestamp, event.ip, event.offset) == (AT, IP, len(wrap("noise", timestamp=timestamp)))


def test_an_own_log_in_entries(core: Backend, wrap: Callable[..., bytes]) -> None:
    lines = ("Mar  4 07:00:00 imap-login: Info: Login: user=<u>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.1, TLS",)
    outcome = Outcome(core.name, b"".join(map(wrap, lines)), formats=load_catalogue())
    assert [(e.format, e.ip, e.timestamp) for e in outcome.events] == [("dovecot", IP, AT)]
    # It is given the server's tag, because other programs may write there too.
    assert outcome.layout == "syslog"


def test_what_a_message_holds(core: Backend, wrap: Callable[..., bytes]) -> None:
    """Quotes, backslashes, other scripts; no control character comes through Docker's escapes as itself."""
    for user, seen in (('a"b\\c', 'a"b\\c'), ("ü\u2028é", "ü\u2028é"), ("<u>&", "<u>&")):
        (event,) = Outcome(core.name, wrap(LOGIN.replace("lena", user))).events
        assert event.user == seen


def test_control_characters_in_dockers_entries(core: Backend) -> None:
    for raw, seen in (("\t", "#011"), ("a\nMar", "a#012Mar"), ("\r", "#015"), ("\0\x7f", "#000#177"), ("\x85", "\x85")):
        assert [event.user for event in Outcome(core.name, docker(LOGIN.replace("lena", raw))).events] == [seen]
    forged = "x\n2026-03-04T07:00:00 " + LOGIN
    assert told(core.name, docker(LOGIN), docker(forged), docker("x\r" + forged)) == [IP]
    # A lone surrogate is no text.
    data = docker(LOGIN.replace("lena", "QQ")).replace(b"QQ", b"\\ud800")
    assert Outcome(core.name, data).events[0].user == "\ufffd\ufffd\ufffd"
    assert told(core.name, docker(LOGIN, end="\r\n"), docker(LOGIN, end="\n\n"), docker(LOGIN, end=" \n")) == [
        IP,
        "no-pattern",
        "no-pattern",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b'{"log":"LOGIN',
        b"[1]",
        b'{"log":"mx alphad: LOGIN, user=u, ip=[192.0.2.7]\\n","stream":"stdout"}',
        b'{"log":"mx alphad: LOGIN, user=u, ip=[192.0.2.7]\\n","stream":"stdout","time":"now"}',
        b'{"log":"mx alphad: LOGIN, user=u, ip=[192.0.2.7]\\n","stream":"stdout","time":"2026-03-04T06:00:00"}',
        b'{"log":"mx alphad: LOGIN, user=u, ip=[192.0.2.7]\\n","stream":1,"time":"2026-03-04T06:00:00Z"}',
        b'{"log":["\\n"],"stream":"stdout","time":"2026-03-04T06:00:00Z"}',
        b"Mar  4 07:00:00 mx alphad: LOGIN, user=u, ip=[192.0.2.7]",
        b"2026-03-04T06:00:00Z stdout X mx alphad: LOGIN, user=u, ip=[192.0.2.7]",
        b"2026-03-04T06:00:00Z stdin F mx alphad: LOGIN, user=u, ip=[192.0.2.7]",
        b"[" * 5000,
        b"\xff\xfe{\0",
    ],
)
def test_what_is_no_entry_makes_no_event_and_its_stream_is_in_doubt(
    core: Backend, wrap: Callable[..., bytes], line: bytes
) -> None:
    """A runtime that died writes half a line; what follows it may be the end of anything."""
    first, after, last = (wrap(LOGIN.replace("lena", name)) for name in ("a", "b", "c"))
    outcome = Outcome(core.name, first + line + b"\n" + after + last)
    assert [event.user for event in outcome.events] == ["a", "c"]
    assert [event.offset for event in outcome.events] == [0, len(first + line) + 1 + len(after)]


def test_parts_make_no_event(core: Backend, wrap: Callable[..., bytes]) -> None:
    def part(text: str = LOGIN, stream: str = "stdout") -> bytes:
        return wrap(text, stream=stream, part=True)

    def whole(user: str, stream: str = "stdout") -> bytes:
        return wrap(LOGIN.replace("lena", user), stream=stream)

    data = [whole("1"), part(), whole("x"), whole("2"), part(), part(), whole("x", "stderr"), whole("x"), whole("3")]
    found = Outcome(core.name, b"".join(data)).events
    assert [event.user for event in found] == ["1", "2", "x", "3"]
    assert [event.offset for event in found][2] == len(b"".join(data[:6]))
    assert told(core.name, part(), part(stream="stderr"), whole("x"), whole("x", "stderr"), whole("1")) == [IP]


def test_where_reading_begins_a_line_may_be_going_on(core: Backend, wrap: Callable[..., bytes]) -> None:
    """Each stream's first entry is in doubt, also the first of a file: it may have been rotated between two parts."""
    entries = [wrap(LOGIN), wrap(LOGIN, stream="stderr"), wrap(LOGIN), wrap(LOGIN, stream="stderr")]
    assert told(core.name, *entries) == [IP] * 4
    for offset in (0, 1000):
        assert told(core.name, *entries, offset=offset, after_others=False) == [IP] * 2
    outcome = Outcome(core.name, b"".join(entries), after_others=False)
    assert (outcome.counters["parts"], outcome.counters["other"], outcome.counters["login"]) == (2, 2, 2)


def test_entries_that_are_too_long(core: Backend, wrap: Callable[..., bytes]) -> None:
    """Runtimes cut at 16 KiB: such an entry is too long a line, and nothing is believed of what follows it."""
    long = wrap("x" * 16_384, part=True)
    outcome = Outcome(core.name, wrap(LOGIN) + long + wrap(LOGIN) + wrap(LOGIN))
    assert outcome.counters["too_long"] == 1
    assert [event.offset for event in outcome.events] == [0, len(wrap(LOGIN)) * 2 + len(long)]
    # A source hands on only its beginning where it does not end.
    cut = Outcome(core.name, wrap(LOGIN) + long[:16_386])
    assert (cut.counters["too_long"], cut.counters["login"]) == (1, 1)


def test_a_wrapper_is_found_by_the_first_line_that_tells(core: Backend, wrap: Callable[..., bytes]) -> None:
    plain = f"Mar  4 07:00:00 {LOGIN}\n".encode()
    # Behind what is no entry, the first is in doubt.
    assert told(core.name, b"noise\n\n", wrap(LOGIN), wrap(LOGIN)) == [IP]
    assert told(core.name, plain, wrap(LOGIN), plain) == [IP, IP]
    assert told(core.name, b'{"x":1}\n', b"[]\n", plain, wrap(LOGIN), plain) == [IP, IP]
    assert told(core.name, b'{"x":1}\n', wrap(LOGIN), wrap(LOGIN), plain, wrap("x"), wrap(LOGIN)) == [IP, IP]
    assert told(core.name, wrap("")) == []
    assert told(core.name, wrap(LOGIN)[:-1]) == [IP]
    assert told(core.name, wrap(LOGIN, part=True)[:-1]) == []


def test_the_next_file_has_its_own_wrapper_and_goes_on_with_its_lines(
    core: Backend, wrap: Callable[..., bytes]
) -> None:
    from pbs_fast.matching.reader import Reader

    m = matcher(core.name, FORMATS, ZONE)
    layouts: list[str] = []
    reader = Reader(core, m, source="s", gap=0, live=False, fold=False, on_layout=layouts.append)
    plain = f"Mar  4 07:00:00 {LOGIN}\n".encode()
    for data, wanted in (
        (wrap(LOGIN) + wrap(LOGIN) + wrap("x", part=True), [len(wrap(LOGIN))]),
        (wrap(LOGIN) + wrap(LOGIN), [len(wrap(LOGIN))]),
        (plain + plain, [0, len(plain)]),
        (wrap(LOGIN), [0]),
    ):
        reader.begin_file()
        reader.feed(data, 0, len(data), offset=0, reference=REFERENCE)
        assert reader.take().offset == wanted
    name = next(name for name, function in WRAPPERS.items() if function is wrap)
    assert layouts == [f"syslog ({name})"] * 2 + ["syslog", f"syslog ({name})"]


def test_priming_knows_what_is_open(core: Backend, wrap: Callable[..., bytes]) -> None:
    from pbs_fast.matching.reader import Reader

    for before, wanted in ((wrap("x"), 2), (wrap("x", part=True), 1), (b"", 1)):
        m = matcher(core.name, FORMATS, ZONE)
        reader = Reader(core, m, source="s", gap=0, live=False, fold=False)
        # The first entry that is seen is in doubt itself, so two are needed to know.
        reader.prime(before, 0, reference=REFERENCE)
        data = wrap(LOGIN) + wrap(LOGIN)
        reader.feed(data, 0, len(data), offset=5000, reference=REFERENCE)
        assert len(reader.take()) == wanted


def test_the_stamp_of_one_line(core: Backend, wrap: Callable[..., bytes]) -> None:
    from pbs_fast.matching.reader import Reader

    reader = Reader(core, matcher(core.name, FORMATS, ZONE), source="s", gap=0, live=False, fold=True)
    assert reader.timestamp(b"noise", REFERENCE) is None
    for text in (wrap(LOGIN), wrap(LOGIN, part=True), wrap("Mar  4 01:00:00 x y: z"), wrap(LOGIN)[:-1] + b"\r\n"):
        assert reader.timestamp(text[:-1].removesuffix(b"\r"), REFERENCE) == AT
    assert reader.timestamp(b"noise", REFERENCE) is None


_RESTS = (
    LOGIN, LOGIN, "alphad[1]: LOGIN, user=otto, ip=[2001:db8::1]", "mx gamma: in: Login: rip=192.0.2.9",
    "mx gamma: in(u)<s>: Logged out", "mx deltad[12]: from 192.0.2.7", "mx deltad[12]: hello u", "mx deltad[12]: gone",
    "mx alphad: LOGIN, user=u, ip=[1.2.3]", "mx postfix/qmgr[1]: removed", "", "mx betad: Login user=é host=[::1]",
    "mx alphad: LOGIN FAILED, user=".ljust(90, "x"), "mx imapd: " + "x" * 50, "mx alphad: LOGIN, user=", "x: \"\\",
)  # fmt: skip
_INNER = (
    "", "", "Mar  4 07:00:00 ", "<22>Oct 25 02:30:00 ", "2026-10-25 02:30:00,5   ", "2020-01-01T00:00:00-0930 ",
)  # fmt: skip
_STAMPS = (TIMESTAMP, TIMESTAMP, "2026-03-04T07:00:01+01:00", "2026-10-25T00:30:00.5Z", "2026-02-30T00:00:00Z")


@given(st.integers(0, 2**64 - 1), st.sampled_from(sorted(WRAPPERS)), st.booleans(), st.sampled_from(("rust", "python")))
def test_entries_are_their_lines(share: Reporter, seed: int, name: str, is_open: bool, core: str) -> None:
    """What comes of whole entries is what comes of their lines under the runtime's timestamps, at the entries'
    offsets."""
    random, wrapped, lines = Random(seed), [], []
    for _ in range(random.randrange(1, 12)):
        timestamp, stream, rest = random.choice(_STAMPS), random.choice(("stdout", "stderr")), random.choice(_RESTS)
        wrapped.append(WRAPPERS[name](random.choice(_INNER) + rest, timestamp=timestamp, stream=stream))
        lines.append(f"{timestamp} {rest}\n".encode())
    data, plain = b"".join(wrapped), b"".join(lines)
    if is_open:
        data, plain = data[:-1], plain[:-1]
    cuts = [at for at in line_ends(data) if random.random() < 0.4]
    outcome = Outcome(core, data, cuts)
    wanted = run(core, plain, DEFAULT)
    place = {sum(map(len, lines[:i])): sum(map(len, wrapped[:i])) for i in range(len(lines))}
    assert outcome.events == [event._replace(offset=place[event.offset]) for event in wanted.events]
    assert outcome.counters == {**wanted.counters, "parts": 0}
    share(outcome.events)


@given(
    st.integers(0, 2**64 - 1),
    st.sampled_from(sorted(WRAPPERS)),
    st.sampled_from((LOGIN, f"{TIMESTAMP} {LOGIN}", f"Mar  4 07:00:00 {LOGIN}", "mx deltad[1]: from 192.0.2.7")),
    st.sampled_from(("rust", "python")),
)
def test_a_stranger_who_cuts_gains_nothing(share: Reporter, seed: int, name: str, forged: str, core: str) -> None:
    """A failed login whose name holds a whole line, cut wherever he likes, among others' entries."""
    random, wrap = Random(seed), WRAPPERS[name]
    text = f"mx alphad: LOGIN FAILED, user={'x' * random.randrange(9)}{forged}{'y' * random.randrange(9)}"
    entries: list[bytes] = []
    users: list[str] = []
    for i in range(random.randrange(1, 4)):
        at = text.index(forged)
        cuts = sorted({at, at + len(forged)} if random.random() < 0.7 else {random.randrange(len(text))})
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        for number, piece in enumerate(pieces):
            entries.append(wrap(piece, part=number < len(pieces) - 1))
            # Another process's line comes in between.
            if random.random() < 0.5:
                users.append(f"u{len(entries)}")
                entries.append(wrap(LOGIN.replace("lena", users[-1]), stream="stderr"))
        if random.random() < 0.5:
            users.append(f"w{i}")
            entries.append(wrap(LOGIN.replace("lena", users[-1])))
    data = b"".join(entries)
    cuts = [at for at in line_ends(data) if random.random() < 0.4]
    found = Outcome(core, data, cuts).events
    assert [event.user for event in found if event.ip] == users
    # From wherever reading begins, nobody comes who did not log in.
    for at in line_ends(data):
        rest = Outcome(core, data[at:], offset=at, after_others=False).events
        assert [event.user for event in rest if event.ip] == [u for u in users if u in {e.user for e in rest}]
    share(users)


def _any_log(random: Random) -> bytes:
    parts = []
    for _ in range(random.randrange(1, 9)):
        text = random.choice(_INNER) + random.choice(_RESTS)
        wrap: Any = random.choice((docker, docker, cri, cri, None))
        line = text.encode() + b"\n" if wrap is None else wrap(text, part=random.random() < 0.2)
        if random.random() < 0.4:
            line = mutate(random, line)
        if random.random() < 0.1:
            line = random.randbytes(random.randrange(40))
        if random.random() < 0.03:
            line *= random.randrange(300)
        parts.append(line)
    return b"".join(parts)


@given(st.integers(0, 2**64 - 1))
def test_any_bytes(share: Reporter, seed: int) -> None:
    """No exception, each line counted once, both backends and all cuts alike (Outcome holds the sums)."""
    random = Random(seed)
    data = _any_log(random)
    whole = Outcome("python", data)
    # What is decided, and from where on, is decided by pieces; from one wrapper on, all cuts are alike.
    cuts = [at for at in line_ends(data) if random.random() < 0.4]
    pieces = {core: Outcome(core, data, cuts) for core in ("rust", "python")}
    assert pieces["rust"].events == pieces["python"].events
    assert pieces["rust"].counters == pieces["python"].counters
    assert pieces["rust"].batches == pieces["python"].batches
    share(whole.events)


@pytest.mark.system
def test_an_entry_costs_the_same_among_many(wrap: Callable[..., bytes]) -> None:
    def prepare(entries: int) -> Callable[[], object]:
        data = wrap(f"Mar  4 07:00:00 {LOGIN}") * entries

        def read() -> None:
            assert len(Outcome("python", data).events) == entries

        return read

    assert growth(prepare, 500, 16) < 32
