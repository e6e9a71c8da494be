"""Records signals before a daemon has its own handlers, so that none of them kills it during startup.

Importing the modules takes a tenth of a second or more. A SIGHUP in that time (logrotate, an administrator) would end
the process, and a SIGTERM would leave its pid file behind. So the program's first lines call `hold`, and
`daemon.signals` takes over the recorded signals. For the same reason this module imports as little as possible.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_found: dict[signal.Signals, Any] = {}
_noted: list[signal.Signals] = []


def hold() -> None:
    """Note these signals from now on instead of obeying them; a SIGHUP that nohup ignores stays so."""
    for number in _NUMBERS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            _found[number] = signal.signal(number, _note)


def release() -> None:
    """Obey them again as before `hold`, and those that came since now: for what is no daemon after all."""
    for number, handler in _found.items():
        signal.signal(number, handler)
    _found.clear()
    for number in noted():
        os.kill(os.getpid(), number)


def noted() -> tuple[signal.Signals, ...]:
    """What came since `hold` or the last call, in its order. For the code that has its own handlers now."""
    came = tuple(_noted)
    del _noted[: len(came)]
    return came


def _note(number: int, _frame: FrameType | None) -> None:
    _noted.append(signal.Signals(number))
