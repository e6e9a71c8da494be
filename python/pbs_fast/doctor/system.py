"""Asks systemd. Raises nothing: where there is none, or no answer, that is the answer."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from pbs_fast.util.commands import find_program, run

_TIMEOUT = 10.0
_LIMIT = 1 << 20


def has_systemd(root: str = "/") -> bool:
    """Whether systemd runs this machine (sd_booted(3))."""
    return (Path(root) / "run/systemd/system").is_dir()


def unit_state(unit: str) -> str | None:
    """`active`, `inactive`, `failed`, …; None without an answer."""
    return show(unit, ["ActiveState"]).get("ActiveState")


def show(unit: str, properties: Sequence[str]) -> dict[str, str]:
    """Properties of a unit, drop-ins included (systemctl(1), show); none without an answer."""
    program = find_program("systemctl")
    if program is None:
        return {}
    try:
        done = run([program, "show", unit, f"--property={','.join(properties)}"], timeout=_TIMEOUT, limit=_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.status:
        return {}
    return dict(line.split("=", 1) for line in done.text.splitlines() if "=" in line)
