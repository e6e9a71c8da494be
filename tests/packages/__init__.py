"""What the packages install: units, directories, start file, examples; judged by the tools that read it."""

from __future__ import annotations

import shutil
from pathlib import Path

from mta import unavailable

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
SYSTEMD = PACKAGING / "systemd"


def tool(name: str) -> str:
    """The program's path; without it the test is skipped, or fails under CI."""
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin:/lib/systemd")
    if found is None:
        unavailable(f"{name} is not installed")
    return found
