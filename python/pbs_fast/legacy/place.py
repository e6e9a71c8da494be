"""Which table the old program kept, and which tables of it are left behind.

A file that leaves $dbfile alone means its package's default, and there are two: upstream's, and Debian's and Ubuntu's.
Imports the tables' specs and Postfix's settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pbs_fast.tables.registry import TYPES, TableSpec
from pbs_fast.tables.untyped import asking

#: How the first line of a TOML that was made begins; `pop-before-smtp --config=OLD` finds it by this.
MADE_FROM = "# Made from {} by pbs-fast import-config."
UPSTREAM = "/etc/postfix/pop-before-smtp"
#: The $dbfile that Debian's and Ubuntu's package patched into the program; their file has the line as a comment.
DEBIAN = "/var/lib/pop-before-smtp/hosts"
#: Where Debian's and Ubuntu's package keeps its configuration.
_DEBIAN_FILE = "/etc/pop-before-smtp/pop-before-smtp.conf"
_COMMENTED = re.compile(r"^\s*#+\s*\$dbfile\s*=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)
#: File name suffix -> the type that says so in an MTA's configuration; NDBM's two files are one table.
_SUFFIXES = {".db": "hash", ".lmdb": "lmdb", ".cdb": "cdb", ".pag": "dbm"}


class Found(NamedTuple):
    """A table's path, and how it was found out."""

    path: str
    why: str


def default_dbfile(
    file: str = "", text: str = "", *, ask: Callable[[Sequence[str]], str | None] | None = None
) -> Found:
    """Where the old program kept its table when its file does not say.

    In this order: what Postfix's configuration names, the one of the two defaults that exists, the file's own commented
    line, the place of the file, upstream's default. `ask` asks postconf.
    """
    settings = (ask or asking("postconf"))(["-n"]) or ""
    named = [
        path for path in (UPSTREAM, DEBIAN) if re.search(rf":{re.escape(path)}(?=[\s,;}}]|$)", settings, re.MULTILINE)
    ]
    if len(named) == 1:
        return Found(named[0], "Postfix's main.cf names it")
    there = [path for path in (UPSTREAM, DEBIAN) if files(path)]
    if len(there) == 1:
        return Found(there[0], f"{files(there[0])[0]} exists")
    commented = _COMMENTED.findall(text)
    if len(set(commented) & {UPSTREAM, DEBIAN}) == 1:
        return Found(
            next(path for path in commented if path in (UPSTREAM, DEBIAN)), "the file's commented line names it"
        )
    if file and str(Path(file).absolute()) == _DEBIAN_FILE:
        return Found(DEBIAN, "the default of Debian's package")
    return Found(UPSTREAM, "the old program's default")


def files(path: str) -> list[Path]:
    """The files of a table of any type at this path."""
    return [file for suffix in _SUFFIXES if (file := Path(path + suffix)).is_file()]


def left_behind(paths: Iterable[str], kept: TableSpec | None) -> list[tuple[str, Path]]:
    """(spec as an MTA's configuration has it, file) of each table at these paths that is not the one kept."""
    found: dict[Path, str] = {}
    for path in paths:
        for file in files(path):
            found[file] = f"{_SUFFIXES[file.suffix]}:{path}"
    return [(spec, file) for file, spec in found.items() if kept is None or kept.file != file]


def advice(spec: str, file: Path) -> str:
    """What to do about a table that nobody keeps any more."""
    kind = spec.partition(":")[0]
    how = f"empty it: pbs-fast clear --dbfile={spec}" if kind in TYPES else f"remove {file.with_suffix('.*')}"
    return f"{file} is left behind: its rows relay for ever where an MTA still reads {spec}; {how}"
