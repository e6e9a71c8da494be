"""Tables: publish Deltas to the lookup files of MTAs, atomically, under the lock that the MTA's readers take.

`open_table` returns an object with the protocol `Table`; `list_rows` only reads. Nothing here knows logs or grace.

To add a type: one module in `types/` with a subclass of `FileTable`, which does the table lock, the rebuild and the
rename (`btree.py` is the shortest example), and one line in `registry.TYPES`. tests/tables/test_contract.py walks it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.protocol import HEARTBEAT, Row, Table, TableOptions
from pbs_fast.tables.registry import TableSpec, parse

if TYPE_CHECKING:
    from pbs_fast.tables.owner import TableLock

__all__ = ["HEARTBEAT", "Row", "Table", "TableOptions", "TableSpec", "list_rows", "open_table", "parse"]

#: Seconds that `list_rows` waits for a writer.
LIST_WAIT = 5.0


def open_table(spec: TableSpec | str, *, options: TableOptions | None = None, lock: TableLock | None = None) -> Table:
    """Take the table lock, create the file if missing, and return the table.

    Open it after daemonizing, as the user that is going to write it. The rows in an existing file stay until `rebuild`.
    `lock` hands over a table lock already held.

    Raises UsageError for a bad spec, value, or an option that the type cannot have; TableError if another process has
    the table, its engine is not installed, or file or directory cannot be used.
    """
    spec = parse(spec) if isinstance(spec, str) else spec
    options = options or TableOptions()
    if spec.type == "lmdb" and not options.flock:
        raise UsageError(
            f"--noflock cannot be used with {spec}: without its lock the MTA's readers crash; leave it out"
        )
    return _load(spec)(spec, options, *(() if lock is None else (lock,)))  # type: ignore[no-any-return]


def list_rows(spec: TableSpec | str, *, flock: bool = True) -> list[tuple[str, str]]:
    """Keys and values in a table, ours or not, sorted by the keys' bytes. Creates and changes nothing.

    Addresses are shown in their canonical form, however the file spells them. A NUL that another writer left at the end
    of a key or value is removed; bytes that are not text are shown as `\\x…`.
    Not for the process that has the table open (tables/types/lmdb.py). Raises TableError if there is no such table, it
    cannot be read, a writer keeps it locked, or its rows are in the daemon's memory only.
    """
    spec = parse(spec) if isinstance(spec, str) else spec
    if spec.kind.served:
        ask = "pbs-fast why ADDRESS" if spec.type == "policy" else f"postmap -q ADDRESS {spec}"
        raise TableError(f"the rows of {spec} are in the daemon's memory; ask for one with: {ask}")
    if spec.file is None:
        return []
    table = _load(spec)
    pairs: list[tuple[bytes, bytes]] = table.pairs(spec.file, wait=LIST_WAIT, flock=flock)
    return sorted((table.address(spec, key.removesuffix(b"\0")) or _text(key), _text(value)) for key, value in pairs)


def _text(raw: bytes) -> str:
    return raw.removesuffix(b"\0").decode("utf-8", "backslashreplace")


def _load(spec: TableSpec) -> Any:
    return getattr(importlib.import_module(spec.kind.module), spec.kind.name)
