"""Patterns of a site run in bounded time, with the results of `re` and of the native backend."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.hostile import lines, patterns, pumped
from pbs_fast.errors import FormatError
from pbs_fast.formats.automaton import Program
from pbs_fast.formats.bounded import Bounded, Proved, Way, compiled, is_proved
from pbs_fast.formats.loader import DATA, load_catalogue
from pbs_fast.formats.structure import PatternError
from pbs_fast.matching.python.tags import Routes, _compile, _kinds
from support.examples import examples
from support.timing import least_seconds

Share = Callable[[object], None]

#: The kinds of a pattern that one line of 60 bytes took for ever.
KNOWN = [
    r"(?:[a-z0-9-]{1,63}\.?)+x",
    r"(?:aa?)*x",
    r"(?:[^ ]+ ?){1,20}x",
    r".*,.*,.*,.*,.*x",
    r"(?:x+)+y",
    r"(?:a|aa)*b",
    r"(?:.*a){12}b",
    r"(?:(?:a+b?)+c?)+d",
]


def grouped(body: str) -> str:
    """The pattern with groups, as formats have them."""
    return f"(?P<user>{body})(?P<session>[ab]*)"


@examples(1500)
@given(body=patterns(), text=lines(9), way=st.sampled_from(Way), anchored=st.booleans())
def test_both_engines_take_what_re_takes(body: str, text: bytes, way: Way, anchored: bool) -> None:
    pattern = ("^" if anchored else "") + grouped(body) + ("$" if anchored and len(body) % 2 else "")
    if not text and "\\B" in body:
        return  # where nothing is, Python before 3.14 finds no \\B, and Rust does
    try:
        regex = Bounded(Program(pattern), way)
    except PatternError:
        return
    expected = getattr(re.compile(pattern.encode()), way.value)(text)
    for engine in (regex, compiled(pattern, way)):
        found = engine.run(text)
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert found.end() == expected.end()
            assert found.groups() == (*expected.groups(), None)
            assert engine.names == {"user": 0, "session": 1}


@given(body=patterns())
def test_enough_is_accepted(body: str, share: Share) -> None:
    try:
        is_proved(grouped(body))
    except PatternError:
        share(False)
    else:
        share(True)


@given(body=patterns())
def test_enough_of_them_needs_the_bounded_engine(body: str, share: Share) -> None:
    """Else the tests here would be tests of `re`."""
    try:
        share(not is_proved(grouped(body)))
    except PatternError:
        share(False)


@pytest.mark.parametrize(
    ("pattern", "proved"),
    [
        ("(?:[^ ]+ )*x", False),
        ("(?:[^ x][^ ]* )*x", True),
        ("a(?P<ip>[0-9.]+)b", True),
        ("(?:ab|ac|ad)+", True),
        ("(?:DISCONNECTED|TIMEOUT|Disconnected)", True),
        ("(?:a|b|aa)c", True),
        ("(?:a|[ab]|aa)c", False),
        ("[a-z]*x", False),
        ("[a-w]{1,63}x", True),
        ("[0-9]?[0-9]", False),
        ("(?:a?b?)(?:c?d?)e", True),
        ("(?:a?|b?)c", False),
    ],
)
def test_what_is_proved(pattern: str, proved: bool) -> None:
    assert is_proved(pattern) is proved


def by_length(took: list[float]) -> bool:
    """Twice the text takes about twice the time; below a millisecond the clock and the cache say more."""
    return took[1] <= 3.5 * took[0] + 0.002 and took[2] <= 3.5 * took[1] + 0.002 and took[2] < 0.5


def hold_to_its_length(pattern: str, way: Way, parts: tuple[bytes, bytes, bytes]) -> None:
    """Twice the text takes about twice the time, and the longest line little of it."""
    before, again, behind = parts
    regex = compiled(pattern, way)
    texts = [before + again * (size // len(again)) + behind for size in (4_000, 8_000, 16_000)]
    if isinstance(regex, Bounded):
        for text in texts:
            built = regex.built
            regex.run(text)
            assert regex.built - built <= len(text)
    took = least_seconds([partial(regex.run, text) for text in texts], by_length)
    assert by_length(took), (pattern, took)


@examples(250)
@given(body=patterns(), way=st.sampled_from(Way), anchored=st.booleans(), parts=pumped())
def test_an_accepted_pattern_takes_no_more_than_a_lines_length(
    body: str, way: Way, anchored: bool, parts: tuple[bytes, bytes, bytes]
) -> None:
    pattern = ("^" if anchored else "") + grouped(body)
    try:
        hold_to_its_length(pattern, way, parts)
    except PatternError:
        return


@pytest.mark.parametrize("pattern", KNOWN)
@pytest.mark.parametrize("way", Way)
def test_the_known_ones(pattern: str, way: Way) -> None:
    for again in (b"a", b"x", b"a ", b",", b"a-b."):
        hold_to_its_length(pattern, way, (b"", again, b"!"))


def test_each_packaged_pattern_is_proved() -> None:
    """So the Python backend runs each of them by `re`, which it does without asking (`Format.packaged`), and each line
    costs its length."""
    patterns = [(fmt.name, pattern) for fmt in load_catalogue() for _, pattern, _ in _kinds(fmt)]
    assert [each for each in patterns if not isinstance(compiled(each[1], Way.WHOLE), Proved)] == []


def test_only_what_comes_with_the_package_is_taken_as_proved(tmp_path: Path) -> None:
    packaged = load_catalogue()
    assert all(fmt.packaged for fmt in packaged)
    (tmp_path / "uw.toml").write_bytes((DATA / "uw.toml").read_bytes())
    (copy,) = load_catalogue(tmp_path)
    assert not copy.packaged
    slow = replace(copy, login=("(?:aa?)*x(?P<ip>b)",))
    (pick,) = _compile([(slow, False)]).picks[b"aab"]
    assert isinstance(pick[0].__self__, Bounded)  # type: ignore[attr-defined]
    with pytest.raises(FormatError, match="correct the pattern"):
        Routes([replace(copy, login=("(?P<ip>a)(?=b)",))])


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?:a*)*", "repeats (?:a*)*, which can match nothing; leave one of the two repetitions out"),
        ("(?:a|){2,}", "which can match nothing"),
        ("(?:a{900}){900}", "has 810000 parts when its {N} are written out"),
        ("(?=a)b", "holds (?="),
        (r"(a)\1", r"holds \1, whose time no engine here can bound"),
        ("a*+b", "holds a possessive repetition"),
        ("(?:" * 80 + "a" + ")" * 80, "has more than 60 groups in one another"),
        ("(" * 5000, "has more than 60 groups in one another"),
        ("a)", "has a ')' too many at byte 1"),
        ("(?:a", "that no ')' ends"),
        ("*", "repeats nothing at byte 0"),
        ("[z-a]", "holds [z-a]: bad character range"),
    ],
)
def test_what_is_refused_says_why(pattern: str, said: str) -> None:
    with pytest.raises(PatternError, match=re.escape(said)):
        compiled(pattern, Way.WHOLE)


def test_branches_are_the_same_only_when_they_read_the_same() -> None:
    regex = compiled("(?:(?:a|b)|ab)(?P<user>x*)", Way.WHOLE)
    assert regex.run(b"abx") is not None
    assert regex.run(b"bx") is not None


@pytest.mark.parametrize("count", [2, 300, 480])
def test_branches_that_begin_alike_are_joined(count: int) -> None:
    """One after the other they would be tried, and a branch in a branch would be a call in a call."""
    assert is_proved(f"(?:{'a' * count}b|{'a' * count}c)")
    with_ends = "|".join("a" * n for n in range(count, 0, -max(1, count // 2)))
    assert compiled(f"(?:{with_ends})x", Way.WHOLE).run(b"a" * count + b"x") is not None


def test_states_are_bounded_and_forgotten_ones_come_again() -> None:
    """`[ab]*a[ab]{14}x` has 2**14 of them, which a text can be made to meet."""
    regex = Bounded(Program("[ab]*a[ab]{14}x"), Way.WHOLE)
    text = bytes(97 + (n * n * 2654435761 >> 20 & 1) for n in range(16_000))
    expected = re.compile(rb"[ab]*a[ab]{14}x").fullmatch
    for end in (b"x", b"!", b"aaaaaaaaaaaaaaaax"):
        assert (regex.run(text + end) is None) == (expected(text + end) is None)
    assert len(regex._states) <= 2_001
