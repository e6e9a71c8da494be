"""The first process of a namespace: the namespace lives as long as it does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from mta import unavailable


def start_first(
    command: Sequence[str | PathLike[str]], what: str, *, place: Path | None = None
) -> subprocess.Popen[str]:
    """Start it, and wait for the line `up`, after which it reads its standard input for ever.

    If that line does not come, the test is skipped (or fails under CI), and `place` is removed.
    """
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert first.stdout is not None
    if first.stdout.readline() != "up\n":
        _, errors = first.communicate()
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        unavailable(f"no {what} can be made here ({errors.strip()})")
    return first
