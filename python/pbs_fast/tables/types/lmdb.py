"""`lmdb:`, the first choice on a busy hub: no smtpd restarts, changes seen inside a running SMTP session.

Invariants (Postfix: slmdb.c, lmdb_table(5))
- One file without directory and without LMDB's own lock file; the unnamed database; data format 1 (LMDB 0.9), which
  every distribution's Postfix reads.
- Every transaction runs under an fcntl lock over the whole file: without it readers crash (measured: 13 of 140 loops).
- Closing ANY descriptor of the file in this process drops its POSIX locks: the lock descriptor is opened once, after
  the engine's, and nothing else here opens the file while it is ours.
- No fsync under the lock: it stalled one RCPT by up to 50 ms on a busy disk, and kill -9 loses nothing without it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from pbs_fast.errors import TableError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.base import EngineError
from pbs_fast.tables.file.compact import CompactedTable
from pbs_fast.tables.file.foreign import DamagedError
from pbs_fast.tables.locks import TableBusyError, locked

#: The least size of the map. Address space only: the file grows as it fills. 1 MiB held 28 346 rows, so 64 MiB hold
#: 1.8 million; larger tables double it.
MAP_SIZE = 64 << 20

#: The least number of bytes allocated to a new file beyond what it needs. Each change writes some pages anew before old
#: ones are free again, and a new row takes 37 bytes: enough for 5 000 of them.
SPARE = 256 << 10

#: Where a meta page holds its magic number and, after it, its data format, in native byte order: after the page header,
#: of 16 bytes in LMDB 0.9 (mdb.c: MDB_meta) and 24 in 1.0.
_MAGIC_AT, _MAGIC = (16, 24), 0xBEEFC0DE
_FORMAT = 1

T = TypeVar("T")


def environment(
    file: Path, *, map_size: int, readonly: bool = False, create: bool = False, lock: bool = False, readers: int = 126
) -> Any:
    """The engine's handle of one file; with `lock` under LMDB's own locks, for up to `readers` processes."""
    # py-lmdb 3 has two engines; LMDB_DEFAULT_LIB_VERSION=1 in the environment would select file format 3.
    pinned: Any = {"lib_version": 0} if hasattr(lmdb.Environment, "lib_version") else {}
    return lmdb.open(
        os.fspath(file),
        subdir=False,
        lock=lock,
        max_readers=readers,
        sync=False,
        readonly=readonly,
        create=create,
        map_size=map_size,
        mode=0o644,
        **pinned,
    )


class LmdbTable(CompactedTable):
    """Changed in place, one transaction per delta."""

    window = 0.0  # a change costs Postfix nothing
    by_path = True
    may_crash = True
    looks_first = True

    _env: Any = None
    _lock_fd = -1

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del flock  # readers lock lmdb in any case
        try:
            fd = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise TableError(os_error("cannot read", file, error)) from error
        try:
            recognise(file, os.pread(fd, 64, 0))
            # LMDB opens the file again and closes it, which would drop a lock already held. The map is larger than the
            # file, which may grow until we have the lock.
            env = environment(file, map_size=max(MAP_SIZE, 4 * os.fstat(fd).st_size), readonly=True)
            try:
                with locked(fd, "fcntl", shared=True, wait=wait, file=file), env.begin() as txn:
                    return [(bytes(key), bytes(value)) for key, value in txn.cursor()]
            finally:
                env.close()
        except lmdb.Error as error:
            raise DamagedError(f"{file} is damaged ({error}); move it away or restore it") from error
        except OSError as error:
            raise TableError(os_error("cannot read", file, error)) from error
        finally:
            os.close(fd)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        with engine():
            env = environment(target, map_size=MAP_SIZE, create=True)
            try:
                pairs = sorted((ip.encode(), value) for ip, value in rows.items())
                growing(env, lambda txn: txn.cursor().putmulti(pairs, append=True))
                env.sync(True)
            finally:
                env.close()
        provide(target)

    def _needed(self) -> int:
        with engine_as_table(self._file):
            stat = self._env.stat()
        return int(stat["psize"] * (2 + stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]))

    def _is_open(self) -> bool:
        return self._env is not None

    def _open(self) -> None:
        with engine():
            self._env = environment(self._file, map_size=max(MAP_SIZE, 2 * self._file.stat().st_size))
        self._lock_fd = os.open(self._file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _shut(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
        if self._env is not None:
            self._env.close()
            self._env = None

    def _locked(self, *, shared: bool, wait: float) -> AbstractContextManager[None]:
        """The lock that readers take, over a whole transaction of ours."""
        return locked(self._lock_fd, "fcntl", shared=shared, wait=wait, file=self._file)

    def _write(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        if (spell := self._spell) is not None:
            put, gone = {spell(ip): value for ip, value in put.items()}, [spell(ip) for ip in gone]
        pairs = [(ip.encode(), value) for ip, value in put.items()]
        expected = len(self._rows)

        def write(txn: Any) -> bool:
            if txn.stat()["entries"] != expected:
                return False
            with txn.cursor() as cursor:
                cursor.putmulti(pairs)
            for ip in gone:
                txn.delete(ip.encode())
            return True

        with self._locked(shared=False, wait=self._patience.wait), engine():
            done = growing(self._env, write)
            self._last_seen.changed()
            return done

    def _intact(self) -> bool:
        try:
            with self._locked(shared=True, wait=0), self._env.begin() as txn:
                return bool(txn.stat()["entries"] == len(self._rows))
        except TableBusyError:
            return True  # a reader has the lock; the next write checks again
        except (OSError, lmdb.Error):
            return False


@contextmanager
def engine() -> Iterator[None]:
    """Turn LMDB's errors into those that FileTable handles."""
    try:
        yield
    except lmdb.DiskError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    except lmdb.Error as error:
        raise EngineError(str(error)) from error


@contextmanager
def engine_as_table(file: Path) -> Iterator[None]:
    """Turn LMDB's errors on an open file into TableError."""
    try:
        yield
    except lmdb.Error as error:
        raise TableError(f"cannot read {file} ({error}); it is restored at the next change") from error


def provide(target: Path) -> None:
    """Allocate room for growth if the disk has it, so that rows can be removed on a full disk."""
    fd = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    with suppress(OSError):
        size = os.fstat(fd).st_size
        os.posix_fallocate(fd, 0, size + max(SPARE, size // 2))
    os.close(fd)


def growing(env: Any, write: Callable[[Any], T]) -> T:
    """Run `write` in one transaction; a full map is doubled and the whole transaction repeated."""
    while True:
        try:
            with env.begin(write=True) as txn:
                return write(txn)
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])


def recognise(file: Path, head: bytes) -> None:
    """Raises TableError unless this is an LMDB file in the format that MTAs read; `head`: its first bytes."""
    for at in _MAGIC_AT:
        number, version = (int.from_bytes(head[word : word + 4], sys.byteorder) for word in (at, at + 4))
        if number == _MAGIC and version == _FORMAT:
            return
        if number == _MAGIC:
            raise TableError(f"{file} has LMDB data format {version}, which Postfix cannot read; move it away")
    raise TableError(f"{file} is not an LMDB file; move it away or give another table")
