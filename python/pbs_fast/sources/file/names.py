"""Names of logs: which files a `watchlog` pattern matches, and which names a rotation gives to the files of a log.

Names select candidates; their contents decide their order (`generations.py`). Known: logrotate (`NAME.1`,
`NAME-20261122`, with `extension` also `STEM-20261122.log` and `STEM.1.log`, `dateformat` with a time), newsyslog and
savelog (`NAME.0`), `NAME.old`; each also compressed.
"""
# ruff: noqa: PTH112, PTH118, PTH119, PTH120, PTH207, PTH208 - one module, os: paths may not be UTF-8

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from typing import NamedTuple

_COMPRESSED = re.compile(r"(.+)\.(?:gz|xz|zst|bz2|lzma|lz4|Z)\Z", re.DOTALL)
_NUMBER = re.compile(r"\.(\d{1,4})\Z")
#: What follows the name: a number, a date with or without time, or `old`.
_SUFFIX = r"(?:\.\d{1,4}|[-._]?(?:19|20)\d\d[-._]?\d\d[-._]?\d\d(?:[-._T]?\d[\d:.-]{0,11})?|-\d{9,11}|\.old)"


class RotatedName(NamedTuple):
    """A file in the log's directory whose name a rotation may have given it."""

    path: str
    plain: str
    """The path without a compressor's suffix; equal to `path` for a plain file."""
    number: int | None
    """The N of `NAME.N`."""

    @property
    def compressed(self) -> bool:
        return self.path != self.plain


def siblings(path: str) -> list[RotatedName]:
    """The rotated files of the log `path`, sorted by name. If a file exists plain and compressed, only the plain one.

    Searches the directory of the path and, for a symbolic link, that of its target. Raises nothing: a directory that
    cannot be listed gives none (see `listable`).
    """
    found: dict[str, RotatedName] = {}
    for log in dict.fromkeys((path, os.path.realpath(path))):
        directory = os.path.dirname(log)
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for name in names:
            if sibling := _sibling(directory, os.path.basename(log), name):
                found[sibling.path] = sibling
    return [found[name] for name in sorted(found) if found[name].plain == name or found[name].plain not in found]


def listable(path: str) -> OSError | None:
    """Why the directory of `path` cannot be listed; None if it can."""
    try:
        os.listdir(os.path.dirname(os.path.realpath(path)))
    except OSError as error:
        return error
    return None


def is_compressed_name(path: str) -> bool:
    """Does the name have a compressor's suffix?"""
    return _COMPRESSED.match(path) is not None


def is_rotated_name(path: str, of: str) -> bool:
    """Is `path`, by its name, a rotated file of the log `of` in the same directory?"""
    directory, name = os.path.split(path)
    return directory == os.path.dirname(of) and _sibling(directory, os.path.basename(of), name) is not None


def _sibling(directory: str, log: str, name: str) -> RotatedName | None:
    match = _COMPRESSED.match(name)
    plain = match[1] if match else name
    stem, dot, extension = log.rpartition(".")
    suffix = plain[len(log) :] if plain.startswith(log) else ""
    if not re.fullmatch(_SUFFIX, suffix):
        suffix = plain[len(stem) : -len(extension) - 1]  # logrotate's `extension`
        if not (dot and stem and plain.startswith(stem) and plain.endswith(dot + extension)):
            return None
        if not re.fullmatch(_SUFFIX, suffix):
            return None
    number = _NUMBER.match(suffix)
    return RotatedName(
        os.path.join(directory, name), os.path.join(directory, plain), int(number[1]) if number else None
    )


def is_pattern(spec: str) -> bool:
    """Is it a pattern? A path that exists literally is not, whatever characters it contains."""
    return glob.has_magic(spec) and not os.path.lexists(spec)


def expand(pattern: str, also: Iterable[str] = ()) -> list[str]:
    """The logs that `pattern` matches now, sorted by name, without directories, compressed and rotated files.

    `also` are logs that are followed already: their rotated files are excluded even while the log itself is missing.
    """
    found = sorted(path for path in glob.glob(pattern) if not os.path.isdir(path) and not is_compressed_name(path))
    logs = [*found, *also]
    return [path for path in found if not any(is_rotated_name(path, log) for log in logs if log != path)]
