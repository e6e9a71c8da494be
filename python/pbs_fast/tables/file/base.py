"""What all tables in files share: the rows they should hold, the owner lock, and a complete file renamed into place.

Invariants
- The rows in memory are the truth, the file is a cache of them: it is built complete beside and renamed into place
  before the first change, and again whenever it is not as we left it or a change to it failed half-way.
- A file of another kind, or with rows that are not ours, is not touched.
- The file is never missing, never empty of structure, never truncated: smtpd answers 451 for its whole life when it
  opened a table that was (measured, Postfix 3.7).

A type implements `pairs`, `_build` and, where it can be changed in place, `_open`, `_shut`, `_write`, `_intact`.
Imports `errors`, `events` and modules of this package; knows no log and no grace.
"""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from pbs_fast.errors import TableError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables.describe import failure, os_error, space_error
from pbs_fast.tables.file.foreign import DamagedError, Pairs, is_missing, ours, read_apart, require_directory
from pbs_fast.tables.file.modes import give_mode
from pbs_fast.tables.file.windows import window
from pbs_fast.tables.keys import SPELLINGS, address_of, is_canonical
from pbs_fast.tables.locks import TableBusyError
from pbs_fast.tables.owner import Owner, owner_file
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.value import Template

log = logging.getLogger(__name__)

#: At a start another writer may hold the lock, such as postmap at work; nobody waits for us then. Seconds.
START_WAIT = 5.0
#: A reader that keeps its lock longer than this hangs. A new file renamed into place needs no lock; readers that hang
#: keep the old one. Seconds.
LONGEST_BUSY = 5.0
#: A modification time further ahead than this comes from a wrong clock; a rebuild starts anew from now. Seconds.
CLOCK_FAULT = 3600


class EngineError(Exception):
    """What an engine raised, under one name: `_build`, `_open` and `_write` raise it and OSError only."""


