"""The netstring codec: any stream, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from pbs_fast.serving.netstring import Decoder, NetstringError, encode

LIMIT = 10_000


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(0, 10_000), max_size=30))
def test_what_is_encoded_is_decoded_however_it_is_cut(contents: list[bytes], places: list[int]) -> None:
    decoder = Decoder(LIMIT)
    found: list[bytes] = []
    pieces = cut(b"".join(map(encode, contents)), places)
    event(f"pieces: {'many' if len(pieces) > 5 else 'few'}")
    for piece in pieces:
        found += decoder.feed(piece)
    assert found == contents
    assert not decoder.partial


VALID = [b"0:,", b"1:a,", b"3:a:,,", b"16:pbs 198.51.100.7,", b"10:0123456789,"]
OTHER = [b"1", b":", b",", b"01:a,", b"x", b" ", b"2:ab;", b"10001:", b"99999999", b"-1:,", b"3:ab", b"\xb2:", b"+1:a,"]
STREAMS = st.tuples(
    st.lists(st.sampled_from(VALID), max_size=6),
    st.lists(st.sampled_from(VALID + OTHER), max_size=2),
    st.integers(0, 3),
).map(lambda parts: b"".join(parts[0] + parts[1])[: -parts[2] or None])


def reference(stream: bytes) -> tuple[list[bytes], str]:
    """What the format's text says of a whole stream: its contents, and how it ends."""
    found: list[bytes] = []
    while stream:
        digits = 0
        while digits < len(stream) and stream[digits] in b"0123456789":
            digits += 1
        number = stream[:digits]
        if digits > 5 or (digits > 1 and number[:1] == b"0"):
            return found, "fault"
        if digits == len(stream):
            return found, "partial"
        if digits == 0 or stream[digits : digits + 1] != b":" or int(number) > LIMIT:
            return found, "fault"
        size = int(number)
        if len(stream) <= digits + 1 + size:
            return found, "partial"
        if stream[digits + 1 + size : digits + 2 + size] != b",":
            return found, "fault"
        found.append(stream[digits + 1 : digits + 1 + size])
        stream = stream[digits + 2 + size :]
    return found, "end"


ENDS = {"end": 0, "partial": 0, "fault": 0}


@given(STREAMS, st.lists(st.integers(0, 200), max_size=10))
def test_any_stream_is_taken_as_the_format_says(stream: bytes, places: list[int]) -> None:
    expected, end = reference(stream)
    ENDS[end] += 1
    decoder = Decoder(LIMIT)
    found: list[bytes] = []
    try:
        for byte in stream:  # one at a time, so that a fault loses nothing that came before
            found += decoder.feed(bytes([byte]))
        seen = "partial" if decoder.partial else "end"
    except NetstringError:
        seen = "fault"
    if not (end == "partial" and seen == "fault"):  # more digits than any length has are seen as soon as they come
        assert seen == end
    assert found == expected
    if end != "fault":
        again = Decoder(LIMIT)
        assert [content for piece in cut(stream, places) for content in again.feed(piece)] == expected


def test_the_streams_above_end_in_all_ways() -> None:
    """Runs after the property: each kind of end made up a fair share of its examples."""
    if not sum(ENDS.values()):
        pytest.skip("the property did not run")
    assert min(ENDS.values()) >= 0.05 * sum(ENDS.values()), ENDS


@pytest.mark.parametrize("stream", [b"10001:", b"100000", b"01:a,", b"00:,", b":", b"a", b"1:ab", b"-1:,", b" 1:a,"])
def test_faults_are_seen_at_once(stream: bytes) -> None:
    with pytest.raises(NetstringError):
        Decoder(LIMIT).feed(stream)


def test_the_limit_itself_is_taken() -> None:
    assert Decoder(LIMIT).feed(encode(b"x" * LIMIT)) == [b"x" * LIMIT]
