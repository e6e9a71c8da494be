"""What the Python backend remembers or leaves out is what the exact grammar and the patterns themselves say."""

from __future__ import annotations

import re
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends import models
from backends.inline import FORMATS, UTC, patterns_of
from backends.running import DEFAULT, run
from backends.test_sieve import ODD, head
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.python import envelope
from pbs_fast.matching.python.address import canonical
from pbs_fast.matching.python.catalogue import Matcher
from pbs_fast.matching.python.classes import with_bitmaps
from pbs_fast.matching.python.starts import LENGTH, may_start, starts
from pbs_fast.matching.python.success import Success
from pbs_fast.matching.python.tags import Routes

Reporter = Callable[[object], None]
#: Bytes of drawn messages: what bounds fields in logs, and some of every kind.
_BYTES = b" :,.[]()<>=-'\"/@a0Z9fxu_\t\n\x01\x80\xff"

PATTERNS = sorted({p for fmt in (*load_catalogue(), *FORMATS) for p in patterns_of(fmt)})
#: Everything that a pattern may begin with, in forms that are easily read wrong.
TRICKY = (
    "", "a?", "a?b", "ab??c", "(?:ab|c)?d", "(?:ab)?", "a|", "|a", "(a|b|)c", "a*b", "a+b", "a{2}b", "a{0}b", "a{,2}b",
    "(?:a|b*)c", "(?:ab){2,3}c", "[ab]c", r"[]a]b", r"[^]\]]a", r"\[a\]", r"\.?\*", r"\d2", r"\n", "a.b", "(?P<ip>a)b",
    "(?:a(?:b|c(?:d|)))e", "(?:abcdef|ab)gh", "a}", "a{b", "(?i:a)b", "ab(?#x)c", "abcdefghij?",
    "(?:abcdef?){1}x",
)  # fmt: skip


@pytest.mark.parametrize("pattern", [*PATTERNS, *TRICKY])
def test_a_message_starts_as_its_pattern_may(pattern: str) -> None:
    """Fifty messages of each, drawn here because hypothesis's own strategy takes a hundred times as long."""
    random, compiled, may = Random(pattern), re.compile(pattern.encode()), starts(pattern)
    parsed = parser.parse(pattern.encode())
    messages = {message for _ in range(50) if compiled.fullmatch(message := _message(parsed, random))}
    assert messages, "some drawn message is one of the pattern"
    for message in messages:
        assert may_start(may, message[:LENGTH]), message


@cache
def _held(members: tuple[tuple[object, object], ...]) -> list[int]:
    """Of the bytes that a set holds those that are drawn: some of `_BYTES`, else all."""
    held = [byte for byte in range(256) if _is_in(list(members), byte)]
    return [byte for byte in _BYTES if byte in held] or held


def _message(part: object, random: Random) -> bytes:
    """Text that a parsed pattern may stand for; what look-arounds and atomic groups ask for is left to the caller."""
    match part:
        case parser.SubPattern() | list():
            return b"".join(_message(one, random) for one in part)
        case (parser.LITERAL, code):
            return bytes([code])
        case (parser.NOT_LITERAL, code):
            return bytes([random.choice([byte for byte in _BYTES if byte != code])])
        case (parser.ANY, _):
            return bytes([random.choice([byte for byte in _BYTES if byte != 10])])
        case (parser.IN, members):
            return bytes([random.choice(_held(tuple(members)))])
        case (parser.MAX_REPEAT | parser.MIN_REPEAT, (least, most, body)):
            times = random.randint(least, min(most, least + 3))
            return b"".join(_message(body, random) for _ in range(times))
        case (parser.BRANCH, (_, branches)):
            return _message(random.choice(branches), random)
        case (parser.SUBPATTERN, (*_, body)) | (parser.ATOMIC_GROUP, body):
            return _message(body, random)
        case (parser.AT | parser.ASSERT | parser.ASSERT_NOT, _):
            return b""
    raise ValueError(part)


def test_starts_tell_messages_apart() -> None:
    """Nothing of the catalogue is tried on everything, save where a server's lines start with a name or a number."""
    catalogue = load_catalogue()
    for fmt in catalogue:
        others = {tag for other in catalogue if other is not fmt for tag in (*other.program, *other.tls_program)}
        if others & {*fmt.program, *fmt.tls_program}:
            # The end of a session may start with a number; it is tried last.
            first = (p for p in patterns_of(fmt) if p not in fmt.session_end)
            # Plesk's Courier puts the second in front of an end.
            assert all(starts(p) == {b"1"} or min(map(len, starts(p))) >= 4 for p in first), fmt.name
    assert starts("a?b(?:cd|e)f") == {b"abcdf", b"abef", b"bcdf", b"bef"}
    assert starts("ab[cd]e") == {b"ab"}
    assert not may_start(starts("imap-login: x"), b"lmtp(")


_MESSAGES = (
    b"x", b"", b"[ID 1 a.b] x", b" x", b"\xef\xbb\xbfx", b'- [a b="]"] x', b"message repeated 2 times: [x]",
    b"[ID 1 a.b] message repeated 2 times: [x]", b"[ID 1 a.b] [ID 2 a.b] x",
)  # fmt: skip


