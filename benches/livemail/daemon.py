"""The real daemon as a process, what it spends, and what it counted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("pbs-fast")

#: A hub of 50 000 lines a second grants 130 000 new addresses a minute; by default the guard stops at 10 000.
CONFIG = "[guards]\nmax_new_per_minute = 1000000\n"


class Running:
    """A daemon that is ready. `counted` after its end."""

    def __init__(self, process: subprocess.Popen[bytes], own: Path) -> None:
        self._process = process
        self._own = own

    @property
    def pid(self) -> int:
        return self._process.pid

    def spent(self) -> float:
        """Its processor seconds so far, in nanoseconds' resolution: those of /proc/PID/stat have 10 ms."""
        # The clock of another process, as clock_getcpuclockid(3) makes it on Linux.
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def idle(self) -> float:
        """Wait until it has next to nothing to do for half a second; its processor seconds then."""
        last = self.spent()
        while True:
            time.sleep(0.5)
            now = self.spent()
            if now - last <= 0.02:
                return now
            last = now

    def counted(self) -> dict[str, int]:
        """All its counters."""
        words = self._own.read_text().splitlines()[-1].split("counted ")[1].split()
        return {name: int(number) for name, number in (word.split("=") for word in words)}


@contextmanager
def running(
    log: Path, table: str, *options: str, program: Sequence[str | Path] = (PROGRAM,), config: str = ""
) -> Iterator[Running]:
    """The daemon on this log and table, ready; every grant is written into a log of its own, as sites do.

    `program` is what starts it; `config` is further TOML, its tables last.
    """
    own = log.with_suffix(".own")
    own.unlink(missing_ok=True)
    file = log.with_suffix(".toml")
    file.write_text(config + CONFIG)
    command = [*program, "run", f"--config={file}", f"--watchlog={log}", f"--dbfile={table}", f"--logto={own}"]
    process = subprocess.Popen([*command, *options])
    try:
        while not (own.exists() and "ready:" in own.read_text()):
            assert process.poll() is None, "the daemon ended before it was ready"
            time.sleep(0.01)
        yield Running(process, own)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
