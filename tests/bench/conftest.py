"""Makes the log generator of `benches/` importable, and one log with its truth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))


class Generated(NamedTuple):
    """A log on the disk, and what a replay of it must count."""

    path: Path
    totals: dict[str, Any]


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    """An hour and a half of a hub: 8 % logins, all envelopes, attacks; grants end and begin anew."""
    from pbs_fast.bench.hublog import Options, write_log

    path = tmp_path_factory.mktemp("hub") / "hub.log"
    return Generated(path, write_log(path, Options(lines=30_000, rate=5.0)))
