"""What all tables in files share: the rows they should hold, the table lock, and a complete file renamed into place.

Invariants
- The rows in memory are authoritative and the file is a cache of them. A new file is built completely under another
  name and renamed into place: before the first change, when the file was altered, and when a change in place failed.
- A file of another kind, or with rows that are not ours, is not touched.
- The file is never missing, never empty of structure, never truncated: an smtpd that opened such a table answers 451
  for its whole life (measured, Postfix 3.7).

A type implements `pairs`, `_build` and, where it can be changed in place, `_open`, `_shut`, `_write`, `_intact`.
"""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pbs_fast.errors import TableError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables.describe import failure, os_error, space_error
from pbs_fast.tables.file.foreign import (
    DamagedError,
    Pairs,
    is_missing,
    ours,
    read_apart,
    require_directory,
)
from pbs_fast.tables.file.modes import Readable, exim_group
from pbs_fast.tables.file.mtimes import AheadTimes, Mtimes
from pbs_fast.tables.file.states import FileState, LastSeen, RowState
from pbs_fast.tables.keys import SPELLINGS, address_of, strange
from pbs_fast.tables.locks import Patience, TableBusyError
from pbs_fast.tables.owner import Record, TableLock, owner_file
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.value import Template

log = logging.getLogger(__name__)

#: Seconds to wait for the lock at a start, when another writer such as postmap may hold it and no change is pending.
START_WAIT = 5.0
#: The share of the time between two changes that building new files may take.
BUSY_SHARE = 0.2


class EngineError(Exception):
    """An engine failed. `_build`, `_open` and `_write` raise only this and OSError."""


