"""The logs to replay: plain names, and wildcards that no shell has expanded (quoted, or in a systemd unit)."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence

from pbs_fast.errors import SourceError, UsageError


def expand(logs: Sequence[str]) -> list[str]:
    """The logs, patterns replaced by the names they match, in the order that a shell gives them.

    A file of just that name comes before what its name would match. Raises SourceError when a pattern matches nothing.
    """
    found: list[str] = []
    for log in logs:
        if not glob.has_magic(log) or os.path.lexists(log):
            found.append(log)
        elif names := sorted(glob.glob(log, recursive=True)):  # noqa: PTH207 - Path() would drop `./`
            found += names
        else:
            raise SourceError(f"{log}: matches no file; name an existing log, or - for standard input")
    return found


def once(logs: Sequence[str]) -> str | None:
    """The first of the logs that can be read once only, as an error calls it: standard input, or a pipe by its name."""
    for log in logs:
        if log == "-":
            return "standard input"
        # Opening a missing file gives a better error.
        if os.path.exists(log) and not os.path.isfile(log) and not os.path.isdir(log):  # noqa: PTH110, PTH112, PTH113
            return f"{log}, which is no file,"
    return None


def check_again(logs: Sequence[str], *, core: str | None, repeat: int) -> None:
    """Raises UsageError when logs are to be read more than once, and one of them cannot be."""
    if (core == "both" or repeat > 1) and (one := once(logs)):
        option = "--core=both" if core == "both" else f"--repeat={repeat}"
        raise UsageError(f"{option} reads the logs more than once, and {one} can be read once; name a file")


def sizes(logs: Sequence[str]) -> list[int]:
    """Bytes on the disk; 0 for what is no file."""
    return [os.stat(log).st_size if os.path.isfile(log) else 0 for log in logs]  # noqa: PTH113, PTH116 - `-` is no path
