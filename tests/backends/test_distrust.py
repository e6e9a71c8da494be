"""Lines that a stranger may have written make no event, wherever the pieces are cut, with either backend."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import Backend, load_backend
from pbs_fast.matching.distrust import LONGEST_RECORD, Distrust
from pbs_fast.matching.reader import Reader
from support.matchers import catalogue_matcher

_FORMATS = load_catalogue()
_TAGS = [tag for each in _FORMATS for tag in each.raw_names]
_REFERENCE = 1_796_000_000
_HEAD = b"2026-11-30T08:00:00+00:00 hub "
_LOGIN = _HEAD + b"dovecot: imap-login: Login: user=<x>, method=PLAIN, rip=192.0.2.%d, lip=192.0.2.10, session=<a>\n"
_NOISE = _HEAD + b"sshd[7]: text with nginx: in it\n"
_CARRIERS = [_HEAD + tag.encode() + b'[7]: something "x\n' for tag in _TAGS]
_BACKENDS = {name: load_backend(name) for name in ("rust", "python")}


def _logins(core: Backend, pieces: list[bytes], *, distrust: Distrust | None, offset: int = 0) -> list[str]:
    matcher = catalogue_matcher(core.name)
    reader = Reader(core, matcher, source="", gap=0, live=True, fold=False, distrust=distrust)
    found: list[str] = []
    for piece in pieces:
        data = b"ab" + piece + b"cd\n"  # what stands around a piece is not its own
        reader.feed(data, 2, 2 + len(piece), offset=offset, reference=_REFERENCE)
        offset += len(piece)
        found += reader.take().ip
    return found


@given(
    st.lists(st.sampled_from(["login", "noise", *range(len(_CARRIERS))]), min_size=1, max_size=30),
    st.sets(st.integers(1, 29)),
)
def test_only_what_stands_before_the_first_carrier_counts(kinds: list[str | int], cuts: set[int]) -> None:
    lines, expected, seen, doubted = [], [], False, 0
    for number, kind in enumerate(kinds):
        doubted += seen
        if kind == "login":
            lines.append(_LOGIN % number)
            expected += [] if seen else [f"192.0.2.{number}"]
        elif kind == "noise":
            lines.append(_NOISE)
        else:
            assert isinstance(kind, int)
            lines.append(_CARRIERS[kind])
            seen = True
    borders = [0, *sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    pieces = [b"".join(lines[begin:end]) for begin, end in pairwise(borders)]
    for core in _BACKENDS.values():
        said: list[str] = []
        distrust = Distrust(_TAGS, said.append)
        assert _logins(core, pieces, distrust=distrust) == expected
        assert distrust.lines == doubted
        assert len(said) == int(seen)


def test_in_the_middle_of_a_file_a_record_may_be_going_on(core: Backend) -> None:
    """The carrier's line may stand in front of where reading begins; no record is longer than this."""
    line = _LOGIN % 66
    forged = line * (LONGEST_RECORD // len(line))
    assert len(forged) + len(line) > LONGEST_RECORD
    pieces = [forged, line, _LOGIN % 1]
    assert _logins(core, pieces, distrust=None, offset=1000).count("192.0.2.66") == len(forged) // len(line) + 1
    # The line in which the record may end is not believed either.
    assert _logins(core, pieces, distrust=Distrust(_TAGS), offset=1000) == ["192.0.2.1"]
    assert _logins(core, [b"".join(pieces)], distrust=Distrust(_TAGS), offset=1000) == ["192.0.2.1"]
    assert "192.0.2.66" in _logins(core, pieces, distrust=Distrust(_TAGS), offset=0)


def test_readers_of_one_log_share_what_is_known(core: Backend) -> None:
    """The past and the present are read in turns, by two readers."""
    distrust = Distrust(_TAGS)
    assert _logins(core, [_LOGIN % 1, _CARRIERS[0]], distrust=distrust) == ["192.0.2.1"]
    assert _logins(core, [_LOGIN % 2], distrust=distrust) == []


def test_the_lines_before_are_looked_at(core: Backend) -> None:
    """`prime`: where following begins behind a carrier's line."""
    matcher = catalogue_matcher(core.name)
    for before, found in ((_NOISE, ["192.0.2.1"]), (_NOISE + _CARRIERS[0], [])):
        reader = Reader(core, matcher, source="", gap=0, live=True, fold=False, distrust=Distrust(_TAGS))
        reader.prime(before, 0, reference=_REFERENCE)
        line = _LOGIN % 1
        reader.feed(line, 0, len(line), offset=len(before), reference=_REFERENCE)
        assert reader.take().ip == found
