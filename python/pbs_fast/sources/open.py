"""Opens a log for reading from its start: a plain or compressed file, a pipe, standard input.

The compression is recognised by a file's first bytes, never by its name.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Self

from pbs_fast.errors import SourceError
from pbs_fast.sources.compressed import MAGIC, Decompressed, compression


class LogReader:
    """An open log; `open_log` makes it. A context manager. Not for several threads at once, except `read_at`."""

    def __init__(self, fd: int, name: str, *, is_input: bool) -> None:
        self._fd = fd
        self._is_input = is_input
        self._closed = is_input
        self._head = b""
        self._decompressed: Decompressed | None = None
        self.name = name
        """The path as given; bytes that are not UTF-8 are surrogate escapes."""
        self.compression: str | None = None
        """`gzip`, `bzip2`, `xz`, `zstd`, or None for plain text."""
        self.mtime: int | None = None
        """Time of last modification, whole seconds since the epoch; None for a pipe and for standard input."""
        self.seekable = False
        """True for a plain regular file, which `read_at` reads; standard input is read from its current offset."""
        self.text_read = 0
        """How far the text was read, in bytes."""

    def fileno(self) -> int:
        return self._fd

    def size(self) -> int:
        """Current size of the file on disk, in bytes; 0 for a pipe."""
        return os.fstat(self._fd).st_size

    def reference(self, now: int | None) -> int:
        """The second that years are judged from: `now`, else the file's last modification, else the current time."""
        if now is not None:
            return now
        return int(time.time()) if self.mtime is None else self.mtime

    def position(self) -> int:
        """Bytes of the file on disk that `read` has used so far; 0 for a pipe."""
        try:
            position = os.lseek(self._fd, 0, os.SEEK_CUR)
        except OSError:
            return 0
        return position - (len(self._head) if self._decompressed is None else self._decompressed.unread)

    def read(self, size: int) -> bytes:
        """The next 1 to `size` bytes of text, as soon as there are any; b"" at the end.

        Raises SourceError if the file cannot be read or is damaged, and CutOffError if it ends within its compressed
        data, after all text before that was returned.
        """
        if self._decompressed is not None:
            data = self._decompressed.read(size)
        elif self._head:
            data, self._head = self._head[:size], self._head[size:]
        else:
            data = self._read_raw(size)
        self.text_read += len(data)
        return data

    def read_at(self, position: int, size: int) -> bytes:
        """`size` bytes from `position` on, fewer only at the end of the file. For seekable files, from any thread.

        Raises SourceError if the file cannot be read.
        """
        try:
            data = os.pread(self._fd, size, position)
            # Signals and some network file systems shorten a read of a regular file.
            while 0 < len(data) < size and (more := os.pread(self._fd, size - len(data), position + len(data))):
                data += more
        except OSError as error:
            raise cannot_read(self.name, error) from error
        self.text_read = max(self.text_read, position + len(data))
        return data

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if not self._closed:
            self._closed = True
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_raw(self, size: int) -> bytes:
        try:
            return os.read(self._fd, size)
        except OSError as error:
            raise cannot_read(self.name, error) from error

    def _inspect(self) -> None:
        """Find out what the file is, keeping its first bytes."""
        try:
            status = os.fstat(self._fd)
        except OSError as error:  # standard input is closed
            raise cannot_read(self.name, error) from error
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(f"{self.name}: is a directory; name the log files in it")
        regular = stat.S_ISREG(status.st_mode) and not self._is_input
        if regular:
            self.mtime = int(status.st_mtime)
        # No magic number extends past a newline, so the first line of a live pipe is not delayed.
        while len(self._head) < MAGIC and b"\n" not in self._head:
            data = self._read_raw(MAGIC - len(self._head))
            if not data:
                break
            self._head += data
        self.compression = compression(self._head)
        if self.compression is not None:
            self._decompressed = Decompressed(self.compression, self.name, self._head, self._read_raw)
            self._head = b""
        self.seekable = regular and self.compression is None


def open_log(path: str | os.PathLike[str] | bytes) -> LogReader:
    """Open a log for reading from its start; `-` is standard input.

    Raises SourceError, in one line, for a path that is missing, a directory, or not readable.
    """
    name = os.fsdecode(path)
    if name == "-":
        log = LogReader(0, name, is_input=True)
    else:
        try:
            log = LogReader(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY), name, is_input=False)
        except (OSError, ValueError) as error:
            raise cannot_read(name, error) from error
    try:
        log._inspect()
    except BaseException:
        log.close()
        raise
    return log


def cannot_read(name: str, error: OSError | ValueError) -> SourceError:
    """The error for a file that the system does not let us open or read."""
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{name}: no such file; name an existing log, or - for standard input")
    if isinstance(error, IsADirectoryError):
        return SourceError(f"{name}: is a directory; name the log files in it")
    if isinstance(error, PermissionError):
        return SourceError(f"{name}: not readable for uid {os.geteuid()}; run as a user who may read it")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return SourceError(f"{name}: cannot be read ({reason})")
