"""`type:path`: the string that goes into the MTA's configuration, parsed; and the registry of table types.

After a `?` may follow options of this one table, which the MTA never sees: `cdb:/x/relay?keys=exim`,
`text:/x/relay?command=/usr/local/sbin/notify now&timeout=2`; `%26` in a value is `&`, `%25` is `%`.

A new type is one module with its class and one line in TYPES. Classes are named by text and imported when a table is
opened, so that a host without Berkeley DB never imports it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote

from pbs_fast.errors import UsageError

#: The values of an option that is written without one.
FLAG = ("",)


class TableType(NamedTuple):
    """Where a type's class is, and what its files are called."""

    module: str
    name: str
    suffix: str | None
    """What the MTA appends to the path; None for a type without a file."""
    options: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """The options of this type, each with the values allowed; empty for any text, FLAG for none at all."""
    served: bool = False
    """Whether the type is followed not by a path but by the address where pbs-fast answers."""
    compiled: str = ""
    """What the MTA appends if it opens a file that its own tool compiles from ours."""


TYPES = {
    "hash": TableType("pbs_fast.tables.types.hash", "HashTable", ".db", {"keys": ("exim",)}),
    "btree": TableType("pbs_fast.tables.types.btree", "BtreeTable", ".db"),
    "lmdb": TableType("pbs_fast.tables.types.lmdb", "LmdbTable", ".lmdb", {"keys": ("exim",)}),
    "cdb": TableType("pbs_fast.tables.types.cdb", "CdbTable", ".cdb", {"keys": ("exim",), "suffix": ("none",)}),
    "text": TableType(
        "pbs_fast.tables.types.text", "TextTable", "", {"keys": ("exim", "iplsearch"), "command": (), "timeout": ()}
    ),
    "socketmap": TableType(
        "pbs_fast.tables.socketmap.table",
        "SocketmapTable",
        None,
        {"mode": (), "group": (), "queue": (), "prefix6": ()},
        True,
    ),
    "policy": TableType(
        "pbs_fast.tables.policy.table",
        "PolicyTable",
        None,
        {"mode": (), "group": (), "queue": (), "prefix6": (), "alone": FLAG},
        True,
    ),
    "sendmail": TableType(
        "pbs_fast.tables.types.sendmail",
        "SendmailTable",
        ".db",
        {"tag": (), "ipv6": ("full", "short"), "lock": ("flock", "fcntl"), "signal": ()},
    ),
    "tcprules": TableType(
        "pbs_fast.tables.types.tcprules",
        "TcprulesTable",
        ".cdb",
        {"rules": (), "value": (), "program": (), "timeout": ()},
    ),
    "courier": TableType(
        "pbs_fast.tables.types.courier",
        "CourierTable",
        ".pbs-fast",
        {"value": (), "command": (), "timeout": ()},
        compiled=".dat",
    ),
    "exec": TableType("pbs_fast.tables.types.exec", "ExecTable", "", {"command": (), "timeout": ()}),
    "null": TableType("pbs_fast.tables.types.null", "NullTable", None),
}
#: Types that `keys=exim` replaces because Exim reads under other locks than Postfix. The suffix separates the two:
#: Postfix appends its own, so no configuration can make it open a file that is written under Exim's locks.
FOR_EXIM = {
    "lmdb": TableType(
        "pbs_fast.tables.types.lmdb_exim", "EximLmdbTable", ".exim-lmdb", {"keys": ("exim",), "group": ()}
    ),
}
_TYPED = re.compile(r"([A-Za-z][A-Za-z0-9_+-]*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its type and where it is."""

    type: str
    path: Path | None
    """Absolute, without the suffix; None for a type without a file."""
    options: tuple[tuple[str, str], ...] = ()
    """Names and values, in the order of their names."""
    address: str = ""
    """Where a table that we serve is found (tables/served/endpoint.py)."""

    @property
    def kind(self) -> TableType:
        """Where the class is, and what the file is called."""
        return _kind(self.type, self.option("keys"))

    @property
    def suffix(self) -> str | None:
        """What is appended to the path for the file's name: the type's suffix, or nothing with `suffix=none`."""
        return "" if self.option("suffix") == "none" else self.kind.suffix

    @property
    def file(self) -> Path | None:
        """The file that the MTA opens."""
        suffix = self.suffix
        return None if self.path is None or suffix is None else self.path.with_name(self.path.name + suffix)

    def option(self, name: str, default: str = "") -> str:
        """The value of an option."""
        return dict(self.options).get(name, default)

    def flag(self, name: str) -> bool:
        """Whether an option without value is there."""
        return name in dict(self.options)

    @property
    def full(self) -> str:
        """The table with its options, as `parse` reads it."""
        options = "&".join(
            name if self.kind.options.get(name) == FLAG else f"{name}={quote(value, safe='/:, ')}"
            for name, value in self.options
        )
        return f"{self}?{options}" if options else str(self)

    def __str__(self) -> str:
        """What goes into the MTA's configuration."""
        return f"{self.type}:{self.path or self.address}"


def is_typed(text: str) -> bool:
    """Whether the text starts with a type; a path with a slash before its first colon does not."""
    return _TYPED.fullmatch(text) is not None


def parse(text: str) -> TableSpec:
    """The table that `type:path?option=value&…` names. A relative path is taken from the current directory, now.

    Raises UsageError for an unknown type or option (naming the nearest one), a missing or unusable path, and an invalid
    value of an option.
    """
    typed = _TYPED.fullmatch(text)
    if typed is None:
        raise UsageError(
            f"table {text!r}: needs a type before the path, as in lmdb:{text or '/var/lib/pbs-fast/relay'}"
        )
    kind, path = typed[1], typed[2]
    if kind not in TYPES:
        raise UsageError(f"table {text!r}: {unknown_type(kind)}")
    path, mark, options = path.partition("?")
    return make(kind, path, _options(kind, options) if mark else ())


def _kind(kind: str, keys: str) -> TableType:
    return FOR_EXIM.get(kind, TYPES[kind]) if keys == "exim" else TYPES[kind]


def _options(kind: str, text: str) -> tuple[tuple[str, str], ...]:
    known = _kind(kind, "exim" if "keys=exim" in text.split("&") else "").options
    found: dict[str, str] = {}
    for each in text.split("&"):
        name, equals, value = each.partition("=")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5) or sorted(known)
            hint = f"; use {', '.join(near)}" if near else ""
            raise UsageError(f"table {kind}:…?{text}: {kind}: has no option {name!r}{hint}")
        if bool(equals) == (known[name] == FLAG) or name in found:
            form = name if known[name] == FLAG else f"{name}=VALUE"
            raise UsageError(f"table {kind}:…?{text}: write the option {name} once, as {form}")
        value = unquote(value)
        if known[name] and value not in known[name]:
            raise UsageError(f"table {kind}:…?{text}: {name} is {' or '.join(known[name])}, not {value!r}")
        found[name] = value
    return tuple(sorted(found.items()))


def make(kind: str, path: str, options: tuple[tuple[str, str], ...] = ()) -> TableSpec:
    """The table of a known type at this path; raises UsageError as `parse` does."""
    spec = TableSpec(kind, None, options)
    suffix = spec.suffix
    if suffix is None:
        return replace(spec, address=path if spec.kind.served else "")
    if not path or "\0" in path or path.endswith("/"):
        raise UsageError(f"table {kind + ':' + path!r}: needs the path of a file, as in {kind}:/var/lib/pbs-fast/relay")
    absolute = Path(path).absolute()
    name = absolute.name.removesuffix(suffix).removesuffix(spec.kind.compiled)
    if name in ("", ".", ".."):
        raise UsageError(f"table {kind + ':' + path!r}: the file has no name before {suffix}")
    return replace(spec, path=absolute.with_name(name))


def unknown_type(kind: str) -> str:
    """Why this type is not one that can be opened, and the nearest that can."""
    known = ", ".join(f"{name}:" for name in TYPES)
    near = difflib.get_close_matches(kind.lower(), TYPES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}:?" if near else f"there are {known}"
    return f"there is no table type {kind}:; {hint}"
