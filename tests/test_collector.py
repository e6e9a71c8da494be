"""The collector stands aside for a while, and then is as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

from pbs_fast.util.gc import collector_aside, old_objects_aside


@pytest.mark.parametrize("was_on", [True, False])
def test_it_is_off_meanwhile_and_afterwards_as_before(was_on: bool) -> None:
    if not was_on:
        gc.disable()
    try:
        with collector_aside():
            assert not gc.isenabled()
        with pytest.raises(ZeroDivisionError), collector_aside():
            1 / 0  # noqa: B018
        assert gc.isenabled() == was_on
    finally:
        gc.enable()


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.own = self


def test_old_objects_are_not_walked_and_young_garbage_goes() -> None:
    before = gc.get_threshold()
    walked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            walked.append(info["generation"])

    with old_objects_aside():
        gc.callbacks.append(note)
        try:
            ring = weakref.ref(Ring())
            kept = [[number] for number in range(200_000)]
        finally:
            gc.callbacks.remove(note)
        assert len(kept) == 200_000
        assert walked, "the young are collected"
        assert 2 not in walked
        assert ring() is None
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
