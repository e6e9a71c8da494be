"""Closes what a test made, and fails the test that left a descriptor open nevertheless."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbs_fast.sources.file.replay import Replay
from pbs_fast.sources.file.source import FileSource


def descriptors() -> set[str]:
    gc.collect()
    return {f"{one.name} {one.readlink()}" for one in Path("/proc/self/fd").iterdir() if one.exists()}


@pytest.fixture(scope="module", autouse=True)
def only_what_is_new_is_walked() -> None:
    """Where a daemon that ran in this process has undone what tests/conftest.py does."""
    if not gc.get_freeze_count():
        gc.freeze()


@pytest.fixture(autouse=True)
def all_is_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[FileSource | Replay] = []
    for kind in (FileSource, Replay):
        init = kind.__init__

        def register(self: Any, *rest: Any, init: Any = init, **options: Any) -> None:
            made.append(self)
            init(self, *rest, **options)

        monkeypatch.setattr(kind, "__init__", register)
    before = descriptors()
    yield
    for one in reversed(made):
        one.close()
    left = descriptors() - before
    assert not left, left
