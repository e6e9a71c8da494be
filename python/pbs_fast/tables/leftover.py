"""Tables that an earlier configuration left: another type or name, rows that nobody removes, an MTA that reads them.

They are found by their FILE.owner in the directory of a table, and in $STATE_DIRECTORY, which systemd and our start
files set (systemd.exec(5)). Their Record says how to empty them (tables/owner.py). Without a record (a full disk) the
suffix and the first bytes show the type; if they do not, the file is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pbs_fast.errors import UsageError
from pbs_fast.tables.owner import owner_file, read_record
from pbs_fast.tables.registry import TableSpec, parse

#: Types for which emptying a table runs a program, which only a command that names the table may do.
_RUNS_PROGRAMS = frozenset({"courier", "exec", "tcprules"})
#: The suffix of each table's lock file.
_OWNER = owner_file(Path("x")).name.removeprefix("x")
#: Entries of a directory that are read.
_MOST_ENTRIES = 10_000


class Leftover(NamedTuple):
    """A table that an earlier configuration left."""

    spec: TableSpec
    grace: int | None
    """Seconds that its rows may stay once no process holds the table; None if its record does not say."""


def runs_programs(spec: TableSpec) -> bool:
    """Whether emptying this table runs a program or signals a server, which only a command that names it may do."""
    return spec.type in _RUNS_PROGRAMS or bool({"command", "program", "signal"} & {name for name, _ in spec.options})


def as_written(spec: TableSpec, file: Path) -> tuple[TableSpec, str | None]:
    """The table that was last written to the file of `spec`, and the value of its rows if known.

    It differs from `spec` only after a change to a type with the same suffix, hash: to btree:. A record never causes a
    program to be run.
    """
    record = read_record(file)
    if record is None:
        # After a change of `user` the record may be unreadable (tables/owner.py).
        return (_by_suffix(file) or spec) if spec.type in ("hash", "btree") and not spec.options else spec, None
    same = record.spec.type == spec.type or runs_programs(record.spec)
    return spec if same else record.spec, record.value or None


def directories(specs: Iterable[TableSpec]) -> list[Path]:
    """The directories to search for earlier tables: those of `specs`, and $STATE_DIRECTORY."""
    found = [spec.file.resolve().parent for spec in specs if spec.file is not None]
    found += [Path(each) for each in os.environ.get("STATE_DIRECTORY", "").split(":") if each.startswith("/")]
    return list(dict.fromkeys(found))


def leftovers(places: Iterable[Path], specs: Iterable[TableSpec]) -> list[Leftover]:
    """Our tables in these directories that are not in `specs`. Only reads; skips what cannot be read."""
    configured = {spec.file.resolve() for spec in specs if spec.file is not None}
    found = []
    for place in places:
        with suppress(OSError), os.scandir(place) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False))
            for name in names:
                file = place / name.removesuffix(_OWNER)
                if name.endswith(_OWNER) and file.resolve() not in configured and file.is_file():
                    left = _leftover(file)
                    if left is not None:
                        found.append(left)
    return found


def _leftover(file: Path) -> Leftover | None:
    record = read_record(file)
    if record is not None:
        return Leftover(record.spec, record.grace or None)
    spec = _by_suffix(file)
    return None if spec is None else Leftover(spec, None)


def _by_suffix(file: Path) -> TableSpec | None:
    texts = {".lmdb": "lmdb:{}", ".exim-lmdb": "lmdb:{}?keys=exim", ".cdb": "cdb:{}", ".db": _bdb(file)}
    text = texts.get(file.suffix, "")
    with suppress(UsageError):
        return parse(text.format(file.with_suffix(""))) if text else None
    return None


def _bdb(file: Path) -> str:
    """`hash:{}` or `btree:{}` by the number at byte 12 of a Berkeley DB file (dbinc/db_page.h: DBMETA)."""
    with suppress(OSError):
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            raw = os.pread(fd, 4, 12)
        finally:
            os.close(fd)
        for number, text in ((0x061561, "hash:{}"), (0x053162, "btree:{}")):
            if number in (int.from_bytes(raw, "little"), int.from_bytes(raw, "big")):
                return text
    return ""