@pytest.mark.system
@pytest.mark.parametrize("formats", [FORMATS, (ODD,), load_catalogue()], ids=["9gammas", "odd", "all"])
@given(st.integers(0, 2**64 - 1))
def test_remembered_heads_are_those_of_the_grammar(share: Reporter, formats: tuple, seed: int) -> None:  # type: ignore[type-arg]
    """Whatever the sieve takes apart and the memory knows is read as the exact grammar reads the whole line."""
    routes = Routes(formats)
    matcher = Matcher(formats, UTC)
    layout, timestamps = matcher._layouts["syslog"], matcher._timestamps
    random, known = Random(seed), 0
    for _ in range(40):
        line = head(random) + random.choice(_MESSAGES)
        candidate = layout.sieve.match(b"\n" + line + b"\n")
        if candidate is None or candidate[6] is None or candidate[1] is None:
            continue
        places, _, _, before = layout.heads(timestamps)[candidate[1]]
        place = places[candidate[3]]
        if place is None:
            continue
        known += 1
        m = envelope.LINE.match(line)
        assert m is not None, line
        read = envelope.envelope_of(m)
        assert read[:3] == (before + candidate[2] + place[0], *place[3]), line
        procid = candidate[5]
        assert read.pid == (candidate[4] if procid is None else procid if procid.isdigit() else None), line
        assert line[m.end() :] == candidate[6], line
        assert read.tag is not None
        route = routes.by_tag[read.tag]
        assert route is not None
        assert (place[-2], place[-1] is None) == (route.cut, route.nested is None)
    share(known)


@pytest.mark.parametrize(
    "pattern", [*PATTERNS, *TRICKY, r"\[^ab]", r"[^\]a]", r"[^]a]", r"[^\\\]]x[a[^b]", r"[^\n ]", "[^-a]"]
)
def test_sets_with_bitmaps_hold_the_same(pattern: str) -> None:
    """Each set by itself, and what is around them as it was."""
    written = with_bitmaps(pattern.encode())
    before, after = parser.parse(pattern.encode()), parser.parse(written)
    assert _spelled(before) == _spelled(after)


def _spelled(part: object) -> object:
    """A parsed pattern with each set as the bytes that are in it."""
    match part:
        case (parser.IN, members):
            return bytes(byte for byte in range(256) if _is_in(members, byte))
        case (parser.NOT_LITERAL, code):
            return bytes(byte for byte in range(256) if byte != code)
        case parser.SubPattern() | list() | tuple():
            return [_spelled(one) for one in part]
    return part


def _is_in(members: list[tuple[object, object]], byte: int) -> bool:
    found, negated = False, False
    for kind, value in members:
        match kind, value:
            case parser.NEGATE, _:
                negated = True
            case parser.LITERAL, code:
                found = found or byte == code
            case parser.RANGE, (low, high):
                found = found or low <= byte <= high
            case parser.CATEGORY, _:
                found = found or chr(byte).isdigit()
    return found != negated


@pytest.mark.parametrize(
    "text",
    [
        "2001:db8::", "::1", "1::2", "1:2:3:4:5:6::8", "1:2:3:4:5::8", "1:2:3:4:5:6:7::", "1::0:2", "1::2::3", "1:::2",
        "a::b:C", "a::01", "a::b:1.2.3.4", "1:2:3:4::5:6:7:8", "1:2:3:4::5:6:7", "1::f", ":1::2", "1::2:", "1::12345",
        "::ffff:1.2.3.4", "::ffff:1.2.3.04", "::FFFF:1.2.3.4", "0:0::ffff:1.2.3.4", "::ffff:1:2",
    ],
)  # fmt: skip
def test_addresses_that_are_read_quickly(text: str) -> None:
    assert canonical(text.encode()) == models.address(text)


def test_octets_are_the_numbers_to_255() -> None:
    read = {number for number in map(str, [*range(1000), "00", "01", "001"]) if canonical(f"1.{number}.2.3".encode())}
    assert read == {str(number) for number in range(256)}


@given(st.lists(st.text("ab:c ", min_size=1, max_size=6), max_size=6), st.text("ab:c ", max_size=20))
def test_hints_keep_nothing_back(texts: list[str], message: str) -> None:
    success = Success([("x", texts)])
    found = any(text in message for text in texts)
    assert (success.find(message.encode()) is not None) == found
    assert any(hint in message.encode() for hint in success.hints) or not found


def test_one_carriage_return_changes_no_other_line() -> None:
    line = b"Mar  4 07:12:09 mx imaps: login: [192.0.2.7] lena plaintext User logged in\n"
    setting = replace(DEFAULT, formats=load_catalogue())
    plain, mixed = (run("python", text, setting).events for text in (line * 3, line + line[:-1] + b"\r\n" + line))
    assert [event[1:] for event in plain] == [event[1:] for event in mixed]
    assert len(plain) == 3


@pytest.mark.parametrize(
    ("timestamp", "events"),
    [
        ("Mar  4 07:12:09", 1), ("Mar  4 07:12:09.123456789", 1), ("Mar  4 07:12:09.1234567890", 0),
        ("Mar  4 07:12:09+01:00", 0), ("2026-03-04T07:12:09.5+01:00", 1), ("2026-03-04T07:12:09.1234567890+01:00", 0),
        ("<1>1 2026-03-04T07:12:09", 0), ("2026-03-04T07:12:09+01:0", 0), ("Mar  4 07:1x:09", 0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("core", ["rust", "python"])
def test_stamps_that_the_sieve_takes_apart_are_exact(core: str, timestamp: str, events: int) -> None:
    line = f"{timestamp} mx alphad: LOGIN, user=lena, ip=[192.0.2.7]\n".encode()
    assert len(run(core, line).events) == events
