"""`--daemon=PIDFILE`: into the background, with a parent that waits until the child is ready.

The parent exits 0 only after the child has said it is ready, else 1 with the child's reason, so a
start script learns the truth. The pid file stays locked (flock) while the daemon lives: a second copy
is refused, and a file left by a dead one is no hindrance, because its lock died with it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pbs_fast.errors import PbsError
from pbs_fast.util import early_signals

_READY = b"+"


class PidFile:
    """A pid file, locked for life. Raises PbsError when another process holds it or it cannot be written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = self._take()
        while not self._in_place():  # its holder removed it between our open and our lock
            os.close(self._fd)
            self._fd = self._take()

    def write(self) -> None:
        """Put this process's id in."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def remove(self) -> None:
        """Remove the file, or empty it where the daemon's user may not; the lock goes with the descriptor."""
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            Path(self.path).unlink()
        os.close(self._fd)

    def _take(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise PbsError(f"pid file {self.path}: {reason}; name a file in a writable directory") from None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(fd)
            raise PbsError(f"pid file {self.path}: not a regular file with one name; move it away")
        # Who can open it, if only for reading, can hold its lock, and no daemon starts.
        with suppress(OSError):
            os.fchmod(fd, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            other = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise PbsError(f"pid file {self.path}: in use by the running process {other}; stop it first") from None
        return fd

    def _in_place(self) -> bool:
        try:
            return os.path.samestat(Path(self.path).stat(follow_symlinks=False), os.fstat(self._fd))
        except OSError:
            return False


class Background:
    """The child's side: says ready, or why not, to the parent that waits."""

    def __init__(self, pid_file: PidFile, report: int) -> None:
        self._pid_file = pid_file
        self._report: int | None = report

    def ready(self) -> None:
        """Let the parent exit 0, and let go of the terminal."""
        if self._report is None:
            return
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        if null > 2:
            os.close(null)
        self._tell(_READY)

    def failed(self, reason: str) -> bool:
        """Let the parent exit 1 with this reason; False when it has already heard that all is well."""
        waits = self._report is not None
        self._tell(reason.encode("utf-8", "replace"))
        return waits

    def end(self) -> None:
        """Remove the pid file."""
        self._pid_file.remove()

    def _tell(self, text: bytes) -> None:
        if self._report is not None:
            with suppress(OSError):
                os.write(self._report, text)
            os.close(self._report)
            self._report = None


def into_background(pid_file: str) -> Background:
    """Fork; the parent waits for the child's word and exits with it, the child goes on in a session of its own.

    Call it before threads, tables or logs are opened, with an absolute path. The child's working directory is `/`.
    Raises PbsError (in the caller, before any fork) when the pid file is held or cannot be written.
    """
    held = PidFile(pid_file)
    listen, report = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(report)
        early_signals.release()
        _wait_and_exit(listen, child)
    os.close(listen)
    os.setsid()
    os.chdir("/")
    held.write()
    return Background(held, report)


def _wait_and_exit(listen: int, child: int) -> NoReturn:
    word = b""
    while part := os.read(listen, 4096):
        word += part
    if word == _READY:
        os._exit(0)
    if not word:
        _, status = os.waitpid(child, 0)
        word = f"pbs-fast: the daemon exited before it was ready (status {os.waitstatus_to_exitcode(status)})".encode()
    os.write(2, word + b"\n")
    os._exit(1)
