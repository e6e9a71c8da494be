"""Files that hold one address a line and nothing else: what they are read and written by.

Knows neither locks nor commands; nobody locks what is only ever replaced. Imports `errors` and modules of this package.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.tables.file.foreign import DamagedError, read_whole
from pbs_fast.tables.keys import address_of

#: The value that such a file's rows have for the rest of the program; its lines hold none.
VALUE = "ok"


def read_lines(file: Path) -> list[tuple[bytes, bytes]]:
    """The lines as rows. Raises TableError for another kind of file, DamagedError where it ends within a line."""
    lines = read_whole(file).split(b"\n")
    if lines[-1] and lines[:-1] and all(address_of(line.decode("latin-1")) for line in lines[:-1]):
        raise DamagedError(f"{file} is damaged (it ends in the middle of a line); move it away or restore it")
    # One word a line may be somebody's list of names, whose rows are named; anything else is another kind of file.
    if lines.pop() or any(not line or not line.isascii() or b" " in line or not _printable(line) for line in lines):
        raise TableError(f"{file} is not a list of addresses, one a line; move it away or give another table")
    return [(line, VALUE.encode()) for line in lines]


def write_lines(target: Path, addresses: Iterable[str]) -> None:
    """Write the complete file at `target`, which does not exist, and bring it to the disk. Raises OSError."""
    with target.open("xb") as file:
        file.write("".join(f"{ip}\n" for ip in addresses).encode())
        file.flush()
        os.fsync(file.fileno())


def _printable(line: bytes) -> bool:
    return line.decode("ascii").isprintable()
