"""`lmdb:` with `keys=exim`: for an Exim built with LMDB look-ups, under LMDB's own locks instead of Postfix's.

Invariants (Exim: lookups/lmdb.c)
- Exim opens the file NOSUBDIR and RDONLY with its `-lock` file, and keeps one read transaction for a process's life. It
  registers in that lock file, so its user must be able to write it: mode 0660, the group Exim's.
- `net-lmdb` is a single-key look-up: IPv6 in full with dots, as for net-cdb.
- One lock file serves one data file. Both are built under other names and renamed, the lock file first: a reader opens
  the data file and then the lock file (mdb.c: mdb_env_open), so it may meet the old data with the new locks, never the
  reverse. Nobody writes the old data any more then; but the lock file's transaction number chooses between the two
  newest states of a data file, so such a reader may miss the last change until its connection ends.
- The engine that built the pair keeps it open, so that the lock file is never reset under a reader.

The suffix differs from that of Postfix's file (`registry.FOR_EXIM`), whose readers do not see these locks.
"""

from __future__ import annotations

import grp
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb

from pbs_fast.errors import TableError
from pbs_fast.tables.describe import failure, os_error
from pbs_fast.tables.file.foreign import DamagedError
from pbs_fast.tables.file.modes import exim_group, set_group, set_mode
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.types.lmdb import (
    MAP_SIZE,
    LmdbTable,
    engine,
    engine_as_table,
    environment,
    growing,
    provide,
    recognise,
)

#: Slots in the lock file, one per process that has the table open, 64 bytes each; without a free one a look-up fails.
READERS = 4096


def lock_file(file: Path) -> Path:
    """LMDB's own lock file for this file."""
    return file.with_name(file.name + "-lock")


class EximLmdbTable(LmdbTable):
    """Changed in place, one transaction per delta; running Exims read the state from when they opened it."""

    looks_first = False  # at the rows only, not at the lock file

    _built: Any = None
    """The engine of a new pair that is not yet renamed into place."""
    _lock_inode = (0, 0)

    def __init__(self, spec: TableSpec, options: TableOptions, lock: TableLock | None = None) -> None:
        """As FileTable; also TableError if the lock file cannot be given to Exim's group."""
        super().__init__(spec, replace(options, group=spec.option("group") or exim_group()), lock)

    def heartbeat(self) -> None:
        if self._env is not None:
            with engine_as_table(self._file):
                self._env.reader_check()  # otherwise a killed Exim would hold its pages for ever
        super().heartbeat()

    def close(self) -> None:
        self._drop_built()
        super().close()

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # LMDB's readers never wait
        try:
            with file.open("rb") as opened:
                recognise(file, opened.read(64))
            # Without a lock file nobody has the table open; none is created here.
            env = environment(file, map_size=0, readonly=True, lock=lock_file(file).exists())
            try:
                with env.begin() as txn:
                    return [(bytes(key), bytes(value)) for key, value in txn.cursor()]
            finally:
                env.close()
        except (lmdb.ReadonlyError, lmdb.LockError) as error:  # EACCES, EAGAIN
            raise TableError(failure("cannot open", lock_file(file), str(error).rpartition(": ")[2])) from error
        except lmdb.Error as error:
            raise DamagedError(f"{file} is damaged ({error}); move it away or restore it") from error
        except OSError as error:
            raise TableError(os_error("cannot read", file, error)) from error

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        pairs = sorted((ip.encode(), value) for ip, value in rows.items())
        with engine():
            self._built = environment(target, map_size=MAP_SIZE, create=True, lock=True, readers=READERS)
            growing(self._built, lambda txn: txn.cursor().putmulti(pairs, append=True))
            if pairs:
                # The state before that is empty, and a reader with another pair's lock file may be given it.
                growing(self._built, lambda txn: txn.put(*pairs[0]))
            self._built.sync(True)
        provide(target)
        self._share_lock(lock_file(target))

    def _share_lock(self, lock: Path) -> None:
        set_mode(lock, 0o660)
        try:
            set_group(lock, grp.getgrnam(self._options.group).gr_gid)
        except (KeyError, OSError) as error:
            reason = "there is no such group" if isinstance(error, KeyError) else error.strerror
            raise TableError(
                f"cannot give {lock_file(self._file)} to group {self._options.group} ({reason}), and Exim can read "
                f"the table only if it can write there; set group= to Exim's group and make our user a member of it"
            ) from error

    def _install(self, target: Path) -> None:
        lock_file(target).rename(lock_file(self._file))
        super()._install(target)

    def _discard(self, target: Path) -> None:
        self._drop_built()
        lock_file(target).unlink(missing_ok=True)
        super()._discard(target)

    def _open(self) -> None:
        self._env, self._built = self._built, None
        self._lock_inode = self._lock_identity()

    def _drop_built(self) -> None:
        built, self._built = self._built, None
        if built is not None:
            built.close()

    def _locked(self, *, shared: bool, wait: float) -> AbstractContextManager[None]:
        del shared, wait  # the engine takes its own
        return nullcontext()

    def _intact(self) -> bool:
        return self._lock_identity() == self._lock_inode and super()._intact()

    def _lock_identity(self) -> tuple[int, int]:
        try:
            found = lock_file(self._file).stat(follow_symlinks=False)
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino
