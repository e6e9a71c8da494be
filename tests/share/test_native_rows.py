"""Messages of rows that the native backend reads and writes: the same Message, Refusal or bytes as without it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbs_fast.events import Grant
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.share.message import (
    LONGEST_HOST,
    LONGEST_USER,
    MOST_ROWS,
    Message,
    Refusal,
    Row,
    Writer,
    acceptable,
    decode,
    sign,
    stream_of,
)
from pbs_fast.share.own_rows import NativeRows, Own, carried, native_lists, travelling

_core = pytest.importorskip("pbs_fast._core")
WRITES = NativeRows(_core.shared_lists, _core.doubtful_rows)

NODE, SECRET = "pop1", b"a secret"
STREAM = stream_of("site", NODE)
NOW = 1_796_026_397_151
ROW = Row("192.0.2.1", 1_799_803, "anna@example.org", "dovecot", "mx1", 197)
TEXT = json.dumps(ROW, separators=(",", ":"))

#: Values, between blanks, that a node may write that is broken, or who else has the secret.
WORDS = r"""
0 1 -1 -0 007 1.0 1e3 1E400 NaN Infinity -Infinity true null [] {} [[[]]] {"r":[]} "a","b" "unfinished
"" "a" "\u0061" "\ud800" "\ud83d\ude00" "\u0000" "\n" "\"" "192.0.2.01" "1.2.3" "0.0.0.0" "255.255.255.256" "::" "::1"
"::1.2.3.4" "::ffff:192.0.2.1" "2001:db8::1" "2001:DB8::1" "2001:db8:0:0::1" "1::2:3:4:5:6:7" "fe80::1%eth0"
"64:ff9b::192.0.2.1" "::2:3:4:5:6:7:8" "::192.0.2.1" "::ffff:0:192.0.2.1" "1:0:0:2::"
"""
TEXTS = ("\t", "\x7f", "ä", "\u200b", "\ufeff", "\u2028", "\u0301", "\U0010ffff", "192.0.2.1 ", " ")
LENGTHS = (32, 33, 64, 65, 127, 128, 129, 255, 256, 257)
HOSTILE = [
    *WORDS.split(),
    *map(str, (10**14, 10**15 - 1, 10**15, (1 << 53) - 1, 1 << 53, 1 << 64, 10**400)),
    *(f'"{text}"' for text in (*TEXTS, *(each * count for each in "xä" for count in LENGTHS))),
    *("[" * 1200, " 1", "1 ", ""),
]

texts = st.text(st.characters(exclude_categories=["C"]) | st.sampled_from('"\\ aZ~'), max_size=12)
plain = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=12)
addresses = st.ip_addresses().map(lambda address: str(getattr(address, "ipv4_mapped", None) or address))
numbers = st.integers(0, 10**15 - 1)
rows = st.builds(Row, addresses, numbers, st.none() | texts, texts, texts, numbers).filter(acceptable)
plain_rows = st.builds(Row, addresses, numbers, st.none() | plain, plain, plain, numbers).filter(acceptable)


def both(m: bytes) -> Message | Refusal:
    """The result with and without the native backend, which is one."""
    s = sign(SECRET, STREAM, m)
    slow = decode(NODE, STREAM, m, s, [SECRET])
    quick = decode(NODE, STREAM, m, s, [SECRET], _core.shared_rows)
    assert quick == slow
    assert repr(quick) == repr(slow)  # types too: 1 == 1.0 == True
    return quick


def messages(given_rows: list[Row]) -> list[bytes]:
    return [entry.m for entry in Writer(STREAM, "9f2c41aa", SECRET).rows(NOW, given_rows)]


@given(st.lists(plain_rows, min_size=1, max_size=5))
@example([ROW] * MOST_ROWS)
def test_what_nodes_write_is_read_natively(given_rows: list[Row]) -> None:
    [m] = messages(given_rows)
    assert _core.shared_rows(m, 200, 64, 256, 64, 255) == ("9f2c41aa", 1, NOW, tuple(given_rows))
    assert both(m) == Message("9f2c41aa", 1, NOW, tuple(given_rows))


def test_no_json_is_parsed_then(monkeypatch: pytest.MonkeyPatch) -> None:
    [m] = messages([ROW])
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("JSON"))
    assert isinstance(decode(NODE, STREAM, m, sign(SECRET, STREAM, m), [SECRET], _core.shared_rows), Message)


@given(st.lists(rows, min_size=1, max_size=5))
def test_texts_of_all_scripts_are_the_same(given_rows: list[Row]) -> None:
    for m in messages(given_rows):
        assert isinstance(both(m), Message)


_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|\d+|null')


@given(st.lists(rows, min_size=1, max_size=3), st.data())
def test_hostile_values_are_the_same(given_rows: list[Row], data: st.DataObject) -> None:
    m = messages(given_rows)[0].decode()
    for _ in range(data.draw(st.integers(1, 2))):
        places = [*_VALUE.finditer(m)]
        place = places[data.draw(st.integers(0, len(places) - 1))]
        m = m[: place.start()] + data.draw(st.sampled_from(HOSTILE)) + m[place.end() :]
    both(m.encode())


@pytest.mark.parametrize("place", range(6))
def test_each_hostile_value_is_the_same_in_each_place(place: int) -> None:
    for value in HOSTILE:
        fields = ['"192.0.2.1"', "1", '"anna"', '"dovecot"', '"mx1"', "5"]
        fields[place] = value
        both(f'{{"v":1,"b":"a","q":1,"t":1,"k":"rows","r":[[{",".join(fields)}]]}}'.encode())


def _changed(change: Callable[[str], str]) -> bytes:
    [m] = messages([ROW])
    return change(m.decode()).encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.replace('"q":', '"q":5,"q":'),
        lambda m: m.replace("]}", '],"r":[]}'),
        lambda m: m.replace("]}", '],"k":"beat"}'),
        lambda m: m.replace(',"k":"rows"', "").replace("{", '{"k":"rows",'),
        lambda m: m.replace(",", ", "),
        lambda m: f" {m}",
        lambda m: f"{m}\n",
        lambda m: f"{m}{m}",
        lambda m: f"\ufeff{m}",
        lambda m: m.replace("anna", "ann\udce4"),
        lambda m: m.replace("]]", "],[]]"),
        lambda m: m.replace("]]", "],]"),
        lambda m: m.replace("[[", "[") + "]",
        lambda m: m.replace('"v":1', '"v":1.0'),
        lambda m: m.replace('"v":1', '"v":true'),
        lambda m: m.replace('"k":"rows"', '"k":"r\\u006fws"'),
        lambda m: m[: m.index('"r"')] + '"r":[]}',
        lambda m: m.replace("[[", f"[{TEXT},["),
        lambda m: m.replace("[[", f"[{f'{TEXT},' * MOST_ROWS}["),
    ],
)
def test_other_forms_are_the_same(change: Callable[[str], str]) -> None:
    both(_changed(change))


@given(st.lists(rows, min_size=1, max_size=2), st.data())
def test_damaged_messages_are_the_same(given_rows: list[Row], data: st.DataObject) -> None:
    m = bytearray(messages(given_rows)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        m[data.draw(st.integers(0, len(m) - 1))] = data.draw(st.integers(0, 255))
    both(bytes(m))
    both(bytes(m[: data.draw(st.integers(0, len(m)))]))


GRACE = 1_800
#: The ledger's clock; its fraction decides how times are rounded.
times = st.floats(1_796_000_000, 1_796_000_100) | st.integers(1_796_000_000, 1_796_000_100).map(float)
grants = st.builds(
    Grant,
    st.integers(1_795_999_990, 1_796_004_000),
    st.none() | texts,
    texts,
    st.sampled_from(["new", "session"]),
    texts,
)


class KnownRows(Ledger):
    """A ledger with these rows, and with logins that are not one grace before their ends."""

    def __init__(self, given_rows: list[Own], *, sessions: bool) -> None:
        super().__init__(GRACE)
        self._rows.update(given_rows)
        if sessions:
            self._held.newest.update((ip, own.expires - 7) for ip, own in given_rows[::2])


def written(given_rows: list[Own], now: float, *, sessions: bool) -> list[bytes]:
    """The messages with and without the native backend, which are the same."""
    ledger = KnownRows(given_rows, sessions=sessions)
    ips = [ip for ip, _ in given_rows]
    slow = [*Writer(STREAM, "9f2c41aa", SECRET).rows(NOW, travelling(ledger, ips, now, GRACE))]
    assert [*Writer(STREAM, "9f2c41aa", SECRET).lists(NOW, native_lists(WRITES, ledger, ips, now, GRACE))] == slow
    return [entry.m for entry in slow]


@given(st.dictionaries(addresses, grants, max_size=5), times, st.booleans())
def test_what_is_written_natively_is_the_same(given_rows: dict[str, Grant], now: float, sessions: bool) -> None:
    written([*given_rows.items()], now, sessions=sessions)


@pytest.mark.parametrize("user", [None, "anna@example.org", "a" * LONGEST_USER, "ä" * (LONGEST_USER // 2), '"\\' * 100])
@pytest.mark.parametrize("sessions", [False, True])
def test_messages_end_at_the_same_row(user: str | None, sessions: bool) -> None:
    given_rows = [
        (f"192.0.2.{n % 250}.{n // 250}", Grant(1_796_001_000 + n, user, "dovecot", "new", "h" * (n % LONGEST_HOST)))
        for n in range(3 * MOST_ROWS)
    ]
    assert len(written(given_rows, 1_796_000_500.25, sessions=sessions)) >= 2


def test_control_characters_are_the_same() -> None:
    """No row that is sent has them."""
    text = "".join(map(chr, range(0xD800)))
    written([("192.0.2.1", Grant(1_796_000_100, text[:200], text[100:], "new", ""))], 1_796_000_000.5, sessions=False)


hostile_texts = (
    texts | st.text(max_size=3) | st.sampled_from(["a" * 256, "a" * 257, "é" * 129, "\x7f", "\ud800", "a\n"])
)


@given(st.lists(st.tuples(st.none() | hostile_texts, hostile_texts, hostile_texts), max_size=4))
def test_rows_that_nobody_takes_are_the_same(named: list[tuple[str | None, str, str]]) -> None:
    given_rows = [
        (f"192.0.2.{n}", Grant(1, user, format_, "new", host)) for n, (user, format_, host) in enumerate(named)
    ]
    assert carried(given_rows, WRITES) == carried(given_rows)