class FileTable(ABC):
    """A table in one file; see protocol.Table for the methods' contract."""

    commas: ClassVar[bool] = False
    """Whether the MTA reads values as words between commas."""
    may_crash: ClassVar[bool] = False
    """Whether the engine may end the process, or never end, on a torn file."""

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        """Take the owner lock (or the one given) and make sure that a table stands there, empty if there was none.

        Raises TableError when another process owns it, or the file or its directory cannot be used.
        """
        if spec.file is None:
            raise TypeError(f"{spec} has no file")
        self._spec = str(spec)
        self._parsed = spec
        # A rename onto a symbolic link would replace the link; and one file must have one owner.
        self._file = spec.file.resolve() if spec.file.is_symlink() else spec.file
        self._options = options
        self._template = Template(options.value, commas=self.commas)
        self._spell = self._spelling(spec)
        """How the file spells addresses; None for the canonical form, which Postfix asks for."""
        self._rows: dict[str, bytes] = {}
        """What the file should hold."""
        self._known = False
        """Whether `_rows` says so yet: not before the rows that stand there were loaded or replaced."""
        self._judged = False
        """Whether what stands there was found to be ours."""
        self._whole = False
        """Whether the file in place was built by us and every change to it since succeeded."""
        self._left = (0, 0, 0, 0)
        """Device, inode, size and modification time (ns) of the file as we left it."""
        self._strange = False
        """Whether it was not so, and is not put back yet."""
        self._busy_since: float | None = None
        self._mtime = 0
        self._replace_seconds = 0.0
        self._group_told = False
        self.refused = 0
        require_directory(self._file)
        self._owned_before = owner_file(self._file).exists()
        self._owner = owner or Owner(self._file)
        try:
            if is_missing(self._file):
                self._known = True
                self._replace()
        except BaseException:
            self._owner.close()
            raise

    @property
    def spec(self) -> str:
        return self._spec

    @property
    def file(self) -> Path:
        return self._file

    @property
    def window(self) -> float:
        return window(ahead=self._mtime - self._options.clock(), busy=self._replace_seconds)

    def load(self) -> dict[str, Row]:
        rows = self._rows if self._known else self._found(START_WAIT)
        self._judged = True
        return {ip: row for ip, value in rows.items() if (row := self._template.parse(value)) is not None}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        if not (self._known or self._judged):
            self._found(START_WAIT)  # refuses a file that is not ours
        values = self._template.render_all(rows, self._options.wall)
        self._rows = {ip: value for ip, value in values.items() if is_canonical(ip) or self._refuse(ip)}
        self._known = True
        self._replace()

    def apply(self, delta: Delta) -> None:
        if not self._known:
            self._rows = self._found(self._options.lock_wait)
            self._known = True
        put = self._changed(delta)
        gone = [ip for ip in delta.removed if ip in self._rows]
        if self._whole and not self._in_place():
            self._whole, self._strange = False, True
        current = self._whole and (not (put or gone) or self._write_in_place(put, gone))
        self._note(put, gone)
        if not current:
            self._replace()
        if self._strange:
            self._strange = False
            log.warning(
                "%s was not as we left it (removed, replaced or written by another program); put back", self._file
            )

    def heartbeat(self) -> None:
        self._owner.touch()
        self.check()

    def check(self) -> None:
        if self._known:
            self.apply(Delta())

    def close(self) -> None:
        try:
            self._shut()
        finally:
            self._whole = False
            self._owner.close()

    # What a type implements.

    @classmethod
    def address(cls, spec: TableSpec, key: bytes) -> str | None:
        """The canonical address that a key in the file spells; None for a key that is not ours."""
        del spec
        return address_of(key.decode("latin-1"))

    @classmethod
    @abstractmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        """All keys and values of a file that stands there, under the shared lock that the MTA takes; changes nothing.

        Raises TableError when it is not a file of this type, damaged, unreadable, or locked for `wait` seconds.
        """

    @abstractmethod
    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        """Write the complete file at `target`, which does not exist, and bring it to the disk."""

    def _spelling(self, spec: TableSpec) -> Callable[[str], str] | None:
        """How the file is to spell addresses; None for the canonical form."""
        return SPELLINGS.get(spec.option("keys"))

    def _open(self) -> None:  # noqa: B027  a type that is never changed in place needs none
        """Open the file in place for later changes."""

    def _shut(self) -> None:  # noqa: B027
        """Close what `_open` opened; do nothing when nothing is open."""

    def _write(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        """Change the file in place under the readers' lock; False, with nothing changed, when a new file is needed."""
        del put, gone
        return False

    def _install(self, target: Path) -> None:
        """Give the complete new file its name."""
        target.rename(self._file)

    def _discard(self, target: Path) -> None:
        """Remove what a build left at `target`, if anything."""
        target.unlink(missing_ok=True)

    def _intact(self) -> bool:
        """Whether what belongs to the file in place, which itself is as we left it, is so too."""
        return True

    @property
    def _elsewhere(self) -> str:
        """What becomes of rows that are not ours, for the message that refuses them."""
        return "give another table"

    # Rows

    def _changed(self, delta: Delta) -> dict[str, bytes]:
        """Rows whose value differs: a renewal changes nothing unless the value holds {user} or {expires}."""
        current = self._rows
        return {
            ip: value
            for ip, value in self._template.render_all(delta.set, self._options.wall).items()
            if current.get(ip) != value and (ip in current or is_canonical(ip) or self._refuse(ip))
        }

    def _note(self, put: Mapping[str, bytes], gone: Iterable[str]) -> None:
        self._rows.update(put)
        for ip in gone:
            del self._rows[ip]

    def _refuse(self, ip: str) -> bool:
        """Count a key that is not one canonical address; always False."""
        self.refused += 1
        log.error("%s: kept out the key %.80r, which is not one canonical address; please report it", self._file, ip)
        return False

    def _found(self, wait: float) -> dict[str, bytes]:
        """The rows that stand in the file, all of them ours; TableError as `load` describes."""

        def pairs() -> Pairs:
            return self.pairs(self._file, wait=wait, flock=self._options.flock)

        try:
            found = read_apart(self._file, pairs, wait=wait) if self.may_crash else pairs()
        except DamagedError as error:
            if not self._owned_before:
                raise
            # A power failure or kill -9 leaves such a file, and pbs-fast owned it: nobody else's rows are lost.
            log.warning("%s; its rows are lost until the log is replayed", error)
            return {}
        return ours(
            self._file,
            found,
            lambda key: self.address(self._parsed, key),
            self._template,
            adopt=self._options.adopt,
            elsewhere=self._elsewhere,
        )

    # Files

    def _write_in_place(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        self._whole = False
        try:
            done = self._write(put, gone)
        except TableBusyError as error:
            self._whole = True
            self._busy_since = self._busy_since or time.monotonic()
            if time.monotonic() < self._busy_since + LONGEST_BUSY:
                raise
            log.warning("%s; a new file takes its place", error)
            return False
        except (OSError, EngineError) as error:
            log.warning("%s: change in place failed (%s); building the file anew", self._file, error)
            return False
        self._whole = done
        self._busy_since = None
        return done

    def _replace(self) -> None:
        """Build the file beside and rename it into place; the file in place stays as it is if that fails."""
        target = self._file.with_name(self._file.name + ".tmp")  # one owner, so one name: no litter after kill -9
        self._whole = False
        start = time.monotonic()
        try:
            self._discard(target)
            spell = self._spell
            self._build(target, self._rows if spell is None else {spell(ip): v for ip, v in self._rows.items()})
            self._give_mode(target)
            self._set_mtime(target)
            self._left = _shown(target.stat())
            self._shut()
            self._install(target)
            self._open()
        except OSError as error:
            self._give_up(target)
            raise space_error(error)(os_error("cannot write", self._file, error)) from error
        except EngineError as error:
            self._give_up(target)
            raise TableError(failure("cannot write", self._file, str(error))) from error
        except TableError:
            self._give_up(target)
            raise
        self._whole = True
        self._busy_since = None
        self._replace_seconds = time.monotonic() - start

    def _give_up(self, target: Path) -> None:
        """Remove half a new file, where that can be done (not from a read-only file system)."""
        with suppress(OSError):
            self._discard(target)

    def _saw(self) -> None:
        """Take the file in place as it is now for what we left; a type that changes it calls this under its lock."""
        found = _shown(self._file.stat(follow_symlinks=False))
        if found[:2] == self._left[:2]:
            self._left = found

    def _in_place(self) -> bool:
        """Whether the path still leads to the file that we built, and nobody else has written to it since."""
        try:
            found = self._file.stat(follow_symlinks=False)  # a link was put there by somebody else
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TableError(os_error("cannot look at", self._file, error)) from error
        return _shown(found) == self._left and self._intact()

    def _set_mtime(self, target: Path) -> None:
        """A whole second that no earlier version of the file showed (Postfix and Sendmail compare whole seconds)."""
        if not self._mtime and self._file.exists():
            self._mtime = int(self._file.stat().st_mtime)
        now = int(self._options.clock())
        if self._mtime > now + CLOCK_FAULT:
            self._mtime = 0
        self._mtime = max(now, self._mtime + 1)
        os.utime(target, (self._mtime, self._mtime))

    def _give_mode(self, target: Path) -> None:
        group = self._options.group if self._template.names_users else None
        warning = give_mode(target, group=group, file=self._file)
        if warning and not self._group_told:
            log.warning(warning)
            self._group_told = True


def _shown(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
