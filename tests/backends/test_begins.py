"""Lines that begin like no header are found by both backends, wherever a piece begins and ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.running import BOTH
from pbs_fast.matching.backends import Backend, load_backend
from support.examples import examples

USUAL = (b"Mar  4 x", b"Mar 4", b"Oct 25", b"2026-03-", b"2026-03-04T", b"<2>", b"<22>Mar", b"<221>1 -")
UNUSUAL = (
    b"Mar",
    b"Mar x",
    b"mar  4",
    b"MAR  4",
    b"2026-03",
    b"2026-3-04",
    b"202a-03-",
    b"<>",
    b"<2",
    b"<2222>",
    b" x",
)


@pytest.mark.parametrize(("line", "found"), [*((each, False) for each in USUAL), *((each, True) for each in UNUSUAL)])
def test_which_beginnings_are_usual(core: Backend, line: bytes, found: bool) -> None:
    data = b"xMar  4 first\n" + line + b"\nMar  4 last\n" + line
    wanted = [14, len(data) - len(line)] if found else []
    assert list(core.unusual_begins(data, 1, len(data))) == wanted
    assert list(core.unusual_begins(data, 14, 14 + len(line) + 1)) == wanted[:1]


def test_an_empty_line_has_no_header_and_nothing_is_no_line(core: Backend) -> None:
    assert list(core.unusual_begins(b"", 0, 0)) == []
    assert list(core.unusual_begins(b"\n\nMar  4\n", 0, 9)) == [0, 1]
    assert list(core.unusual_begins(b"x\n", 2, 2)) == []


_PART = st.sampled_from((*USUAL, *UNUSUAL, b"\n", b"\n", b"\n", b" ", b"\xff"))


@examples(600)
@given(st.lists(_PART, min_size=3, max_size=20), st.data())
def test_both_find_the_same(share: Callable[[object], None], parts: list[bytes], data: st.DataObject) -> None:
    text = b"".join(parts)
    start = data.draw(st.integers(0, len(text) // 2))
    stop = data.draw(st.integers(len(text) // 2, len(text)))
    rust, python = (list(load_backend(name).unusual_begins(text, start, stop)) for name in BOTH)
    assert rust == python
    share(bool(rust))
