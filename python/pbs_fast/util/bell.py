"""Wakes a thread that waits for descriptors: one thread rings, another one polls `fileno` and drains."""

from __future__ import annotations

import socket
from contextlib import suppress


class Bell:
    """A pair of sockets. `ring` may be called from any thread, also after `close`."""

    def __init__(self) -> None:
        self._woken, self._wake = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)

    def fileno(self) -> int:
        """Becomes readable when somebody rings."""
        return self._woken.fileno()

    def ring(self) -> None:
        """Wake whoever waits."""
        with suppress(OSError):  # full: it wakes up anyway; closed: nobody waits any more
            self._wake.send(b"x")

    def drain(self) -> None:
        """Forget the wake-ups."""
        with suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def close(self) -> None:
        self._woken.close()
        self._wake.close()
