"""Patterns that a backtracking engine may run for ever, and lines that make it: drawn, not collected."""

from __future__ import annotations

from hypothesis import strategies as st

#: Bytes that patterns and lines share, so that they meet.
_LETTERS = "ab x,."

_UNITS = st.sampled_from(["a", "b", "x", " ", ",", r"\.", ".", "[ab]", "[^ ]", "[^,]", "[a-z]", r"\w", r"\S", r"\d"])
_REPEATS = st.sampled_from(["", "", "*", "+", "?", "{0,3}", "{1,20}", "{2}", "{2,}", "*?", "+?", "??", "{1,3}?"])


def _repeated(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.sampled_from(["(?:%s)", "(?:%s)", "(?i:%s)"])
    return st.builds(lambda form, body, repeat: form % body + repeat, group, parts, _REPEATS)


def _grown(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(parts, min_size=1, max_size=3).map("".join),
        _repeated(parts),
        st.lists(parts, min_size=2, max_size=3).map(lambda branches: f"(?:{'|'.join(branches)})"),
        st.builds(lambda first, others: f"(?:{first}|{first}{others})", parts, parts),
    )


def patterns() -> st.SearchStrategy[str]:
    """Bodies of patterns: groups that are repeated in groups, branches that begin alike, repetitions in a row."""
    single = st.builds(lambda unit, repeat: unit + repeat, _UNITS, _REPEATS)
    edged = st.one_of(single, single, single, st.sampled_from([r"\b", r"\B"]))
    return st.recursive(edged, _grown, max_leaves=8)


def lines(most: int) -> st.SearchStrategy[bytes]:
    """Short lines of the bytes that the patterns have."""
    return st.text(alphabet=_LETTERS + "A", max_size=most).map(str.encode)


def pumped() -> st.SearchStrategy[tuple[bytes, bytes, bytes]]:
    """What stands before, again and again, and behind: the usual form of a line that is tried again and again."""
    some = st.text(alphabet=_LETTERS, max_size=2).map(str.encode)
    again = st.text(alphabet=_LETTERS, min_size=1, max_size=3).map(str.encode)
    return st.tuples(some, again, st.sampled_from([b"", b"\x00", b"!", b" !", b"x!"]))
