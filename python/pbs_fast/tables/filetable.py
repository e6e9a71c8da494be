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

import grp
import logging
import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pbs_fast.accounts import user_name
from pbs_fast.errors import TableError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables.describe import failure, os_error
from pbs_fast.tables.keys import SPELLINGS, address_of, is_canonical
from pbs_fast.tables.locks import TableBusyError
from pbs_fast.tables.owner import Owner, owner_file
from pbs_fast.tables.protocol import Row, TableOptions
from pbs_fast.tables.spec import TableSpec
from pbs_fast.tables.values import Template
from pbs_fast.tables.windows import window

log = logging.getLogger(__name__)

#: A modification time further ahead than this comes from a wrong clock; a rebuild starts anew from now. Seconds.
CLOCK_FAULT = 3600


class EngineError(Exception):
    """What an engine raised, under one name: `_build`, `_open` and `_write` raise it and OSError only."""


class DamagedError(TableError):
    """A file of the right type that its engine cannot read to the end."""


class FileTable(ABC):
    """A table in one file; see protocol.Table for the methods' contract."""

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        """Take the owner lock (or the one given) and make sure that a table stands there, empty if there was none.

        Raises TableError when another process owns it, or the file or its directory cannot be used.
        """
        if spec.file is None:
            raise TypeError(f"{spec} has no file")
        self._spec = str(spec)
        # A rename onto a symbolic link would replace the link; and one file must have one owner.
        self._file = spec.file.resolve() if spec.file.is_symlink() else spec.file
        self._options = options
        self._template = Template(options.value)
        self._spell = SPELLINGS.get(spec.option("keys"))
        """How the file spells addresses; None for the canonical form, which all but Exim ask for."""
        self._rows: dict[str, bytes] = {}
        """What the file should hold."""
        self._known = False
        """Whether `_rows` says so yet: not before the rows that stand there were loaded or replaced."""
        self._whole = False
        """Whether the file in place was built by us and every change to it since succeeded."""
        self._inode = (0, 0)
        self._mtime = 0
        self._replace_seconds = 0.0
        self._group_told = False
        self.refused = 0
        self._require_directory()
        self._owned_before = owner_file(self._file).exists()
        self._owner = owner or Owner(self._file)
        try:
            if self._is_missing():
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
        rows = self._rows if self._known else self._found()
        return {ip: row for ip, value in rows.items() if (row := self._template.parse(value)) is not None}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        if not self._known:
            self._found()  # refuses a file that is not ours
        wall = self._options.wall
        self._rows = {
            ip: self._template.render(grant, wall) for ip, grant in rows.items() if is_canonical(ip) or self._refuse(ip)
        }
        self._known = True
        self._replace()

    def apply(self, delta: Delta) -> None:
        if not self._known:
            self._rows = self._found()
            self._known = True
        put = self._changed(delta)
        gone = [ip for ip in delta.removed if ip in self._rows]
        if self._whole and not self._in_place():
            log.warning(
                "%s is not as we left it (removed, replaced or written by another program); put back", self._file
            )
            self._whole = False
        current = self._whole and (not (put or gone) or self._write_in_place(put, gone))
        self._note(put, gone)
        if not current:
            self._replace()

    def heartbeat(self) -> None:
        self._owner.touch()
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
    @abstractmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        """All keys and values of a file that stands there, under the shared lock that the MTA takes; changes nothing.

        Raises TableError when it is not a file of this type, damaged, unreadable, or locked for `wait` seconds.
        """

    @abstractmethod
    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        """Write the complete file at `target`, which does not exist, and bring it to the disk."""

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

    def _intact(self, found: os.stat_result) -> bool:
        """Whether the file in place, with this stat, holds what we wrote, as far as the type can tell."""
        return int(found.st_mtime) == self._mtime

    # Rows

    def _changed(self, delta: Delta) -> dict[str, bytes]:
        """Rows whose value differs: a renewal changes nothing unless the value holds {user} or {expires}."""
        current, render, wall = self._rows, self._template.render, self._options.wall
        put = {}
        for ip, grant in delta.set.items():
            value = render(grant, wall)
            if current.get(ip) != value and (ip in current or is_canonical(ip) or self._refuse(ip)):
                put[ip] = value
        return put

    def _note(self, put: Mapping[str, bytes], gone: Iterable[str]) -> None:
        self._rows.update(put)
        for ip in gone:
            del self._rows[ip]

    def _refuse(self, ip: str) -> bool:
        """Count a key that is not one canonical address; always False."""
        self.refused += 1
        log.error("%s: kept out the key %.80r, which is not one canonical address; please report it", self._file, ip)
        return False

    def _found(self) -> dict[str, bytes]:
        """The rows that stand in the file, all of them ours; TableError as `load` describes."""
        try:
            pairs = self.pairs(self._file, wait=self._options.lock_wait, flock=self._options.flock)
        except TableBusyError:
            raise
        except TableError as error:
            if not (isinstance(error, DamagedError) and self._owned_before):
                raise
            # kill -9 of a writer may leave such a file, and pbs-fast owned it: nobody else's rows are lost.
            log.warning("%s; its rows are lost until the log is replayed", error)
            return {}
        rows: dict[str, bytes] = {}
        foreign = []
        for key, value in pairs:
            ip = address_of(key.decode("latin-1"))
            # `ok\0` is what postmap writes, and no pbs-fast nor its predecessor: an administrator's own table.
            if ip is not None and self._template.parse(value) is not None:
                rows[ip] = value
            else:
                foreign.append((key, value))
        if foreign and not self._options.adopt:
            shown = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in foreign[:3])
            raise TableError(
                f"{self._file} holds {len(foreign)} rows that are not ours ({shown}); give another table, or set "
                f"adopt = true to take the file over and drop them"
            )
        if foreign:
            log.warning("%s: adopted; %d rows that are not ours are dropped", self._file, len(foreign))
        return rows

    # Files

    def _write_in_place(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        self._whole = False
        try:
            done = self._write(put, gone)
        except TableBusyError:
            self._whole = True
            raise
        except (OSError, EngineError) as error:
            log.warning("%s: change in place failed (%s); building the file anew", self._file, error)
            return False
        self._whole = done
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
            self._shut()
            self._install(target)
            self._open()
        except OSError as error:
            self._discard(target)
            raise TableError(os_error("cannot write", self._file, error)) from error
        except EngineError as error:
            self._discard(target)
            raise TableError(failure("cannot write", self._file, str(error))) from error
        except TableError:
            self._discard(target)
            raise
        self._inode = _inode(self._file.stat())
        self._whole = True
        self._replace_seconds = time.monotonic() - start

    def _in_place(self) -> bool:
        """Whether the path still leads to the file that we built."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TableError(os_error("cannot look at", self._file, error)) from error
        return _inode(found) == self._inode and self._intact(found)

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
        if not self._template.names_users:
            target.chmod(0o644)
            return
        target.chmod(0o640)
        try:
            os.chown(target, -1, grp.getgrnam(self._options.group).gr_gid)
        except (KeyError, OSError):  # EINVAL where a service with PrivateUsers=yes does not know the group
            # smtpd opens tables as root, so relaying works without; proxymap and postmap as another user do not.
            if not self._group_told:
                log.warning(
                    "%s names users, so it is mode 0640, but user %s cannot give it to group %s; make it a member",
                    self._file,
                    user_name(os.geteuid()),
                    self._options.group,
                )
            self._group_told = True

    def _require_directory(self) -> None:
        directory = self._file.parent
        try:
            found = directory.stat()
        except OSError as error:
            raise TableError(os_error("cannot use the directory of", self._file, error)) from error
        if not stat.S_ISDIR(found.st_mode):
            raise TableError(f"{directory} is not a directory; {self._spec} cannot lie there")

    def _is_missing(self) -> bool:
        """Whether there is no table at all yet; a zero-length file is none. TableError for what is not a file."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return True
        except OSError as error:
            raise TableError(os_error("cannot look at", self._file, error)) from error
        if not stat.S_ISREG(found.st_mode):
            raise TableError(f"{self._file} is not a regular file; move it away or give another table")
        return found.st_size == 0


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _text(raw: bytes) -> str:
    return ascii(raw[:60].decode("latin-1"))
