"""The rotated predecessors of a log: files beside it whose names a rotation gives.

Names say only which files to look at; which of them is older is said by their content (`sources.replay`). Known:
logrotate (`NAME.1`, `NAME-20261122`, with `extension` also `STEM-20261122.log` and `STEM.1.log`, `dateformat` with a
time), newsyslog and savelog (`NAME.0`), `NAME.old`; each also compressed. Imports nothing of the package.
"""
# ruff: noqa: PTH118, PTH119, PTH120, PTH208 - one module, os, for descriptors and for paths that are no UTF-8

from __future__ import annotations

import os
import re
from typing import NamedTuple

_COMPRESSED = re.compile(r"(.+)\.(?:gz|xz|zst|bz2|lzma|lz4|Z)\Z", re.DOTALL)
_NUMBER = re.compile(r"\.(\d{1,4})\Z")
#: What stands behind the name: a number, a date with or without time, or `old`.
_SUFFIX = r"(?:\.\d{1,4}|[-._]?(?:19|20)\d\d[-._]?\d\d[-._]?\d\d(?:[-._T]?\d[\d:.-]{0,11})?|-\d{9,11}|\.old)"


class Sibling(NamedTuple):
    """A file beside the log that a rotation may have made of it."""

    path: str
    plain: str
    """The path without the ending of a compressor; equal to `path` for a plain file."""
    number: int | None
    """The N of `NAME.N`."""

    @property
    def compressed(self) -> bool:
        return self.path != self.plain


def siblings(path: str) -> list[Sibling]:
    """The rotated files of the log `path`, sorted by name. Of a plain file and its compressed twin only the plain one.

    Looks beside the path and, where it is a symbolic link, beside its target. Raises nothing: a directory that cannot
    be listed has no siblings (`sources.replay` learns of it by `listable`).
    """
    found: dict[str, Sibling] = {}
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
    """Why the directory of `path` cannot be listed; None when it can."""
    try:
        os.listdir(os.path.dirname(os.path.realpath(path)))
    except OSError as error:
        return error
    return None


def is_compressed_name(path: str) -> bool:
    """Does the name end as a compressor's output?"""
    return _COMPRESSED.match(path) is not None


def is_rotated_name(path: str, of: str) -> bool:
    """Is `path` by its name a rotated file of the log `of`, in the same directory?"""
    directory, name = os.path.split(path)
    return directory == os.path.dirname(of) and _sibling(directory, os.path.basename(of), name) is not None


def _sibling(directory: str, log: str, name: str) -> Sibling | None:
    match = _COMPRESSED.match(name)
    plain = match[1] if match else name
    stem, dot, extension = log.rpartition(".")
    behind = plain[len(log) :] if plain.startswith(log) else ""
    if not re.fullmatch(_SUFFIX, behind):
        between = plain[len(stem) : -len(extension) - 1]
        if not (dot and stem and plain.startswith(stem) and plain.endswith(dot + extension)):
            return None
        if not re.fullmatch(_SUFFIX, between):
            return None
        behind = between
    number = _NUMBER.match(behind)
    return Sibling(os.path.join(directory, name), os.path.join(directory, plain), int(number[1]) if number else None)
