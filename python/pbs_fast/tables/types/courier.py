"""`courier:`, Courier's smtpaccess: rules in a separate file, compiled by Courier's own tool.

`courier:/etc/courier/smtpaccess` names ACCESSFILE, a directory of rules. Our rows are the text file PATH.pbs-fast next
to it, and a link PATH/pbs-fast adds it to the directory; the administrator's files are never changed. `makesmtpaccess`
compiles all of them into PATH.dat, renames that into place and sends couriertcpd SIGHUP.

Measured with Debian's Courier 1.0.16
- PATH.dat is GDBM, and couriertcpd keeps it open: a rename alone has no effect. At SIGHUP it reopens the file; the
  listening process and its sessions go on. Without a running server makesmtpaccess succeeds too.
- The tool's exit status does not show whether our lines were read, so PATH.dat must be a new file afterwards.
- Every file in the directory is compiled, even one that is half written: hence ours is outside it.

Changes are collected for a second, so that couriertcpd is not signalled once per login.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.command import Command
from pbs_fast.tables.file.foreign import read_whole, write_new
from pbs_fast.tables.file.notify import NotifyingTable
from pbs_fast.tables.file.states import identity_of
from pbs_fast.tables.keys import courier, courier_address
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec

VALUE = "allow,RELAYCLIENT"
TOOL = "makesmtpaccess"
#: The least time between two compilations, in seconds.
WINDOW = 1.0
#: The name of the link to our file in the directory.
LINK = "pbs-fast"


class CourierTable(NotifyingTable):
    """A text of our rules, compiled at each change."""

    commas = True

    def __init__(self, spec: TableSpec, options: TableOptions, lock: TableLock | None = None) -> None:
        """As FileTable. Raises UsageError for an invalid value or command."""
        if spec.path is None:
            raise TypeError(f"{spec} has no path")
        value = spec.option("value", VALUE)
        if value.split(",")[0] != "allow" or "\t" in value or "{user}" in value:
            raise UsageError(f"table {spec}: value={value}: needs to start with allow and may hold {{expires}} only")
        self._command = Command(spec, TOOL)
        self._directory = spec.path
        self._compiled = spec.path.with_name(spec.path.name + spec.kind.compiled)
        super().__init__(spec, replace(options, value=value), lock)

    @property
    def window(self) -> float:
        return max(WINDOW, super().window)

    @property
    def _change_seconds(self) -> float:
        return super()._change_seconds + self._command.seconds

    @classmethod
    def address(cls, spec: TableSpec, key: bytes) -> str | None:
        del spec
        return courier_address(key.decode("latin-1"))

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # the file never changes, so it needs no lock
        rows = [line.partition(b"\t") for line in read_whole(file).split(b"\n")]
        last = rows.pop()
        if last != (b"", b"", b"") or any(not (key and tab and value) for key, tab, value in rows):
            raise TableError(
                f"{file} is not a list of Courier's rules, one per line; move it away or give another table"
            )
        return [(key, value) for key, _, value in rows]

    def _spelling(self, spec: TableSpec) -> Callable[[str], str] | None:
        del spec
        return courier

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        write_new(target, (b"%s\t%s\n" % (key.encode(), value) for key, value in rows.items()))

    def _intact(self) -> bool:
        # An administrator who runs the tool creates another PATH.dat, which holds our lines too.
        return self._compiled.exists() and self._linked()

    def _linked(self) -> bool:
        """Whether the directory has the link to our file."""
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
                f"{what} is not "
                + (f"a link to {self._file}" if what == link else "a directory of rules (makesmtpaccess(8))")
                + f", which {self._spec} needs; move it away"
            ) from None
        except OSError as error:
            raise TableError(os_error("cannot link our rules into", self._directory, error)) from error

    def _notifies(self) -> bool:
        return True

    def _notify(self) -> None:
        self._link()
        before = identity_of(self._compiled)
        self._command.run()
        if identity_of(self._compiled) == before:
            raise TableError(
                f"{self._spec}: {self._command} succeeded but did not create a new {self._compiled}; use the path that "
                f"ACCESSFILE has in Courier's configuration (esmtpd)"
            )
