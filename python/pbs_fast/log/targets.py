"""Where lines of our own log go: a file, standard output or error, syslog, the journal.

Each target takes printable lines with their level and says how many could not be written; none waits longer than
PATIENCE for a reader that does not read, and none raises once it is made.

Syslog and journal are datagrams of our own, because syslog(3) waits for a syslog daemon that hangs and cannot tell that
a line was lost. Protocols: RFC 3164 without host, as syslog(3) writes it; the journal's native one
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL/); `<N>` before a line on a stream of the journal, sd-daemon(3).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import lru_cache
from typing import Final, Protocol

from pbs_fast.errors import LogError
from pbs_fast.util.accounts import controllers, user_name

#: The name that stands before our lines in syslog and journal.
IDENT: Final = "pbs-fast"
DEV_LOG: Final = "/dev/log"
JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"
#: LOG_MAIL of syslog(3).
_FACILITY: Final = 2
#: Our own log may name mail users: not for everyone (umask narrows it further).
_MODE: Final = 0o640
_NEWLINE: Final = ord("\n")
#: Seconds that a daemon waits for a reader of its standard output or error who has stopped reading, before it goes on.
PATIENCE: Final = 1.0
#: Bytes written at once to a terminal that cannot be opened again.
_TERMINAL_PART: Final = 128

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


def timestamp(clock: Clock) -> str:
    """`Nov  2 03:04:05`, local time."""
    return _spelled(int(clock()), time.tzname)


@lru_cache(maxsize=4)
def _spelled(second: int, _zone: tuple[str, str]) -> str:
    """A second since the epoch in the zone of now. A busy daemon writes some hundred times in one."""
    return time.strftime("%b %e %T", time.localtime(second))


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
            for done in self._written(data):
                self._torn = data[done - 1] != _NEWLINE
        except OSError:
            return len(lines) - max(0, data.count(b"\n", 0, done) - skip)
        return 0

    def _written(self, data: bytes) -> Iterator[int]:
        """Write; how many bytes are written after each write. Raises OSError, also where it would have to wait."""
        done = 0
        while done < len(data):
            done += os.write(self._descriptor, memoryview(data)[done:])
            yield done


class FileTarget(_Descriptor):
    """A file that is appended to. Raises LogError when it cannot be opened."""

    def __init__(self, path: str, clock: Clock = time.time) -> None:
        # The daemon changes its directory, and a reopen must find the same file again.
        self._path = os.path.abspath(path)  # noqa: PTH100
        self._clock = clock
        super().__init__(_open(self._path))

    def put(self, level: Level, lines: Sequence[str]) -> int:
        """Write the lines behind their timestamp, as the old program did; it had no levels."""
        del level
        return self._put(f"{timestamp(self._clock)} ", lines)

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
    """Standard output or error, which stay open; with the level instead of a timestamp where the journal reads them.

    A reader that reads slowly is waited for, PATIENCE seconds at most and a twentieth of the time at most; what it then
    does not take is lost. With `waits`, it is waited for without end: for a run that ends by itself and grants nobody.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        timestamped: bool,
        waits: bool = False,
        clock: Clock = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__(descriptor)
        self._waits = waits
        self._patience = Patience()
        self._journal = journal_reads(descriptor, environ)
        self._stamped = timestamped
        self._clock = clock

    def put(self, level: Level, lines: Sequence[str]) -> int:
        """Write the lines."""
        return self._put(
            f"<{level}>" if self._journal else f"{timestamp(self._clock)} " if self._stamped else "", lines
        )

    def _written(self, data: bytes) -> Iterator[int]:
        if self._waits:
            yield from super()._written(data)
            return
        done = 0
        with _writer(self._descriptor) as write:
            while done < len(data):
                try:
                    done += write(memoryview(data)[done:])
                except BlockingIOError:
                    if not self._patience.wait(self._descriptor):
                        raise
                else:
                    yield done

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


class Patience:
    """Seconds that may be spent on a reader that does not read: PATIENCE at first, and a twentieth of what passes."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._left, self._at = PATIENCE, clock()

    def wait(self, descriptor: int) -> bool:
        """Wait until something can be written; False when it cannot in the time that is left."""
        before = self._clock()
        self._left = min(PATIENCE, self._left + (before - self._at) / 20)
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        found = poll.poll(max(0.0, self._left) * 1000)
        self._at = self._clock()
        self._left -= self._at - before
        return bool(found)


@contextmanager
def _writer(descriptor: int) -> Iterator[Callable[[memoryview], int]]:
    """What writes to a descriptor and raises BlockingIOError where it would have to wait.

    O_NONBLOCK belongs to the open file, which we share with the shell that started us and with all who write there, so
    it is never set on it. A pipe or terminal is opened once more instead, for each write, because the descriptor
    becomes another file when we go into the background. Where that is not allowed (we dropped root, and the pipe is
    root's), a small part is written when there is room: only another writer who takes that room in the same moment
    could make us wait then.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            yield lambda data: connection.send(data, socket.MSG_DONTWAIT)
    elif stat.S_ISREG(mode):
        yield lambda data: os.write(descriptor, data)
    else:
        try:
            again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            part = select.PIPE_BUF if stat.S_ISFIFO(mode) else _TERMINAL_PART
            yield lambda data: _write_where_room(descriptor, data[:part])
            return
        try:
            yield lambda data: os.write(again, data)
        finally:
            os.close(again)


def _write_where_room(descriptor: int, data: memoryview) -> int:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.write(descriptor, data)


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
        head = f"<{_FACILITY << 3 | level}>{timestamp(self._clock)} {self._ident}[{os.getpid()}]: "
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
        return os.open(path, flags | _no_link(path), _MODE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        mend = _mend(path) if isinstance(error, PermissionError) else ""
        raise LogError(f"cannot open our own log {path} as uid {os.geteuid()}: {reason}{mend}") from error


def _no_link(path: str) -> int:
    """O_NOFOLLOW where root opens a name in a directory that others write. Raises LogError where that is not enough."""
    if os.geteuid() != 0:
        return 0
    found = controllers(path)
    if found.uids:
        who = " and ".join(sorted(map(user_name, found.uids)))
        raise LogError(
            f"cannot open our own log {path} as root: {who} can put another file in its place; set `user`, or give a "
            "directory that only root can write"
        )
    return os.O_NOFOLLOW if found.shared else 0


def _mend(path: str) -> str:
    """The command that lets us write a log that another user left, such as root before `user` was set."""
    try:
        foreign = os.stat(path).st_uid != os.geteuid()  # noqa: PTH116
    except OSError:
        return ""
    return f"; as root: chown {user_name(os.geteuid())} {path}" if foreign else ""
