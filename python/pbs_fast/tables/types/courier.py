"""`courier:`, Courier's smtpaccess: our lines in a file of their own, compiled by Courier's own tool.

`courier:/etc/courier/smtpaccess` names ACCESSFILE, a directory of rules. Our rows are the text file beside it,
PATH.pbs-fast, and a link PATH/pbs-fast makes it one of the directory's files; the administrator's stay as they are.
`makesmtpaccess` then compiles all of them into PATH.dat, renames that into place and sends couriertcpd SIGHUP.

Measured with Debian's Courier 1.0.16
- PATH.dat is GDBM, and couriertcpd keeps it open: renamed alone it changes nothing. At SIGHUP it opens it anew; the
  listening process stays, and so do its sessions. Without a server running makesmtpaccess ends well all the same.
- The tool's exit status does not tell whether our lines were read, so PATH.dat must be another file afterwards.
- Every file of the directory is compiled, also one that is half written: hence ours lies beside it.

Changes are collected for a second, so that couriertcpd is not signalled once a login.
Imports modules of this package and `errors`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.command import Command
from pbs_fast.tables.file.foreign import read_whole
from pbs_fast.tables.file.notify import ToldTable
from pbs_fast.tables.file.windows import window
from pbs_fast.tables.keys import courier, courier_address
from pbs_fast.tables.owner import Owner
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec

VALUE = "allow,RELAYCLIENT"
TOOL = "makesmtpaccess"
#: The least time between two compilations, in seconds.
WINDOW = 1.0
#: How our file is called in the directory.
LINK = "pbs-fast"


class CourierTable(ToldTable):
    """A text of our rules, compiled at each change."""

    commas = True

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        """As FileTable. Raises UsageError for a value or command that cannot be one."""
        if spec.path is None:
            raise TypeError(f"{spec} has no path")
        value = spec.option("value", VALUE)
        if value.split(",")[0] != "allow" or "\t" in value or "{user}" in value:
            raise UsageError(f"table {spec}: value={value}: needs to start with allow and may hold {{expires}} only")
        self._command = Command(spec, TOOL)
        self._directory = spec.path
        self._compiled = spec.path.with_name(spec.path.name + spec.kind.compiled)
        super().__init__(spec, replace(options, value=value), owner)

    @property
    def window(self) -> float:
        return max(WINDOW, window(ahead=0, busy=self._replace_seconds + self._command.seconds))

    @property
    def compiled(self) -> Path:
        """The file that Courier opens."""
        return self._compiled

    @classmethod
    def address(cls, spec: TableSpec, key: bytes) -> str | None:
        del spec
        return courier_address(key.decode("latin-1"))

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # nobody locks what never changes
        rows = [line.partition(b"\t") for line in read_whole(file).split(b"\n")]
        last = rows.pop()
        if last != (b"", b"", b"") or any(not (key and tab and value) for key, tab, value in rows):
            raise TableError(f"{file} is not a list of Courier's rules, one a line; move it away or give another table")
        return [(key, value) for key, _, value in rows]

    def _spelling(self, spec: TableSpec) -> Callable[[str], str] | None:
        del spec
        return courier

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        with target.open("xb") as file:
            file.writelines(b"%s\t%s\n" % (key.encode(), value) for key, value in rows.items())
            file.flush()
            os.fsync(file.fileno())

    def _intact(self) -> bool:
        # Who runs the tool himself makes another PATH.dat, which holds our lines too.
        return self._compiled.exists() and self._linked()

    def _linked(self) -> bool:
        """Whether a file of the directory is ours."""
        try:
            return (self._directory / LINK).samefile(self._file)
        except OSError:
            return False

    def _link(self) -> None:
        link = self._directory / LINK
        try:
            self._directory.mkdir(mode=0o755, exist_ok=True)
            if not self._linked():
                link.symlink_to(self._file)
        except FileExistsError:
            what = link if self._directory.is_dir() else self._directory
            raise TableError(
                f"{what} stands where {self._spec} needs "
                + (
                    f"its link to {self._file}; move it away"
                    if what == link
                    else "a directory of rules; see makesmtpaccess(8)"
                )
            ) from None
        except OSError as error:
            raise TableError(os_error("cannot link our rules into", self._directory, error)) from error

    def _tells(self) -> bool:
        return True

    def _tell(self) -> None:
        self._link()
        before = _identity(self._compiled)
        self._command.run()
        if _identity(self._compiled) == before:
            raise TableError(
                f"{self._spec}: {self._command} ended well but made no new {self._compiled}; the path must be what "
                f"ACCESSFILE is in Courier's configuration (esmtpd)"
            )


def _identity(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_dev, found.st_ino, found.st_mtime_ns
