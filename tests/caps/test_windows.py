"""The window against a list of all that was counted, and what a rate may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.caps.windows import PARTS, Rate, Window, parse_rate
from pbs_fast.errors import UsageError


def naive(counted: list[tuple[int, int]], second: int, seconds: int) -> int:
    """The sum over the part that a second is in and the 11 before."""
    part = second * PARTS // seconds
    return sum(n for when, n in counted if part - PARTS < when * PARTS // seconds <= part)


@given(
    st.sampled_from([12, 60, 3_600, 86_400]),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), max_size=60),
)
def test_a_window_admits_what_a_list_admits(
    share: Callable[[object], None], seconds: int, limit: int, steps: list[tuple[int, int]]
) -> None:
    window, counted, second, refused = Window(seconds), list[tuple[int, int]](), 1_790_000_000, 0
    for step, n in steps:
        second += step * seconds // 30
        used = naive(counted, second, seconds)
        assert window.used(second) == used
        admitted = max(0, min(n, limit - used))
        assert window.admit(second, limit, n) == admitted
        counted.append((second, admitted))
        refused += n - admitted
    share(refused)


def test_it_is_a_twelfth_too_generous_at_most_and_leaky() -> None:
    window = Window(3_600)
    assert window.admit(299, 200, 500) == 200
    assert window.admit(3_599, 200, 500) == 0, "what was refused does not count, and what was sent still does"
    assert window.admit(3_600, 200, 500) == 200, "3,301 s later, eleven twelfths of an hour and a second"


def test_a_second_before_the_latest_counts_as_the_latest() -> None:
    window = Window(60)
    assert window.add(1_000, 3) == 3
    assert window.add(500, 2) == 5
    assert window.used(1_000) == 5


def test_rates() -> None:
    assert parse_rate("200/1h") == Rate(200, 3_600)
    assert [str(parse_rate(text)) for text in ("200/1h", "1000/1d", "5/90s", "9/2m")] == [
        "200/1h",
        "1000/1d",
        "5/90s",
        "9/2m",
    ]
    for text in ("", "200", "0/1h", "200/h", "-1/1h", "5/11s", "2.5/1h", "1/1w", "٣/1h"):
        with pytest.raises(UsageError, match="is not a rate"):
            parse_rate(text)
    with pytest.raises(ValueError, match="at least 12"):
        Window(11)
