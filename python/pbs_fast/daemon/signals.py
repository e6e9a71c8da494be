"""Signals as plain state: handlers only note what came, the loop looks between two steps.

A wake-up socket makes a waiting `select` return at once (signal.set_wakeup_fd), so nothing polls for
signals and no handler does work.
"""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from pbs_fast.util import early_signals


class Signals:
    """SIGTERM and SIGINT ask to stop, SIGHUP to reload, SIGUSR1 to log the counters; restores what it found.

    SIGHUP does so under nohup too, as in the old program: a terminal that goes away asks for no more than a reload.
    """

    def __init__(self) -> None:
        self.stop: signal.Signals | None = None
        self._reload = False
        self._counters = False
        self._found: dict[signal.Signals, Any] = {}
        self._found_fd = -1

    def __enter__(self) -> Self:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._found_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._take(signal.SIGTERM, self._on_stop)
        self._take(signal.SIGINT, self._on_stop)
        asked = {signal.SIGHUP: self._on_reload, signal.SIGUSR1: self._on_counters}
        for number, handler in asked.items():
            self._take(number, handler)
        for number in early_signals.noted():
            asked.get(number, self._on_stop)(number, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._found.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._found_fd)
        self._read.close()
        self._write.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable when a signal came."""
        return self._read.fileno()

    def drain(self) -> None:
        """Forget the wake-ups, so that the descriptor is quiet until the next signal."""
        with suppress(BlockingIOError):
            while self._read.recv(512):
                pass

    def take_reload(self) -> bool:
        """True once for all the SIGHUPs since the last call."""
        asked, self._reload = self._reload, False
        return asked

    def take_counters(self) -> bool:
        """True once for all the SIGUSR1s since the last call."""
        asked, self._counters = self._counters, False
        return asked

    def _take(self, number: signal.Signals, handler: Any) -> None:
        self._found[number] = signal.signal(number, handler)

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        self.stop = signal.Signals(number)

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._reload = True

    def _on_counters(self, _number: int, _frame: FrameType | None) -> None:
        self._counters = True
