"""The state file: what a restart keeps, whatever the clocks do, and what no content may do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_fast.caps.counter import CapCounter
from pbs_fast.caps.limits import Limits
from pbs_fast.caps.state import SIZE_LIMIT, StateError, decode, encode, read_state
from support.clock import FakeClock

LIMITS = Limits(["20/1h", "messages:9/2h", "30/1d"], ["25/10m"])
NAMES = ["anna@example.org", "otto", "zoë"]


def used(counter: CapCounter, now: float) -> list[int]:
    return [use.used for name in NAMES for use in counter.uses(name, "192.0.2.1", now)]


@given(
    st.lists(st.tuples(st.integers(0, 900), st.sampled_from(NAMES), st.integers(1, 4)), max_size=30),
    st.integers(0, 7_200),
    st.integers(-90_000, 90_000),
    st.booleans(),
)
@settings(max_examples=60)
def test_a_restart_gives_nothing_back(
    share: Callable[[object], None], steps: list[tuple[int, str, int]], away: int, step: int, same_boot: bool
) -> None:
    clock = FakeClock()
    counter = CapCounter(LIMITS)
    for number, (pause, name, n) in enumerate(steps):
        clock.advance(pause)
        for place in range(n):
            counter.count(name, "192.0.2.1", str(number), "", clock.now(), new_message=not place)
    data = encode(counter.kept(clock.now()), clock, is_final=True)

    clock.advance(away)
    before = used(counter, clock.now())
    later = FakeClock(clock.wall_reading + step, clock.boot_reading if same_boot else 5.0)
    later.boot_id = clock.boot_id if same_boot else "2"
    state = decode(data, later)
    assert state.is_final
    again = CapCounter(LIMITS)
    again.restore(state.kept, later.now())
    after = used(again, later.now())
    # Without the boot clock a wall clock that was set on by hours cannot be told from hours that passed.
    if same_boot or step <= 0:
        assert all(new >= old for new, old in zip(after, before, strict=True))
    if same_boot or step == 0:
        later.advance(3_700)
        clock.advance(3_700)
        behind = [new - old for new, old in zip(used(again, later.now()), used(counter, clock.now()), strict=True)]
        assert all(n >= 0 for n in behind)
    later.advance(2 * 86_400)
    assert not any(used(again, later.now()))
    share(any(before))


def test_a_cap_goes_on_after_a_restart_and_opens_when_it_would_have() -> None:
    clock = FakeClock(1_790_000_100.0)
    counter = CapCounter(Limits(["200/1h"]))
    assert (
        sum(
            counter.count("anna", "192.0.2.1", "1", "", clock.now(), new_message=False).kind == "ok" for _ in range(250)
        )
        == 200
    )
    data = encode(counter.kept(clock.now()), clock, is_final=False)
    clock.advance(120)
    clock.step_wall(-5 * 3_600)
    later = FakeClock(clock.wall_reading, clock.boot_reading)
    state = decode(data, later)
    assert (state.age, state.is_final) == (120, False)
    counter = CapCounter(Limits(["200/1h"]))
    counter.restore(state.kept, later.now())
    (use,) = counter.uses("anna", "", later.now())
    assert (use.used, use.refused) == (200, 50)
    assert counter.count("anna", "192.0.2.1", "2", "", later.now(), new_message=True).kind == "over"
    later.advance(3_600)
    assert counter.count("anna", "192.0.2.1", "2", "", later.now(), new_message=True).kind == "ok"


def test_a_clock_that_is_set_back_makes_nothing_younger_than_now() -> None:
    clock = FakeClock()
    data = encode([], clock, is_final=True)
    clock.step_wall(-7_200)
    clock.boot_id = "2"
    assert decode(data, clock).age == 0


def test_other_caps_take_what_fits() -> None:
    clock = FakeClock()
    counter = CapCounter(Limits(["5/1h", "9/1d"]))
    counter.count("anna", "192.0.2.1", "1", "", clock.now(), new_message=True)
    data = encode(counter.kept(clock.now()), clock, is_final=True)
    counter = CapCounter(Limits(["7/1h"], ["9/1h"]))
    counter.restore(decode(data, clock).kept, clock.now())
    assert [use.used for use in counter.uses("anna", "192.0.2.1", clock.now())] == [1, 0]


def whole() -> dict[str, object]:
    clock = FakeClock()
    counter = CapCounter(LIMITS)
    counter.count("anna", "192.0.2.1", "1", "", clock.now(), new_message=True)
    record: dict[str, object] = json.loads(encode(counter.kept(clock.now()), clock, is_final=True))
    return record


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"written": "now"},
        {"written": float("nan")},
        {"written": 1e300},
        {"up": None},
        {"windows": {}},
        {"windows": [[]]},
        {"windows": [["host", "a", [False, 3_600], []]]},
        {"windows": [["user", "a" * 257, [False, 3_600], []]]},
        {"windows": [["user", "\ud800", [False, 3_600], []]]},
        {"windows": [["user", "a", [1, 3_600], []]]},
        {"windows": [["user", "a", [False, 1], []]]},
        {"windows": [["user", "a", [False, 3_600, 1], []]]},
        {"windows": [["user", "a", [False, 3_600], [[1, -1]]]]},
        {"windows": [["user", "a", [False, 3_600], [[1, True]]]]},
        {"windows": [["user", "a", [False, 3_600], [[float("inf"), 1]]]]},
        {"windows": [["user", "a", [False, 3_600], [[-1e9, 1]]]]},
        {"windows": [["user", "a", [False, 3_600], [[1, 1]] * 13]]},
    ],
    ids=str,
)
def test_a_damaged_file_is_said_and_nothing_raises(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "caps.json"
    file.write_text(json.dumps(whole()))
    assert read_state(file, FakeClock()) is not None
    file.write_text(json.dumps(whole() | change))
    with pytest.raises(StateError, match=r"caps\.json is damaged"):
        read_state(file, FakeClock())


@given(st.one_of(st.binary(max_size=200), st.from_type(dict).map(lambda each: repr(each).encode())))
@settings(max_examples=60)
def test_any_bytes(share: Callable[[object], None], data: bytes) -> None:
    try:
        decode(data, FakeClock())
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        share(data)


def test_it_is_a_bounded_regular_file(tmp_path: Path) -> None:
    file = tmp_path / "caps.json"
    assert read_state(file, FakeClock()) is None
    os.mkfifo(file)
    with pytest.raises(StateError, match="Not a regular file"):
        read_state(file, FakeClock())
    file.unlink()
    with file.open("wb") as large:
        large.truncate(SIZE_LIMIT + 1)
    with pytest.raises(StateError, match="Larger than 128 MiB"):
        read_state(file, FakeClock())
    file.write_text("[" * 100_000)
    with pytest.raises(StateError, match="is damaged"):
        read_state(file, FakeClock())
