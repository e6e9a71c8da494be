"""Which lines have a text where a message begins (docs/MATCHING.md, 9): both backends, and the sentence written out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.matching.backends import Backend, load_backend
from pbs_fast.sources.lines import MAX_LINE

TEXTS = (b"client=", b"to=<", b"c", b"info: D", b": ")
PARTS = 8 * [b": ", b": client="] + [
    b": ",
    b":",
    b" ",
    b"client=",
    b"to=<",
    b"info: D",
    b"\n",
    b"\r\n",
    b"\r",
    b"A1",
    b"x" * 30,
    b"c",
    b"\xff",
    b"\0",
]


def written_out(data: bytes, start: int, stop: int) -> list[tuple[int, int, int, int]]:
    """Line by line, as the document says."""
    found, place = [], start
    for whole in data[start:stop].split(b"\n"):
        ended = place + len(whole) < stop
        line = whole.removesuffix(b"\r") if ended else whole
        first = line.find(b": ") + 2
        if first > 1 and len(line) <= MAX_LINE:
            second = line.find(b": ", first, first + 64) + 2
            for at in (first, second):
                which = next((n for n, text in enumerate(TEXTS) if line.startswith(text, at)), None)
                if at > 1 and which is not None:
                    found.append((which, place, place + at, place + len(line)))
                    break
        place += len(whole) + 1
    return found


@given(st.lists(st.sampled_from(PARTS), max_size=40).map(b"".join), st.integers(0, 5), st.integers(0, 5))
def test_both_backends_find_what_the_document_says(
    share: Callable[[object], None], data: bytes, before: int, after: int
) -> None:
    start, stop = min(before, len(data)), max(min(before, len(data)), len(data) - after)
    expected = written_out(data, start, stop)
    for name in ("rust", "python"):
        assert load_backend(name).Literals(TEXTS).lines(data, start, stop) == expected, name
    share(expected)


def test_long_lines_and_bounds(core: Backend) -> None:
    literals = core.Literals([b"ab"])
    exact = b": ab" + b"x" * (MAX_LINE - 4)
    assert literals.lines(exact + b"\r\n", 0, MAX_LINE + 2) == [(0, 0, 2, MAX_LINE)]
    assert literals.lines(exact + b"x\n: ab\n", 0, MAX_LINE + 7) == [(0, MAX_LINE + 2, MAX_LINE + 4, MAX_LINE + 6)]
    for start, stop in ((-1, 0), (1, 0), (0, 5)):
        with pytest.raises(ValueError, match="not within the data"):
            literals.lines(b": ab", start, stop)
