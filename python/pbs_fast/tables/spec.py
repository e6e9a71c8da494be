"""`type:path`: the string that goes into the MTA's configuration, parsed; and the registry of table types.

A new type is one module with its class and one line in TYPES; nothing else changes. Classes are named by text and
imported when one is opened, so that a host without Berkeley DB never imports it. Imports `errors` only.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pbs_fast.errors import UsageError


class TableType(NamedTuple):
    """Where a type's class is, and what its files are called."""

    module: str
    name: str
    suffix: str | None
    """What the MTA appends to the path; None for a type without a file."""


TYPES = {
    "hash": TableType("pbs_fast.tables.hash", "HashTable", ".db"),
    "btree": TableType("pbs_fast.tables.btree", "BtreeTable", ".db"),
    "lmdb": TableType("pbs_fast.tables.lmdb", "LmdbTable", ".lmdb"),
    "cdb": TableType("pbs_fast.tables.cdb", "CdbTable", ".cdb"),
    "null": TableType("pbs_fast.tables.null", "NullTable", None),
}
#: Types that pbs-fast is going to write; asked for today, the answer is plain instead of a guess.
LATER = ("socketmap", "tcprules", "courier", "sendmail", "text", "exec")

_TYPED = re.compile(r"([A-Za-z][A-Za-z0-9_+-]*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its type and where it lies."""

    type: str
    path: Path | None
    """Absolute, without the suffix; None for a type without a file."""

    @property
    def file(self) -> Path | None:
        """The file that the MTA opens."""
        suffix = TYPES[self.type].suffix
        return None if self.path is None or suffix is None else self.path.with_name(self.path.name + suffix)

    def __str__(self) -> str:
        return f"{self.type}:{self.path or ''}"


def is_typed(text: str) -> bool:
    """Whether the text starts with a type; a path with a slash before its first colon does not."""
    return _TYPED.fullmatch(text) is not None


def parse(text: str) -> TableSpec:
    """The table that `type:path` names. A relative path is taken from the current directory, now.

    Raises UsageError for an unknown type (with the nearest one) and for a path that is missing or cannot be one.
    """
    typed = _TYPED.fullmatch(text)
    if typed is None:
        raise UsageError(
            f"table {text!r}: needs a type before the path, as in lmdb:{text or '/var/lib/pbs-fast/relay'}"
        )
    kind, path = typed[1], typed[2]
    if kind not in TYPES:
        raise UsageError(f"table {text!r}: {unknown_type(kind)}")
    return make(kind, path)


def make(kind: str, path: str) -> TableSpec:
    """The table of a known type at this path; raises UsageError as `parse` does."""
    suffix = TYPES[kind].suffix
    if suffix is None:
        return TableSpec(kind, None)
    if not path or "\0" in path or path.endswith("/"):
        raise UsageError(f"table {kind + ':' + path!r}: needs the path of a file, as in {kind}:/var/lib/pbs-fast/relay")
    absolute = Path(path).absolute()
    name = absolute.name.removesuffix(suffix)
    if name in ("", ".", ".."):
        raise UsageError(f"table {kind + ':' + path!r}: the file has no name before {suffix}")
    return TableSpec(kind, absolute.with_name(name))


def unknown_type(kind: str) -> str:
    """Why this type is not one that can be opened, and the nearest that can."""
    known = ", ".join(f"{name}:" for name in TYPES)
    if kind in LATER:
        return f"tables of type {kind}: are not supported yet; there are {known}"
    near = difflib.get_close_matches(kind.lower(), TYPES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}:?" if near else f"there are {known}"
    return f"there is no table type {kind}:; {hint}"
