"""The cyclic collector while the daemon serves."""

from __future__ import annotations

import gc
import weakref

from pbs_fast.daemon.collector import old_objects_aside


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
