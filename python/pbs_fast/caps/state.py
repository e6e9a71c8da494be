"""The windows over a restart: `caps.json`, so that nobody gets a whole cap again because the daemon was started anew.

What counts is kept with its age on the wall clock, or on the boot clock if the machine was not started meanwhile, so
setting the clock gives nothing back. A clock that was set back makes things as old as when they were written: more
counts than should. Anything odd about the file means to begin anew, and the reason is said; no content raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from pbs_fast.caps.counts import LONGEST_NAME, MOST, Kept
from pbs_fast.caps.windows import LONGEST, PARTS
from pbs_fast.errors import PbsError
from pbs_fast.util.admin_files import read_admin_file
from pbs_fast.util.clock import Clock

FILE: Final = "caps.json"
#: Seconds between two states: what a kill -9 costs.
EVERY: Final = 60.0
#: Largest file, in bytes: MOST keys with long names and full windows.
SIZE_LIMIT: Final = 128 << 20
_VERSION = 1


class StateError(PbsError):
    """There is no usable state; the text is the reason."""


class State(NamedTuple):
    """What a file holds."""

    kept: list[Kept]
    """With times on the reader's ledger clock."""
    age: float
    """Seconds since it was written, as far as the clocks tell."""
    is_final: bool
    """The run that wrote it ended by itself."""


def encode(kept: Iterable[Kept], clock: Clock, *, is_final: bool) -> bytes:
    """A state file's content."""
    now = clock.now()
    windows = [[*each.key, each.shape, [[round(now - second, 3), n] for second, n in each.parts]] for each in kept]
    record = {
        "version": _VERSION,
        "final": is_final,
        "written": round(clock.wall(), 3),
        "boot": clock.boot_id,
        "up": round(clock.boot(), 3),
        "windows": windows,
    }
    return json.dumps(record, separators=(",", ":")).encode("ascii")


def read_state(path: Path, clock: Clock) -> State | None:
    """The state in a file, None without one. Raises StateError, whatever the file is."""
    try:
        data = read_admin_file(path, SIZE_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}") from None
    try:
        return decode(data, clock)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise StateError(f"{path} is damaged ({type(error).__name__})") from None


def decode(data: bytes, clock: Clock) -> State:
    """What `encode` wrote. Raises LookupError, TypeError, ValueError, AttributeError, RecursionError or OverflowError
    for anything else."""
    record = json.loads(data)
    if record["version"] != _VERSION:
        raise ValueError("version")
    written, up = _number(record["written"]), _number(record["up"])
    same_boot = clock.boot_id is not None and record["boot"] == clock.boot_id and up <= clock.boot()
    age = clock.boot() - up if same_boot else max(0.0, clock.wall() - written)
    windows = record["windows"]
    if not isinstance(windows, list) or len(windows) > MOST * 8:
        raise ValueError("windows")
    return State([_kept(*each, now=clock.now() - age) for each in windows], age, record["final"] is True)


def _kept(of: Any, name: object, shape: Any, parts: Any, *, now: float) -> Kept:
    if of not in ("user", "address") or not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise ValueError(of)
    name.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate
    checked = None
    if shape is not None:
        messages, seconds = shape
        if not isinstance(messages, bool) or isinstance(seconds, bool) or not isinstance(seconds, int):
            raise TypeError(shape)
        if not PARTS <= seconds <= LONGEST:
            raise ValueError(seconds)
        checked = messages, seconds
    if not isinstance(parts, list) or len(parts) > PARTS:
        raise ValueError("parts")
    return Kept((of, name), checked, [_part(*each, now=now) for each in parts])


def _part(age: object, n: object, *, now: float) -> tuple[float, int]:
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n < 1 << 40:
        raise ValueError(n)
    return now - _number(age, least=-LONGEST), n


def _number(value: object, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1 << 53:
        raise ValueError(value)  # NaN compares false
    return float(value)
