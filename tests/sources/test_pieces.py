"""Pieces hold each line once, in order, at its offset, for any sizes; of lines too long only that they are there."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.errors import SourceError
from pbs_fast.sources.compressed import compression
from pbs_fast.sources.lines import MAX_LINE, PIECE, TOO_LONG, Piece, aligned, pieces
from pbs_fast.sources.open import LogReader, open_log
from support.examples import examples

Line = tuple[int, bytes | None]


def lines_of(text: bytes) -> Iterator[Line]:
    """Offset and content of each line; None for one that the matcher must count as too long."""
    offset = 0
    for line in text.splitlines(keepends=True) if b"\r" not in text else _split(text):
        hole = len(line) - len(line.lstrip(b"\0"))
        offset, line = offset + hole, line[hole:]
        if not line:
            continue
        content = line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line
        yield offset, content if len(content) <= MAX_LINE else None
        offset += len(line)


def _split(text: bytes) -> list[bytes]:
    parts = [part + b"\n" for part in text.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return parts if parts[-1] else parts[:-1]


def lines_in(found: Iterable[Piece]) -> Iterator[Line]:
    for piece in found:
        assert piece.data[piece.start] != 0
        for offset, line in lines_of(piece.data[piece.start : piece.stop]):
            yield piece.offset + offset, line


def check(found: list[Piece], text: bytes) -> None:
    assert list(lines_in(found)) == list(lines_of(text))
    position = 0
    for piece in found:
        assert piece.offset >= position
        assert piece.start < piece.stop
        assert text.startswith(piece.data[piece.start : piece.stop], piece.offset)
        position = piece.end


def ranged(log: LogReader, size: int) -> list[Piece]:
    return [piece for part in aligned(log, size) for piece in part.read()]


#: Lines around the limit, with and without `\r`, and ordinary ones; `b"\x0b"` and such end a line for str, never here.
LINES = st.one_of(
    st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"\x0b")),
    st.integers(-3, 4).map(lambda more: b"x" * (MAX_LINE + more)),
    st.integers(-3, 4).map(lambda more: b"x" * (MAX_LINE + more) + b"\r"),
    st.integers(1, 5).map(lambda times: b"y" * (times * TOO_LONG + times)),
    st.tuples(st.sampled_from([1, 3, 5_000, TOO_LONG - 1, 3 * TOO_LONG]), st.sampled_from([b"", b"z", b"z\0z"])).map(
        lambda hole: b"\0" * hole[0] + hole[1]
    ),
)
TEXTS = (
    st.tuples(st.lists(LINES, max_size=14), st.booleans())
    .map(lambda given: b"\n".join(given[0]) + (b"\n" if given[1] else b""))
    .filter(lambda text: compression(text[:10]) is None)
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pieces") / "log"


@examples(300)
@given(text=TEXTS, size=st.sampled_from([1, TOO_LONG, TOO_LONG + 1, 20_000, 50_000, PIECE]))
def test_pieces_of_a_plain_file(path: Path, text: bytes, size: int) -> None:
    path.write_bytes(text)
    with open_log(path) as log:
        check(list(pieces(log, size)), text)


@examples(300)
@given(text=TEXTS, size=st.sampled_from([1, TOO_LONG, 20_000, PIECE]))
def test_pieces_of_a_compressed_file(path: Path, text: bytes, size: int) -> None:
    path.write_bytes(gzip.compress(text, 1))
    with open_log(path) as log:
        check(list(pieces(log, size)), text)


@examples(300)
@given(text=TEXTS, size=st.sampled_from([700, 5000, TOO_LONG - 1, TOO_LONG, TOO_LONG + 1, 40_000, PIECE]))
def test_aligned_ranges(path: Path, text: bytes, size: int) -> None:
    path.write_bytes(text)
    with open_log(path) as log:
        ranges = aligned(log, size)
        assert [part.start for part in ranges] == list(range(0, len(text), size))
        check([piece for part in ranges for piece in part.read()], text)


@examples(100)
@given(
    lines=st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9),
    size=st.integers(1, 12),
)
def test_aligned_ranges_smaller_than_lines(path: Path, lines: list[bytes], size: int) -> None:
    text = b"\n".join(lines)
    path.write_bytes(text)
    with open_log(path) as log:
        check(ranged(log, size), text)


@examples(100)
@given(text=TEXTS, cuts=st.lists(st.integers(1, 40_000), min_size=1, max_size=8))
def test_pieces_of_a_pipe_written_in_any_portions(text: bytes, cuts: list[int]) -> None:
    read_end, write_end = os.pipe()

    def writer() -> None:
        rest, turn = text, 0
        while rest:
            size = cuts[turn % len(cuts)]
            written = os.write(write_end, rest[:size])
            rest, turn = rest[written:], turn + 1
        os.close(write_end)

    thread = threading.Thread(target=writer)
    thread.start()
    with open_log(f"/dev/fd/{read_end}") as log:
        os.close(read_end)
        check(list(pieces(log, 20_000)), text)
    thread.join()


def test_a_line_of_any_length_takes_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = b"first\n" + b"z" * (20 << 20) + b"\nlast\n"
    for data in (text, gzip.compress(text, 1)):
        path.write_bytes(data)
        with open_log(path) as log:
            found = list(pieces(log, 100_000))
        check(list(found), text)
        assert max(len(piece.data) for piece in found) <= 200_000
        assert [piece.offset for piece in found if piece.stop - piece.start == TOO_LONG] == [6]


def test_whole_lines_of_a_live_pipe_come_at_once() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"one\ntwo\nthr")
    with open_log(f"/dev/fd/{read_end}") as log:
        os.close(read_end)
        found = pieces(log)
        assert list(lines_in([next(found)])) == [(0, b"one"), (4, b"two")]
        os.write(write_end, b"ee\n")
        assert list(lines_in([next(found)])) == [(8, b"three")]
        os.close(write_end)
        assert list(found) == []


def test_lines_before_a_cut_come_first_and_the_cut_line_never(tmp_path: Path) -> None:
    text = b"".join(b"line %d of the log\n" % number for number in range(50_000))
    whole = gzip.compress(text)
    path = tmp_path / "log"
    path.write_bytes(whole[: len(whole) // 2])
    found: list[Piece] = []
    with open_log(path) as log, pytest.raises(SourceError, match="cut off"):
        found.extend(pieces(log))
    seen = list(lines_in(found))
    assert len(seen) > 10_000
    assert seen == list(lines_of(text))[: len(seen)]


def test_what_is_appended_to_an_unfinished_line_is_no_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\nsecond, unfin")
    with open_log(path) as log:
        found = pieces(log)
        seen = [next(found), next(found)]
        with path.open("ab") as out:
            out.write(b"ished\nthird\n")
        seen += found
    assert list(lines_in(seen)) == [(0, b"first"), (6, b"second, unfin")]


def test_ranges_of_a_file_that_grew_complete_their_last_line_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\nsecond, unfin")
    with open_log(path) as log:
        ranges = aligned(log, 8)
        with path.open("ab") as out:
            out.write(b"ished\nthird\n")
        assert list(lines_in(piece for part in ranges for piece in part.read())) == [
            (0, b"first"),
            (6, b"second, unfinished"),
        ]


def test_ranges_of_a_file_that_shrank(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\nsecond\nthird\n" * 10)
    with open_log(path) as log:
        ranges = aligned(log, 20)
        os.truncate(path, 13)
        assert list(lines_in(piece for part in ranges for piece in part.read())) == [(0, b"first"), (6, b"second")]


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    with open_log(path) as log:
        assert list(pieces(log)) == []
        assert aligned(log) == []


def test_the_limit_is_the_matchers() -> None:
    from pbs_fast import _core

    assert MAX_LINE == _core.MAX_LINE
