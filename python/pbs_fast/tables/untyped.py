"""`--dbfile=PATH` without a type, as the old program took it: which type does this host's Postfix read there?

Asks `postconf`, which only prints.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from pbs_fast.errors import ConfigError, UsageError
from pbs_fast.tables.registry import TYPES, TableSpec, is_typed, make, parse, unknown_type
from pbs_fast.util.commands import find_exim
from pbs_fast.util.postconf import Postconf


class Chosen(NamedTuple):
    """A table and why it is of this type, for the log and `--dumpconfig`; no reason if the type was given."""

    spec: TableSpec
    reason: str


def asking(command: str) -> Callable[[Sequence[str]], str | None]:
    """A function that runs a `postconf` command and returns its output; None if it is missing or fails."""

    def ask(arguments: Sequence[str]) -> str | None:
        with suppress(ConfigError):
            return Postconf(command).ask(*arguments)
        return None

    return ask


def choose(text: str, command: str = "postconf") -> Chosen:
    """The table of `type:path` or of a path without type; `command` is Postfix's postconf. Raises UsageError."""
    return Chosen(parse(text), "") if is_typed(text) else resolve(text, ask=asking(command))


def resolve(
    path: str, *, ask: Callable[[Sequence[str]], str | None], exim: Callable[[], str | None] = find_exim
) -> Chosen:
    """The table meant by a path without type; docs/OPERATION.md has the order.

    The type that Postfix's configuration names with that path; hash where PATH.db exists; Postfix's
    default_database_type; without Postfix cdb with Exim's keys where Exim is, as Debian's Exim reads no lmdb; lmdb.
    Raises UsageError if that is a type which pbs-fast does not write, or the path is unusable: it never takes another
    type instead.
    """
    names = {str(make(kind, path).path) for kind in TYPES if TYPES[kind].suffix is not None}
    configured = _configured(ask(["-n"]) or "", names)
    if configured is not None:
        # The path as in Postfix's configuration, without a suffix that users of the old program may have given.
        kind, path, where = configured
        return _redirected(_choose(kind, path, where), path, ask)
    db = make("hash", path)
    if db.file is not None and db.file.exists():
        return Chosen(db, f"{db.file} exists")
    default = (ask(["-h", "default_database_type"]) or "").strip()
    if default:
        return _choose(default, path, "Postfix's default_database_type")
    if found := exim():
        return Chosen(make("cdb", path, (("keys", "exim"),)), f"no Postfix here, but {found}")
    return Chosen(make("lmdb", path), "no Postfix here to ask")


def _configured(text: str, names: set[str]) -> tuple[str, str, str] | None:
    """Type, path and parameter of the first of these paths in the output of `postconf -n`."""
    # A long value is continued on lines that start with a blank.
    for line in re.sub(r"\n[ \t]+", " ", text).splitlines():
        parameter, equals, value = line.partition("=")
        if not equals:
            continue
        for kind, path in re.findall(r"([a-z][a-z0-9_]*):(/[^\s,;{}]*)", value):
            if path in names:
                return kind, path, f"Postfix's {parameter.strip()} names {kind}:{path}"
    return None


def _choose(kind: str, path: str, reason: str) -> Chosen:
    if kind not in TYPES:
        raise UsageError(f"{path} without a type: {reason}, but {unknown_type(kind)}; give type:path")
    return Chosen(make(kind, path), reason)


def _redirected(chosen: Chosen, path: str, ask: Callable[[Sequence[str]], str | None]) -> Chosen:
    """Postfix 3.11 and later can be told to open another type wherever the configuration says hash or btree."""
    if chosen.spec.type not in ("hash", "btree"):
        return chosen
    level = (ask(["-h", "non_bdb_migration_level"]) or "").strip()
    if not level.startswith("enable"):
        return chosen
    default = (ask(["-h", "default_database_type"]) or "").strip() or "lmdb"
    return _choose(default, path, f"{chosen.reason}, which non_bdb_migration_level = {level} turns into {default}")
