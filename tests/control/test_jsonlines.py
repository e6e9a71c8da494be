"""The decoder of JSON lines: any stream, cut anywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.serving.framing import FramingError
from pbs_fast.serving.jsonlines import Decoder
from tables.test_netstring import cut

LIMIT = 50
_SHORT = st.binary(max_size=20)
LINES = st.lists(
    st.one_of(_SHORT, _SHORT, st.binary(max_size=LIMIT + 2)).map(lambda line: line.replace(b"\n", b"")), max_size=8
)


def feed_all(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    """The lines until the first fault, and whether there was one."""
    decoder = Decoder(LIMIT)
    found: list[bytes] = []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
            assert len(decoder._buffer) < LIMIT
    except FramingError:
        return found, True
    return found, False


@given(LINES, st.binary(max_size=60), st.lists(st.integers(0, 500), max_size=20))
def test_lines_come_out_however_they_were_cut(
    share: Callable[[object], None], lines: list[bytes], rest: bytes, places: list[int]
) -> None:
    stream = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b"")
    long = [len(line) >= LIMIT for line in stream.split(b"\n")]
    whole = [line for line in lines[: long.index(True) if True in long else None] if line.strip()]
    share(len(whole) > 0)
    for pieces in (cut(stream, places), [bytes([byte]) for byte in stream]):
        found, fault = feed_all(pieces)
        assert fault == (True in long)
        assert found == whole[: len(found)], "those before the fault in one piece are lost"
        if not fault or len(pieces) == len(stream):
            assert found == whole


def test_the_limit_counts_the_line_feed() -> None:
    assert Decoder(LIMIT).feed(b"x" * (LIMIT - 1) + b"\n") == [b"x" * (LIMIT - 1)]
    for data in (b"x" * LIMIT, b"x" * LIMIT + b"\n"):
        with pytest.raises(FramingError):
            Decoder(LIMIT).feed(data)


def test_empty_lines_are_no_requests() -> None:
    decoder = Decoder(LIMIT)
    assert decoder.feed(b"\n \r\n{}\n\n{") == [b"{}"]
    assert decoder.partial
