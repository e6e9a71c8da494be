"""The zone's table against zoneinfo, second by second around each change."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.errors import ConfigError
from pbs_fast.matching.zones import BELOW_ALL, FIRST, LAST, zone_table

#: Summer time; half an hour off; half an hour of summer time; Ramadan, for years four changes a year; one change, in
#: 1986; none; changes that take each other back within a week.
ZONES = (
    "Europe/Berlin",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "UTC",
    "America/Noronha",
    "Asia/Gaza",
)


def offset_by_zoneinfo(name: str, second: int) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(name)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@cache
def changes(name: str) -> int:
    """How often the offset is another than six hours before, by zoneinfo."""
    offsets = [offset_by_zoneinfo(name, second) for second in range(FIRST, LAST, 6 * 3600)]
    return sum(early != late for early, late in pairwise(offsets))


table_of = cache(zone_table)


def offset_by_table(table: tuple[tuple[int, int], ...], second: int) -> int:
    return table[bisect_right(table, (second, 10**9)) - 1][1]


@pytest.fixture(params=ZONES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def local(name: str) -> Iterator[str]:
    """The C library's local time set to a zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    yield name
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_starts_below_every_stamp_and_rises(name: str) -> None:
    table = zone_table(name)
    assert table[0][0] == BELOW_ALL == -(2**62)
    assert all(early[0] < late[0] and early[1] != late[1] for early, late in pairwise(table))
    # How many there are changes with what governments decide: tzdata 2026f knows a third of Morocco's.
    assert len(table) >= changes(name) + 1


def test_the_zones_change() -> None:
    assert [changes(name) > 40 for name in ZONES] == [
        name not in ("Asia/Kathmandu", "UTC", "America/Noronha") for name in ZONES
    ]
    assert (changes("Asia/Kathmandu"), changes("UTC")) == (1, 0)


def test_changes_to_the_second_where_zoneinfo_does(name: str) -> None:
    table = zone_table(name)
    for start, offset in table[1:]:
        assert offset_by_zoneinfo(name, start) == offset
        assert offset_by_zoneinfo(name, start - 1) != offset


def test_no_change_is_missed(name: str) -> None:
    table = zone_table(name)
    seconds = range(FIRST, LAST, 6 * 3600)
    assert [offset_by_table(table, second) for second in seconds] == [
        offset_by_zoneinfo(name, second) for second in seconds
    ]


@given(second=st.integers(FIRST, LAST))
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Africa/Casablanca", "America/St_Johns"])
def test_any_second(zone: str, second: int) -> None:
    assert offset_by_table(table_of(zone), second) == offset_by_zoneinfo(zone, second)


def test_local_time_is_the_same_zone(local: str) -> None:
    """The C library and zoneinfo read one file, but each in its own way."""
    assert zone_table(None) == zone_table(local)


def test_is_quick(local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start waits for it: 10 ms are 14,000 questions at 0.7 us. Counted, for a busy machine keeps no time."""
    questions = 0

    def counted(second: int) -> time.struct_time:
        nonlocal questions
        questions += 1
        return localtime(second)

    localtime = time.localtime
    with monkeypatch.context() as patch:
        patch.setattr(time, "localtime", counted)
        table = zone_table(None)
    assert len(table) >= changes(local) + 1
    assert 9_000 < questions < 14_000


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/kiew", "Europe/K"),  # Kyiv where only tzdata is installed, without its old names
        ("America", "America/"),
        ("/etc/localtime", ""),
        ("../UTC", ""),
        ("", ""),
        ("a\0b", ""),
    ],
)
def test_an_unknown_zone_names_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError, match=r"no such time zone; did you mean .+\?") as caught:
        zone_table(wrong)
    assert right in str(caught.value)
    assert "\n" not in str(caught.value)
