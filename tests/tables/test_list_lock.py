"""While the rows of an lmdb table are listed, no writer may change it: LMDB itself is told to take no locks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pbs_fast.events import Grant
from pbs_fast.tables import list_rows, open_table
from pbs_fast.tables.types import lmdb as module

#: Ends with 0 when a writer, which is another process, gets the lock.
_WRITER = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


def test_a_writer_waits_for_a_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"lmdb:{tmp_path}/relay"
    table = open_table(spec)
    table.rebuild({"203.0.113.1": Grant(2_000_000_000, None, "", "new")})
    table.close()

    def writes() -> bool:
        command = [sys.executable, "-c", _WRITER, f"{tmp_path}/relay.lmdb"]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0

    seen: list[bool] = []

    class Environment:
        """LMDB's, with a look at the lock in each transaction."""

        def __init__(self, env: Any) -> None:
            self._env = env

        def begin(self) -> Any:
            seen.append(writes())
            return self._env.begin()

        def close(self) -> None:
            self._env.close()

    environment = module.environment
    monkeypatch.setattr(module, "environment", lambda *rest, **options: Environment(environment(*rest, **options)))
    assert [key for key, _ in list_rows(spec)] == ["203.0.113.1"]
    assert seen == [False]
    assert writes(), "afterwards it may"
