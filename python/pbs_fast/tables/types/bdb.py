"""What `hash:` and `btree:` share: Berkeley DB through the module `berkeleydb`, opened without an environment.

It recognises, reads and builds such files. Importing it raises TableError where `berkeleydb` is not installed.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from pbs_fast.errors import TableError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.base import EngineError, FileTable
from pbs_fast.tables.file.foreign import DamagedError
from pbs_fast.tables.locks import locked

try:
    # The types' modules import it from here, where a missing module is explained.
    from berkeleydb import db as db
except ImportError as error:
    raise TableError(
        f"hash: and btree: tables need Berkeley DB for Python ({error}); "
        f"{sys.executable} -m pip install 'pbs-fast[bdb]' (it is compiled and needs libdb-dev), or use lmdb:"
    ) from error

#: Bytes of the page cache; the 4 MiB of a default-sized hash fit.
CACHE = 8 << 20

#: Where a meta page holds the magic number of its access method (dbinc/db_page.h: DBMETA).
_MAGIC_AT = 12
_MAGICS = {0x061561: "hash", 0x053162: "btree", 0x042253: "queue", 0x074582: "heap"}


class BdbTable(FileTable):
    """A Berkeley DB file of one access method."""

    method: ClassVar[int]
    method_name: ClassVar[str]
    by_path = True
    may_crash = True

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        try:
            fd = os.open(file, os.O_RDONLY)
        except OSError as error:
            raise TableError(os_error("cannot read", file, error)) from error
        try:
            if not flock:
                return cls._all(file, fd, nullcontext())
            with locked(fd, "flock", shared=True, wait=wait, file=file):
                return cls._all(file, fd, cls._lock_once_open(file, fd, wait))
        except db.DBError as error:
            raise DamagedError(f"{file} is damaged ({_reason(error)}); move it away or restore it") from error
        except OSError as error:
            raise TableError(os_error("cannot read", file, error)) from error
        finally:
            os.close(fd)

    @classmethod
    def _lock_once_open(cls, file: Path, fd: int, wait: float) -> AbstractContextManager[None]:
        """A second lock to read under, taken once the engine has the file open."""
        del file, fd, wait
        return nullcontext()

    @classmethod
    def _all(cls, file: Path, fd: int, lock: AbstractContextManager[None]) -> list[tuple[bytes, bytes]]:
        _recognise(file, os.pread(fd, _MAGIC_AT + 4, 0), cls.method_name)
        # A torn page chain could be circular; no file holds more rows than a third of its bytes.
        most = os.fstat(fd).st_size // 3
        handle = db.DB()
        try:
            handle.open(os.fspath(file), None, cls.method, db.DB_RDONLY)
        except (db.DBInvalidArgError, db.DBOldVersionError) as error:
            if "version" not in _reason(error).lower():
                raise
            ours = ".".join(map(str, db.version()))
            raise TableError(
                f"{file} has a version that Berkeley DB {ours} cannot read ({_reason(error)}); move it away"
            ) from error
        try:
            found: list[tuple[bytes, bytes]] = []
            with lock:
                cursor = handle.cursor()
                try:
                    row = cursor.first()
                    while row is not None:
                        found.append(row)
                        if len(found) > most:
                            raise DamagedError(
                                f"{file} is damaged (its pages form a circle); move it away or restore it"
                            )
                        row = cursor.next()
                finally:
                    cursor.close()
            return found
        finally:
            handle.close()

    def _write_new(self, target: Path, pairs: Iterable[tuple[bytes, bytes]], handle: Any, *, size: int = 0) -> None:
        """Fill the new file through a handle whose sizes are set, and sync it to the disk.

        `size`: bytes of a file whose pages are written in random order. All of them are cached meanwhile: a million
        rows of a hash then take a third of the processor time (measured: 1.7 s instead of 4.8 s).
        """
        with engine():
            handle.set_cachesize(*divmod(max(CACHE, size + size // 4), 1 << 30))
            handle.open(os.fspath(target), None, self.method, db.DB_CREATE | db.DB_EXCL, 0o600)
            try:
                for key, value in pairs:
                    handle.put(key, value)
                handle.sync()
            finally:
                handle.close(db.DB_NOSYNC)
        # The pages of a pre-sized hash are a hole. With blocks allocated now, a full disk cannot interrupt a later
        # change in place half-way.
        fd = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.posix_fallocate(fd, 0, os.fstat(fd).st_size)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _discard(self, target: Path) -> None:
        # Berkeley DB creates the file under this name first. If kill -9 or a full disk left one, it takes space and
        # Berkeley DB retries 100 times, a second apart, before `Retry limit exceeded` (measured, 5.3.28).
        target.with_name(f"__db.{target.name}").unlink(missing_ok=True)
        super()._discard(target)


@contextmanager
def engine() -> Iterator[None]:
    """Turn Berkeley DB's errors into those that FileTable handles."""
    try:
        yield
    except db.DBNoSpaceError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
    except db.DBError as error:
        raise EngineError(_reason(error)) from error


def encoded(rows: Iterable[tuple[str, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """Rows as the engine stores them, sorted so that pages fill well; without a trailing NUL."""
    return sorted((ip.encode(), value) for ip, value in rows)


def _recognise(file: Path, head: bytes, wanted: str) -> None:
    raw = head[_MAGIC_AT : _MAGIC_AT + 4]
    found = _MAGICS.get(int.from_bytes(raw, "little")) or _MAGICS.get(int.from_bytes(raw, "big"))
    if found is None:
        raise TableError(f"{file} is not a Berkeley DB file; move it away or give another table")
    if found != wanted:
        raise TableError(f"{file} is a Berkeley DB {found}, not a {wanted}; move it away or give another table")


def _reason(error: Exception) -> str:
    return str(error.args[-1]) if error.args else type(error).__name__
