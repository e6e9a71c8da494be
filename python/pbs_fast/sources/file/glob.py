"""Which files a `--watchlog` value means: a path, or a pattern for several. Imports `siblings`.

A pattern such as `/var/log/mail*` also matches the logs' own rotated files; those are history, not logs to follow.
"""
# ruff: noqa: PTH112, PTH207 - patterns are text, absolute or not, which Path.glob does not take

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from pbs_fast.sources.file.names import is_compressed_name, is_rotated_name


def is_pattern(spec: str) -> bool:
    """Is it a pattern? A path that exists as it is written is none, whatever characters it holds."""
    return glob.has_magic(spec) and not os.path.lexists(spec)


def expand(pattern: str, also: Iterable[str] = ()) -> list[str]:
    """The logs that `pattern` matches now, sorted by name, without directories, compressed and rotated files.

    `also` are logs that are followed already: their rotated files are left out even while the log itself is away.
    """
    found = sorted(path for path in glob.glob(pattern) if not os.path.isdir(path) and not is_compressed_name(path))
    logs = [*found, *also]
    return [path for path in found if not any(is_rotated_name(path, log) for log in logs if log != path)]