class FileTable(ABC):
    """A table in one file; see protocol.Table for the methods' contract."""

    commas: ClassVar[bool] = False
    """Whether the MTA reads values as words between commas."""
    by_path: ClassVar[bool] = False
    """Whether a library or program opens files by name, which follows links."""
    may_crash: ClassVar[bool] = False
    """Whether the engine may crash or loop for ever on a torn file."""
    looks_first: ClassVar[bool] = False
    """Whether `_write` does nothing, and returns False, if the file is not `_intact`."""

    def __init__(self, spec: TableSpec, options: TableOptions, lock: TableLock | None = None) -> None:
        """Take the table lock (or use the one given) and create an empty table if there is none.

        Raises TableError when another process has the table, or the file or its directory cannot be used.
        """
        if spec.file is None:
            raise TypeError(f"{spec} has no file")
        self._spec = str(spec)
        self._parsed = spec
        # A rename onto a symbolic link would replace the link; and one file must have one lock.
        self._file = spec.file.resolve() if spec.file.is_symlink() else spec.file
        # `keys` spells addresses for Exim, and then Exim must be able to read a file that names users.
        for_exim = bool(spec.option("keys")) and not spec.option("group")
        self._options = replace(options, group=exim_group()) if for_exim else options
        self._template = Template(options.value, commas=self.commas)
        self._spell = self._spelling(spec)
        """How the file spells addresses; None for the canonical form, which Postfix asks for."""
        self._mtimes = self._modification_times(spec)
        self._rows: dict[str, bytes] = {}
        """What the file should hold, once `_row_state` is KNOWN."""
        self._row_state = RowState.UNREAD
        self._state = FileState.OUTDATED
        self._last_seen = LastSeen(self._file)
        self._patience = Patience(options.lock_wait)
        self._replace_seconds = 0.0
        self._readable = Readable(self._file, self._options.group if self._template.names_users else None)
        self.refused = 0
        require_directory(self._file, by_path=self.by_path)
        self._owned_before = owner_file(self._file).exists()
        self._lock = lock or TableLock(self._file)
        try:
            if is_missing(self._file):
                self._row_state = RowState.KNOWN
                self._replace()
        except BaseException:
            self._lock.close()
            raise

    @property
    def spec(self) -> str:
        return self._spec

    @property
    def file(self) -> Path:
        return self._file

    @property
    def window(self) -> float:
        return max(self._mtimes.window, self._change_seconds / BUSY_SHARE)

    def load(self) -> dict[str, Row]:
        rows = self._rows if self._row_state is RowState.KNOWN else self._accept()
        return {ip: row for ip, value in rows.items() if (row := self._template.parse(value)) is not None}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        if self._row_state is RowState.UNREAD:
            self._accept()
        values = self._template.render_all(rows, self._options.wall)
        self._rows = self._accepted(values, values)
        self._row_state = RowState.KNOWN
        self._replace()

    def apply(self, delta: Delta) -> None:
        if self._row_state is not RowState.KNOWN:
            self._rows = self._read_rows(self._options.lock_wait)
            self._row_state = RowState.KNOWN
        put = self._changed(delta)
        gone = [ip for ip in delta.removed if ip in self._rows]
        looks = bool(self.looks_first and (put or gone))
        if self._state is FileState.CURRENT and not (self._last_seen.unaltered() and (looks or self._intact())):
            self._state = FileState.ALTERED
        done = self._state is FileState.CURRENT and (not (put or gone) or self._write_in_place(put, gone))
        self._update_rows(put, gone)
        if not done:
            self._replace()

    def heartbeat(self) -> None:
        self._lock.touch()
        self.check()

    def check(self) -> None:
        if self._row_state is RowState.KNOWN:
            self.apply(Delta())

    def close(self) -> None:
        try:
            self._shut()
        finally:
            self._state = FileState.OUTDATED
            self._lock.close()

    # What a type implements.

    @classmethod
    def address(cls, spec: TableSpec, key: bytes) -> str | None:
        """The canonical address that a key in the file spells; None for a key that is not ours."""
        del spec
        return address_of(key.decode("latin-1"))

    @classmethod
    @abstractmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        """All keys and values of an existing file, read under the shared lock that the MTA takes; changes nothing.

        Raises TableError when it is not a file of this type, damaged, unreadable, or locked for `wait` seconds.
        """

    @abstractmethod
    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        """Write the complete file at `target`, which does not exist, and sync it to the disk."""

    def _spelling(self, spec: TableSpec) -> Callable[[str], str] | None:
        """How the file spells addresses; None for the canonical form."""
        return SPELLINGS.get(spec.option("keys"))

    def _modification_times(self, spec: TableSpec) -> Mtimes:
        """The rule for the file's modification times; by default that of files which are only ever replaced."""
        del spec
        return AheadTimes(self._options.clock)

    def _open(self) -> None:  # noqa: B027  a type that is never changed in place needs none
        """Open the file in place for later changes."""

    def _shut(self) -> None:  # noqa: B027
        """Close what `_open` opened; do nothing when nothing is open."""

    def _write(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        """Change the file in place under the readers' lock; False, and nothing changed, when a new file is needed."""
        del put, gone
        return False

    def _install(self, target: Path) -> None:
        """Give the complete new file its name."""
        target.rename(self._file)

    def _discard(self, target: Path) -> None:
        """Remove what a build left at `target`, if anything."""
        target.unlink(missing_ok=True)

    def _intact(self) -> bool:
        """Whether what belongs to the file, such as a lock file, is unaltered; called when the file itself is."""
        return True

    @property
    def _change_seconds(self) -> float:
        """Seconds that a change takes; 0 where the window need not depend on that."""
        return self._replace_seconds

    @property
    def _alternative(self) -> str:
        """What the administrator can do about rows that are not ours, for the message that refuses them."""
        return "give another table"

    # Rows

    def _changed(self, delta: Delta) -> dict[str, bytes]:
        """Rows whose value differs: a renewal changes nothing unless the value holds {user} or {expires}."""
        current = self._rows
        values = self._template.render_all(delta.set, self._options.wall)
        put = {ip: value for ip, value in values.items() if current.get(ip) != value}
        return self._accepted(put, (ip for ip in put if ip not in current))

    def _update_rows(self, put: Mapping[str, bytes], gone: Iterable[str]) -> None:
        self._rows.update(put)
        for ip in gone:
            del self._rows[ip]

    def _accepted(self, rows: dict[str, bytes], new: Iterable[str]) -> dict[str, bytes]:
        """The rows without those of the `new` keys that are not one canonical address; these are counted."""
        for ip in strange(new):
            del rows[ip]
            self.refused += 1
            log.error(
                "%s: rejected the key %.80r, which is not one canonical address; please report it", self._file, ip
            )
        return rows

    def _accept(self) -> dict[str, bytes]:
        """The rows in the file at a start; TableError unless all are ours."""
        rows = self._read_rows(START_WAIT)
        self._row_state = RowState.ACCEPTED
        return rows

    def _read_rows(self, wait: float) -> dict[str, bytes]:
        """The rows in the file, all of them ours; TableError as `load` describes."""

        def pairs() -> Pairs:
            return self.pairs(self._file, wait=wait, flock=self._options.flock)

        try:
            found = read_apart(self._file, pairs, wait=wait) if self.may_crash else pairs()
        except DamagedError as error:
            if not self._owned_before:
                raise
            # A power failure or kill -9 leaves such a file. pbs-fast wrote it, so nobody else's rows are lost.
            log.warning("%s; its rows are lost, except those that the log explains", error)
            return {}
        return ours(
            self._file,
            found,
            lambda key: self.address(self._parsed, key),
            self._template,
            adopt=self._options.adopt,
            alternative=self._alternative,
        )

    # Files

    def _write_in_place(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        self._state = FileState.OUTDATED
        try:
            done = self._write(put, gone)
        except TableBusyError as error:
            self._state = FileState.CURRENT
            next_step = self._patience.busy()
            if next_step == "wait":
                raise
            if next_step == "replace":
                log.warning("%s; until it is released, each change writes a new file", error)
            return False
        except (OSError, EngineError) as error:
            log.warning("%s: change in place failed (%s); building the file anew", self._file, error)
            return False
        if done:
            self._state = FileState.CURRENT
        elif self.looks_first:
            self._state = FileState.ALTERED
        self._patience.done()
        return done

    def _replace(self) -> None:
        """Build the file under another name and rename it into place; if that fails, the file in place is unchanged."""
        target = self._file.with_name(self._file.name + ".tmp")  # always this name: kill -9 leaves at most one behind
        if self._state is FileState.CURRENT:
            self._state = FileState.OUTDATED
        start = time.monotonic()
        try:
            self._discard(target)
            spell = self._spell
            self._build(target, self._rows if spell is None else {spell(ip): v for ip, v in self._rows.items()})
            self._readable.make(target)
            mtime = self._mtimes.first(self._file)
            os.utime(target, (mtime, mtime), follow_symlinks=False)
            self._last_seen.installing(target)
            self._shut()
            self._install(target)
            self._mtimes.installed()
            self._lock.certify(Record(self._parsed, self._options.grace, self._options.value))
            self._open()
        except (OSError, EngineError, TableError) as error:
            with suppress(OSError):  # of a read-only file system
                self._discard(target)
            if isinstance(error, OSError):
                raise space_error(error)(os_error("cannot write", self._file, error)) from error
            if isinstance(error, EngineError):
                raise TableError(failure("cannot write", self._file, str(error))) from error
            raise
        if self._state is FileState.ALTERED:
            log.warning("%s was removed, replaced or changed by another program; restored", self._file)
        self._state = FileState.CURRENT
        self._patience.done()
        self._replace_seconds = time.monotonic() - start
