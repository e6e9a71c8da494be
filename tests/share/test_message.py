"""Messages: what is encoded is decoded, what is changed is refused, and no bytes make the decoder fail."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.events import Grant
from pbs_fast.share.message import (
    MOST_BYTES,
    MOST_ROWS,
    VERSION,
    Beat,
    Entry,
    Message,
    Revoke,
    Row,
    Writer,
    acceptable,
    acceptable_revoke,
    decode,
    sign,
    stream_of,
)
from pbs_fast.share.own_rows import carried

NODE, SECRET = "pop-1", b"a secret"
STREAM = stream_of("site", NODE)

text = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=' "\\'), max_size=40)
addresses = st.ip_addresses().map(lambda address: str(getattr(address, "ipv4_mapped", None) or address))
whole = st.integers(0, (1 << 53) - 1)
rows = st.builds(Row, addresses, whole, st.none() | text, text, text, whole).filter(acceptable)
revokes = st.builds(
    Revoke,
    st.sampled_from(["user", "node"]),
    text.filter(bool),
    st.integers(0, 1 << 40).map(lambda ms: ms / 1000),
    st.integers(0, 10**15 - 1),
    text,
    text,
).filter(lambda each: acceptable_revoke(NODE, each))
beats = st.builds(Beat, whole, st.just("0.2.0"), whole, st.dictionaries(text, whole, max_size=5), whole)


def read(entry: Entry, secrets: tuple[bytes, ...] = (SECRET,)) -> Message:
    found = decode(NODE, STREAM, entry.m, entry.s, secrets)
    assert isinstance(found, Message), found
    return found


def writer() -> Writer:
    return Writer(STREAM, "9f2c41aa", SECRET)


@given(st.lists(rows, max_size=30), whole)
def test_rows_come_back(given_rows: list[Row], time: int) -> None:
    entries = list(writer().rows(time, given_rows))
    messages = [read(entry) for entry in entries]
    assert [row for message in messages for row in message.rows] == given_rows
    assert [message.number for message in messages] == list(range(1, len(messages) + 1))
    assert all((message.run, message.time, message.refused) == ("9f2c41aa", time, 0) for message in messages)


@given(st.lists(revokes, max_size=10), beats, whole)
def test_revocations_and_beats_come_back(given_revokes: list[Revoke], beat: Beat, time: int) -> None:
    out = writer()
    found = [each for entry in out.revokes(time, NODE, given_revokes) for each in read(entry).revokes]
    assert found == given_revokes
    assert read(out.beat(time, beat)).beat == beat


@pytest.mark.parametrize("size", [1, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS])
@pytest.mark.parametrize("long", [False, True])
def test_messages_are_bounded(size: int, long: bool) -> None:
    user = '"' * 256 if long else "anna@example.org"
    given_rows = [
        Row(f"192.0.{n >> 8}.{n & 255}", 1, user, "dovecot", "h" * 255 if long else "mx", 1) for n in range(size)
    ]
    entries = list(writer().rows(1, given_rows))
    assert all(len(entry.m) <= MOST_BYTES for entry in entries)
    assert [row for entry in entries for row in read(entry).rows] == given_rows
    if not long:
        assert len(entries) == -(-size // MOST_ROWS)


def test_a_beat_is_bounded() -> None:
    entry = writer().beat(1, Beat(1, "0", 1, {f"{n:0250}": n for n in range(1_000)}, 1))
    assert len(entry.m) <= MOST_BYTES
    assert read(entry).beat is not None


@given(st.lists(rows, min_size=1, max_size=2), st.data())
def test_each_changed_byte_is_refused(given_rows: list[Row], data: st.DataObject) -> None:
    entry = next(iter(writer().rows(1_796_026_397_151, given_rows)))
    place = data.draw(st.integers(0, len(entry.m) + len(entry.s) - 1))
    bits = data.draw(st.integers(1, 255))
    whole_entry = bytearray(entry.m + entry.s)
    whole_entry[place] ^= bits
    m, s = bytes(whole_entry[: len(entry.m)]), bytes(whole_entry[len(entry.m) :])
    assert decode(NODE, STREAM, m, s, [SECRET]) == "signature"


def test_every_single_byte_counts() -> None:
    entry = next(iter(writer().rows(1, [Row("192.0.2.1", 1_000, "anna", "dovecot", "mx1", 5)])))
    for place in range(len(entry.m)):
        m = bytearray(entry.m)
        m[place] ^= 1
        assert decode(NODE, STREAM, bytes(m), entry.s, [SECRET]) == "signature"
    for cut in range(16):
        assert decode(NODE, STREAM, entry.m, entry.s[:cut], [SECRET]) == "signature"


def test_a_message_is_worth_nothing_in_another_stream_or_with_another_secret() -> None:
    entry = writer().beat(1, Beat(1, "0", 1, {}, 1))
    other = stream_of("site", "pop-2")
    assert decode("pop-2", other, entry.m, entry.s, [SECRET]) == "signature"
    assert decode(NODE, STREAM, entry.m, entry.s, [b"another"]) == "signature"
    assert decode(NODE, STREAM, entry.m, entry.s, []) == "signature"
    assert isinstance(decode(NODE, STREAM, entry.m, entry.s, [b"the new one", SECRET]), Message)


def signed(m: bytes) -> Message | str:
    return decode(NODE, STREAM, m, sign(SECRET, STREAM, m), [SECRET])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("192.0.2.1"),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.sampled_from("vbqtkr") | st.text(max_size=4), inner),
    max_leaves=20,
)


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_bytes_are_refused(m: bytes, s: bytes) -> None:
    assert decode(NODE, STREAM, m, s, [SECRET]) == "signature"
    assert signed(m) in ("malformed", "too_long")


@given(
    st.dictionaries(st.sampled_from(["v", "b", "q", "t", "k", "r", "rows", "ver", "grace", "rv", "up"]), json_values)
)
def test_any_signed_json_is_read_or_refused(share: Callable[[object], None], record: dict[str, object]) -> None:
    """Whoever has the secret may be broken too."""
    head = {"v": VERSION, "b": "x", "q": 1, "t": 1, "k": "rows"}
    for kind in ("rows", "revoke", "beat", "sent"):
        found = signed(json.dumps({**head, **record, "k": record.get("k", kind)}).encode())
        assert isinstance(found, Message) or found in ("malformed", "too_long")
    share("r" in record)


@given(st.lists(json_values, min_size=6, max_size=6), st.integers(0, 5))
def test_a_row_with_a_wrong_field_is_left_out(values: list[object], place: int) -> None:
    good: list[object] = ["192.0.2.1", 5, "anna", "dovecot", "mx", 7]
    bad = [*good[:place], values[place], *good[place + 1 :]]
    m = json.dumps({"v": 1, "b": "x", "q": 1, "t": 1, "k": "rows", "r": [good, bad, good]}).encode()
    found = signed(m)
    assert isinstance(found, Message)
    assert len(found.rows) + found.refused == 3
    assert all(acceptable(row) for row in found.rows)


@pytest.mark.parametrize(
    "row",
    [
        ["192.0.2.01", 1, None, "f", "h", 1],
        ["::ffff:192.0.2.1", 1, None, "f", "h", 1],
        ["2001:DB8::1", 1, None, "f", "h", 1],
        ["192.0.2.1", -1, None, "f", "h", 1],
        ["192.0.2.1", 1.5, None, "f", "h", 1],
        ["192.0.2.1", True, None, "f", "h", 1],
        ["192.0.2.1", 1 << 53, None, "f", "h", 1],
        ["192.0.2.1", 1, "a\nb", "f", "h", 1],
        ["192.0.2.1", 1, "\u202e", "f", "h", 1],
        ["192.0.2.1", 1, "\ud800", "f", "h", 1],
        ["192.0.2.1", 1, "é" * 129, "f", "h", 1],
        ["192.0.2.1", 1, None, "f" * 65, "h", 1],
        ["192.0.2.1", 1, None, "f", "h" * 256, 1],
        ["192.0.2.1", 1, None, "f", None, 1],
        ["192.0.2.1", 1, None, "f", "h"],
        ["192.0.2.1", 1, None, "f", "h", 1, 1],
    ],
)
def test_a_row_beyond_its_bounds_is_counted(row: list[object]) -> None:
    m = json.dumps({"v": 1, "b": "x", "q": 1, "t": 1, "k": "rows", "r": [row]}).encode()
    assert signed(m) == Message("x", 1, 1, refused=1)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "pop-2-7"},
        {"id": "pop-1-"},
        {"id": "pop-1--7"},
        {"id": "pop-1-\u0667"},
        {"user": ""},
        {"user": "a\0b"},
        {"ip": "192.0.2.1"},
        {"until": float("nan")},
        {"until": -1},
        {"until": True},
        {"why": "w" * 501},
        {"by": None},
    ],
)
def test_a_revocation_beyond_its_bounds_is_counted(change: dict[str, object]) -> None:
    good = {"user": "mallory", "until": 5.25, "id": "pop-1-7", "by": "root", "why": ""}
    head = {"v": 1, "b": "x", "q": 1, "t": 1, "k": "revoke"}
    found = signed(json.dumps({**head, "r": [good, {**good, **change}]}).encode())
    assert found == Message("x", 1, 1, revokes=(Revoke("user", "mallory", 5.25, 7, "root", ""),), refused=1)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"v": 2}, "malformed"),
        ({"q": -1}, "malformed"),
        ({"t": "1"}, "malformed"),
        ({"b": "x" * 65}, "malformed"),
        ({"k": 1}, "malformed"),
        ({"r": {}}, "malformed"),
        ({"r": [[]] * (MOST_ROWS + 1)}, "too_long"),
        ({"r": ["x" * MOST_BYTES]}, "too_long"),
    ],
)
def test_a_message_beyond_its_bounds_is_refused(change: dict[str, object], refusal: str) -> None:
    record = {"v": 1, "b": "x", "q": 1, "t": 1, "k": "rows", "r": []}
    assert isinstance(signed(json.dumps(record).encode()), Message)
    assert signed(json.dumps({**record, **change}).encode()) == refusal


def test_nesting_is_no_trap() -> None:
    assert signed(b"[" * 30_000) == "malformed"


def test_kinds_of_later_versions_are_passed_over() -> None:
    m = json.dumps({"v": 1, "b": "x", "q": 3, "t": 1, "k": "sent", "r": [1]}).encode()
    assert signed(m) == Message("x", 3, 1)


def one_by_one(rows: list[Row]) -> list[int]:
    """How many rows each message has if a row begins a new one where it does not fit."""
    counts, size = [0], 0
    for row in rows:
        length = len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()) + 1
        if counts[-1] == MOST_ROWS or (counts[-1] and size + length > MOST_BYTES - 256):
            counts, size = [*counts, 0], 0
        counts[-1] += 1
        size += length
    return counts


@pytest.mark.parametrize("length", [0, 60, 112, 113, 114, 115, 116, 117, 250])
@pytest.mark.parametrize("letter", ["a", "é", '"'])
def test_a_message_holds_as_many_rows_as_fit(length: int, letter: str) -> None:
    given_rows = [
        Row("192.0.2.1", n, letter * (length // len(letter.encode())), "dovecot", "mx1", n) for n in range(450)
    ]
    found = [read(entry).rows for entry in writer().rows(1, given_rows)]
    assert [row for some in found for row in some] == given_rows
    assert [len(some) for some in found] == one_by_one(given_rows)


def test_the_last_row_that_fits_fits_to_the_byte() -> None:
    most = set()
    for length in range(256):
        given_rows = [
            Row("192.0.2.1", 100, "a" * (length if n == 0 else 121), "dovecot", "mx1", 100) for n in range(200)
        ]
        entries = list(writer().rows(1, given_rows))
        assert [len(read(entry).rows) for entry in entries] == one_by_one(given_rows)
        most.add(len(entries[0].m.partition(b'"r":')[2]) - 1)
    assert max(most) == MOST_BYTES - 255, "some message is as long as any may be"


@given(st.lists(st.tuples(st.none() | text | st.sampled_from(["a" * 256, "é" * 129, "\n"]), text, text), max_size=4))
def test_rows_judged_together_are_judged_as_each_by_itself(texts: list[tuple[str | None, str, str]]) -> None:
    longer = [(None, "f" * 65, "h"), (None, "f", "h" * 256), ("a" * 65, "f", "h"), ("a" * 257, "f", "h")]
    for more in ([], *([each] for each in longer)):
        given_rows = [
            (f"192.0.2.{n}", Grant(1, user, format_, "new", host))
            for n, (user, format_, host) in enumerate([*texts, *more])
        ]
        taken, others = carried(given_rows)
        fit = [acceptable((ip, 0, own.user, own.format, own.host, 0)) for ip, own in given_rows]
        assert list(taken) == [each for each, good in zip(given_rows, fit, strict=True) if good]
        assert others == [own for (_, own), good in zip(given_rows, fit, strict=True) if not good]
