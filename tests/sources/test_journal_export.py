"""The parser of the Journal Export Format: any entries, cut anywhere; limits; what is no export is an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.sources.journal.export import LONGEST, Entry, ExportError, ExportParser

WANTED = (b"MESSAGE", b"_UID", b"__CURSOR")

#: Values that look like the format's own parts.
VALUES = st.one_of(
    st.sampled_from([b"", b"\n", b"\n\n", b"a=b", b"_UID=0\n\n", b"\nMESSAGE=x\n", b"MESSAGE\n\x02\0\0\0\0\0\0\0ab\n"]),
    st.binary(max_size=30),
)
NAMES = st.sampled_from([b"MESSAGE", b"_UID", b"__CURSOR", b"OTHER"])


def serialized(name: bytes, value: bytes, *, binary: bool) -> bytes:
    if binary or b"\n" in value:
        return b"%s\n%s%s\n" % (name, len(value).to_bytes(8, "little"), value)
    return b"%s=%s\n" % (name, value)


@given(
    entries=st.lists(st.lists(st.tuples(NAMES, VALUES, st.booleans()), min_size=1, max_size=5), max_size=4),
    cuts=st.lists(st.integers(0, 300), max_size=6),
)
def test_any_entries_in_any_pieces(
    entries: list[list[tuple[bytes, bytes, bool]]], cuts: list[int], share: Callable[[object], None]
) -> None:
    data = b"".join(
        b"".join(serialized(name, value, binary=binary) for name, value, binary in entry) + b"\n" for entry in entries
    )
    parser = ExportParser(WANTED)
    found: list[Entry] = []
    begin = 0
    for cut in [*sorted(cuts), len(data)]:
        found += parser.feed(data[begin:cut])
        begin = max(begin, min(cut, len(data)))
    assert len(found) == len(entries)
    assert not parser.unfinished
    for entry, (fields, repeated, cut_fields) in zip(entries, found, strict=True):
        names = [name for name, _, _ in entry]
        for name in WANTED:
            values = [value for each, value, _ in entry if each == name]
            assert fields.get(name) == (values[0] if values else None)
            assert (name in repeated) == (names.count(name) > 1)
        assert not cut_fields
    share(any(b"\n" in value for entry in entries for _, value, _ in entry))


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, 3 * LONGEST, 1 << 20])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("step", [4_096, 1 << 22])
def test_of_a_long_value_the_beginning_is_kept(size: int, binary: bool, step: int) -> None:
    data = serialized(b"MESSAGE", b"x" * size, binary=binary) + b"_UID=7\n\n__CURSOR=c\n\n"
    parser = ExportParser(WANTED)
    found: list[Entry] = []
    for begin in range(0, len(data), step):
        found += parser.feed(data[begin : begin + step])
        held = len(parser._buffer) + (len(parser._open._kept) if parser._open else 0)
        assert held <= 4 * LONGEST + step
    first, second = found
    assert first.fields == {b"MESSAGE": b"x" * min(size, LONGEST), b"_UID": b"7"}
    assert first.cut == ({b"MESSAGE"} if size > LONGEST else set())
    assert second == Entry({b"__CURSOR": b"c"})


@pytest.mark.parametrize(
    "data",
    [
        b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff\n\n",
        b"MESSAGE\n\x01\0\0\0\0\0\0\0abc\n\n",
        b"x" * (3 * LONGEST),
    ],
)
def test_what_is_no_export_is_an_error(data: bytes) -> None:
    with pytest.raises(ExportError):
        ExportParser(WANTED).feed(data)


def test_an_entry_that_has_not_ended_is_unfinished() -> None:
    parser = ExportParser(WANTED)
    assert parser.feed(b"MESSAGE=a\n") == []
    assert parser.unfinished
    assert parser.feed(b"\n") == [Entry({b"MESSAGE": b"a"})]
    assert not parser.unfinished
