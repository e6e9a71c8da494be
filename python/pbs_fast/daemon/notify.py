"""What systemd is told of the daemon: ready, reloading, stopping, a line of state, and that the loop turns.

The protocol is one datagram a message (sd_notify(3)), so it is written here: the sdnotify package has had no release
since 2017 and swallows failures, the others need libsystemd. Invariants: without NOTIFY_SOCKET nothing is sent; a
failure to send never ends the daemon and is said once; no child inherits the variables. Imports errors and text.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping, Sequence
from types import TracebackType
from typing import Final, Self

from pbs_fast.errors import PbsError
from pbs_fast.util.text import printable

log = logging.getLogger(__name__)

#: Seconds between two looks at the state for its line.
STATUS_PAUSE: Final = 2.0
#: Longest wait in seconds for systemd to take READY=1, whose loss would have us restarted; nothing else is waited for.
_PATIENCE: Final = 1.0


class Notifier:
    """Talks to the service manager that started us, if one did."""

    def __init__(
        self,
        environ: MutableMapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes NOTIFY_SOCKET and the watchdog's variables out of `environ`."""
        name = environ.pop("NOTIFY_SOCKET", "")
        usec = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "")
        self._clock = clock
        self._ready = False
        self._said = False
        """The failure that lasts was said."""
        self._status = ""
        self._next_status = 0.0
        self._interval = float("inf")
        self.due = float("inf")
        """When `turned` is to be called at the latest, on `clock`; infinite when nobody watches."""
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._socket: socket.socket | None = None
        if not name:
            return
        if name[0] not in "/@":
            log.warning(f"NOTIFY_SOCKET={name} is neither a path nor an abstract name; systemd gets no ready signal")
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if usec and watched in ("", str(os.getpid())):
            if usec.isascii() and usec.isdigit() and int(usec):
                self._interval = int(usec) / 2e6
                self.due = clock() + self._interval
            else:
                log.warning(f"WATCHDOG_USEC={usec} is not a number of microseconds; systemd gets no watchdog signals")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(value, PbsError):  # `systemctl status` goes on showing why
            self._send(f"STATUS={printable(str(value))}")
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self, status: str) -> None:
        """The tables are in order."""
        self._ready = True
        self._status = printable(status)
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={self._status}", patience=_PATIENCE)

    def reloading(self) -> None:
        """A reload begins; nothing before `ready`, because the end of a reload would pass for readiness."""
        if self._ready:
            self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def reloaded(self, status: str) -> None:
        """It ended, well or not."""
        if self._ready:
            self.ready(status)

    def stopping(self) -> None:
        """We are about to end."""
        self._send("STOPPING=1")

    def turned(self, status: Callable[[], str]) -> None:
        """The loop turned once: the sign of life when half its interval is over, the state when it changed."""
        now = self._clock()
        if now >= self.due:
            self.due = now + self._interval
            self._send("WATCHDOG=1")
        if self._socket is not None and self._ready and now >= self._next_status:
            self._next_status = now + STATUS_PAUSE
            fresh = printable(status())
            if fresh != self._status:
                self._status = fresh
                self._send(f"STATUS={fresh}")

    def _send(self, message: str, patience: float = 0.0) -> None:
        if self._socket is None:
            return
        try:
            self._socket.settimeout(patience)
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            if not self._said:
                log.warning(f"cannot send our state to systemd: {error.strerror or error}; continuing without")
            self._said = True
        else:
            self._said = False


def state(rows: int, tables: Sequence[str], failing: Sequence[str]) -> str:
    """The line of state: how many addresses may relay, by which tables, and which of those fail."""
    words = f"{rows} {'address' if rows == 1 else 'addresses'} may relay; tables: {' '.join(tables) or 'none'}"
    return words + "".join(f"; failing: {each}" for each in failing)
