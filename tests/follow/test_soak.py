"""Real writers, real rotations, full speed: nothing lost, nothing twice. The short form of benches/soak.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))

LINES, ROTATIONS = 300_000, 20


def test_writers_and_rotations_lose_and_double_nothing(tmp_path: Path) -> None:
    from soak import PAUSE, WRITERS, soak

    result = soak(tmp_path, LINES, ROTATIONS, lines_per_second=100_000)
    assert result.lines == LINES // WRITERS * WRITERS
    assert result.rotations == ROTATIONS
    assert result.compressed > ROTATIONS / 2
    assert result.clean, result
    assert result.counters["rotated"] > 0
    assert result.counters["overtaken"] >= PAUSE - 1
    assert result.counters["unpacked_bytes"] > 0
    assert set(result.counters) <= {"rotated", "overtaken", "unpacked_bytes"}, "nothing else happened"
