"""The queue by itself, against a list of all its entries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.ledger.expiry import ExpiryQueue

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.integers(0, 60), min_size=8, max_size=40)),
        st.tuples(st.just("due"), st.floats(-1, 61)),
        st.tuples(st.just("due"), st.floats(20, 61)),
        st.tuples(st.just("discard"), st.integers(2, 5)),
    ),
    min_size=4,
    max_size=30,
)


@pytest.mark.parametrize("few", [0, 2, 1000])
def test_what_is_due_comes_in_the_order_of_its_seconds(
    few: int, share: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pbs_fast.ledger.expiry._FEW", few)

    @given(STEPS, st.booleans())
    def run(steps: list[tuple[str, object]], asks: bool) -> None:
        queue, entries, number, came = ExpiryQueue(), list[tuple[int, str]](), 0, 0
        for step, value in steps:
            if step == "add":
                for second in value:  # type: ignore[attr-defined]
                    number += 1
                    entries.append((second, f"a{number}"))
                    if number % 2:
                        queue.add(f"a{number}", second)
                    else:
                        queue.bucket(second).append(f"a{number}")
            elif step == "due":
                due = sorted((entry for entry in entries if entry[0] <= value), key=lambda entry: entry[0])  # type: ignore[operator]
                assert queue.due(value) == [ip for _, ip in due]  # type: ignore[arg-type]
                entries = [entry for entry in entries if entry not in due]
                came += len(due)
            else:
                gone = {ip for index, (_, ip) in enumerate(entries) if index % value == 0}  # type: ignore[operator]
                queue.discard(gone)
                entries = [entry for entry in entries if entry[1] not in gone]
            assert len(queue) == len(entries)
            if asks and step != "discard":
                earliest = queue.next()
                # A bucket that was emptied by `discard` may still be looked at.
                assert earliest is not None or not entries
                assert earliest is None or not entries or earliest <= min(entries)[0]
        share(came > 3)

    run()
