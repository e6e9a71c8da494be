"""Where lines of our own log go: a file, standard output or error, syslog, the journal.

Each target takes printable lines with their level and says how many could not be written; none ever waits for a reader
that does not read, and none raises once it is made. Imports errors only.

Syslog and journal are datagrams of our own, because syslog(3) waits for a syslog daemon that hangs and cannot tell that
a line was lost. Protocols: RFC 3164 without host, as syslog(3) writes it; the journal's native one
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL/); `<N>` before a line on a stream of the journal, sd-daemon(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Final, Protocol

from pbs_fast.errors import LogError

#: The name that stands before our lines in syslog and journal.
IDENT: Final = "pbs-fast"
DEV_LOG: Final = "/dev/log"
JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"
#: LOG_MAIL of syslog(3).
_FACILITY: Final = 2
#: Our own log may name mail users: not for everyone (umask narrows it further).
_MODE: Final = 0o640
_NEWLINE: Final = ord("\n")

Clock = Callable[[], float]


class Level(IntEnum):
    """Severities of syslog(3)."""

    WARNING = 4
    INFO = 6
    DEBUG = 7


class Target(Protocol):
    """Takes lines."""

    def put(self, level: Level, lines: Sequence[str]) -> int:
        """Write lines, which are given without their ends; how many of them are not written."""

    def reopen(self) -> None:
        """Begin anew, as after a rotation. Raises LogError and then goes on as before."""

    def close(self) -> None:
        """Lines put afterwards are lost."""


def stamp(clock: Clock) -> str:
    """`Nov  2 03:04:05`, local time."""
    return time.strftime("%b %e %T", time.localtime(clock()))


class _Descriptor:
    """Lines on an open descriptor; one that was cut off never becomes the beginning of the next.

    Lines that come together go out in one write: on a hub that lets 2 000 rows end in one second, a write each took
    30 ms, in which no login was granted.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False
        """True when the last write stopped inside a line."""

    def _put(self, before: str, lines: Sequence[str]) -> int:
        data = "".join([f"{before}{line}\n" for line in lines]).encode()
        skip = 1 if self._torn else 0
        data = b"\n" * skip + data
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, memoryview(data)[done:])
                self._torn = data[done - 1] != _NEWLINE
        except OSError:
            return len(lines) - max(0, data.count(b"\n", 0, done) - skip)
        return 0


class FileTarget(_Descriptor):
    """A file that is appended to. Raises LogError when it cannot be opened."""

    def __init__(self, path: str, clock: Clock = time.time) -> None:
        # The daemon changes its directory, and a reopen must find the same file again.
        self._path = os.path.abspath(path)  # noqa: PTH100
        self._clock = clock
        super().__init__(_open(self._path))

    def put(self, level: Level, lines: Sequence[str]) -> int:
        """Write the lines behind their stamp, as the old program did; it had no levels."""
        del level
        return self._put(f"{stamp(self._clock)} ", lines)

    def reopen(self) -> None:
        """Open the path anew; raises LogError."""
        fresh = _open(self._path)
        old, self._descriptor = self._descriptor, fresh
        self._torn = False
        os.close(old)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


class StreamTarget(_Descriptor):
    """Standard output or error, which stay open; with the level instead of a stamp where the journal reads them."""

    def __init__(
        self, descriptor: int, *, stamped: bool, clock: Clock = time.time, environ: Mapping[str, str] = os.environ
    ) -> None:
        super().__init__(descriptor)
        self._journal = journal_reads(descriptor, environ)
        self._stamped = stamped
        self._clock = clock

    def put(self, level: Level, lines: Sequence[str]) -> int:
        """Write the lines."""
        return self._put(f"<{level}>" if self._journal else f"{stamp(self._clock)} " if self._stamped else "", lines)

    def reopen(self) -> None:
        """Nothing: the stream is its reader's."""

    def close(self) -> None:
        """Let go of the stream."""
        self._descriptor = -1


def journal_reads(descriptor: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this descriptor is the one that systemd connected to the journal (JOURNAL_STREAM, systemd.exec(5))."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Datagrams:
    """Records to a socket in the file system, by its name each time: who listens there may be restarted."""

    def __init__(self, name: str, path: str, *, required: bool) -> None:
        """Raises LogError when nobody listens although that is required."""
        self._path = path
        self._socket = _socket()
        try:
            with _socket() as probe:
                probe.connect(path)
        except OSError as error:
            if not required:
                return
            self._socket.close()
            raise LogError(
                f"cannot open our own log {name} ({path}) as uid {os.geteuid()}: {error.strerror}; "
                "is it running? --logto=FILE writes a file"
            ) from error

    def _send(self, records: Sequence[str]) -> int:
        lost = 0
        for record in records:
            try:
                self._socket.sendto(record.encode(), self._path)
            except OSError:
                lost += 1
        return lost

    def reopen(self) -> None:
        """Nothing: no name is kept open."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class SyslogTarget(_Datagrams):
    """The syslog daemon, facility mail. Raises LogError when none listens although that is required."""

    def __init__(
        self, path: str = DEV_LOG, clock: Clock = time.time, *, required: bool = True, ident: str = IDENT
    ) -> None:
        self._clock = clock
        self._ident = ident
        super().__init__("syslog", path, required=required)

    def put(self, level: Level, lines: Sequence[str]) -> int:
        """Send each line."""
        head = f"<{_FACILITY << 3 | level}>{stamp(self._clock)} {self._ident}[{os.getpid()}]: "
        return self._send([f"{head}{line}" for line in lines])


class JournalTarget(_Datagrams):
    """systemd's journal, by its own protocol. Raises LogError when it does not listen."""

    def __init__(self, path: str = JOURNAL_SOCKET, ident: str = IDENT) -> None:
        self._ident = ident
        super().__init__("journal", path, required=True)

    def put(self, level: Level, lines: Sequence[str]) -> int:
        """Send each line; a line holds no newline, so each field is one line too."""
        head = f"PRIORITY={level:d}\nSYSLOG_FACILITY={_FACILITY}\nSYSLOG_IDENTIFIER={self._ident}\nMESSAGE="
        return self._send([f"{head}{line}\n" for line in lines])


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def _open(path: str) -> int:
    # O_NONBLOCK matters to named pipes only: without a reader an error, when full a lost line, never a wait.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        return os.open(path, flags, _MODE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LogError(f"cannot open our own log {path} as uid {os.geteuid()}: {reason}") from error
