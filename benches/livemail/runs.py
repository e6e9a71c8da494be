"""One run: a table, a rate at which others write into the log, clients that log in meanwhile; counts are asserted."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from livemail import daemon
from livemail.clients import Clients, Took
from mta.postfix import running
from pbs_fast.bench.hublog import Options, iter_lines

#: Our sessions end after RCPT; after 100 that bring no mail Postfix would pause before each next one. And an smtpd ends
#: after 100 sessions by default: the next one begins in 6 to 27 ms (measured), which one session in 100 waits for.
MAIN_CF = ("in_flow_delay = 0", "max_use = 100000")
#: Seconds before the writer begins in which the first smtpds start, which takes each of them some 20 ms.
WARM = 1.0
#: A writer that reaches less of its rate was kept from it: the page says so.
REACHED = 0.95


class Live(NamedTuple):
    """What one run found."""

    table: str
    rate: int
    """Lines a second that were asked for."""
    reached: float
    lines: int
    """All that were written while it was measured, the clients' included."""
    took: dict[str, Took]
    at_once: int
    """Fresh clients that were accepted at the first attempt."""
    cpu: float
    """The daemon's processor seconds."""
    seconds: float

    @property
    def others(self) -> str:
        """The rate of others' lines that was reached, with the one asked for where that is another."""
        short = self.reached < REACHED * self.rate
        return f"{self.reached:,.0f}" + (f" of {self.rate:,} asked for" if short else "")

    @property
    def cpu_per_million(self) -> float:
        return 1e6 * self.cpu / self.lines

    @property
    def share(self) -> float:
        """Of one processor."""
        return self.cpu / self.seconds


class Followed(NamedTuple):
    """Lines that were written at full speed."""

    table: str
    lines: int
    cpu: float
    seconds: float

    @property
    def cpu_per_million(self) -> float:
        return 1e6 * self.cpu / self.lines


@contextmanager
def place() -> Iterator[Path]:
    """A directory that Postfix may enter."""
    with tempfile.TemporaryDirectory(prefix="pbs-live-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def live(kind: str, rate: int, seconds: float, pause: float) -> Live:
    """Clients log in for `seconds`, with some `pause` between them, while others write `rate` lines a second.

    Grace is a third of that, so that for the most part as many rows end as begin.
    """
    with place() as directory:
        log = directory / "mail.log"
        log.touch()
        table = f"{kind}:{directory}/relay"
        with (
            writing(log, rate, seconds) as writer,
            daemon.running(log, table, f"--grace={max(3, int(seconds / 3))}") as ours,
            running(table, smtpd_limit=10, main_cf=MAIN_CF) as postfix,
        ):
            clients = Clients(log, postfix, inside=kind == "lmdb")
            clients.go_on(time.monotonic() + WARM, pause)
            before, warm = ours.idle(), clients.logins
            clients.seconds, clients.at_once = {name: [] for name in clients.seconds}, 0
            begun = time.monotonic()
            writer.begin()
            clients.go_on(begun + seconds, pause)
            wrote = writer.end()
            took = time.monotonic() - begun
            clients.close()
            cpu = ours.idle() - before
        counted = ours.counted()
        assert counted["lines"] == wrote["lines"] + clients.logins, (counted, wrote, clients.logins)
        assert counted["login"] == wrote["logins"] + clients.logins, (counted, wrote, clients.logins)
    return Live(
        kind,
        rate,
        wrote["lines"] / wrote["seconds"],
        int(wrote["lines"]) + clients.logins - warm,
        {name: Took.of(tries) for name, tries in clients.seconds.items() if tries},
        clients.at_once,
        cpu,
        took,
    )


class Writer:
    """The process that writes; for rate 0 there is none."""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process

    def begin(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.write("go\n")
            self._process.stdin.flush()

    def end(self) -> dict[str, float]:
        """Wait until all is written; what that was."""
        if self._process is None:
            return {"lines": 0, "logins": 0, "seconds": 1.0}
        assert self._process.stdout is not None
        found: dict[str, float] = json.loads(self._process.stdout.read())
        return found


@contextmanager
def writing(log: Path, rate: int, seconds: float) -> Iterator[Writer]:
    """A writer whose lines are made."""
    if not rate:
        yield Writer(None)
        return
    command = [sys.executable, str(Path(__file__).with_name("writer.py")), str(log), str(rate), str(seconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "the writer ended"
            yield Writer(process)
        finally:
            process.kill()


def followed(kind: str, lines: int) -> Followed:
    """The daemon behind a writer that goes as fast as it can."""
    with place() as directory:
        log = directory / "mail.log"
        log.touch()
        # Timestamped so that the last line is of now, and all of them lie within the grace below.
        options = Options(lines=lines)
        options = replace(options, start=int(time.time() - lines / options.rate))
        logins, text = 0, []
        for line, truth in iter_lines(options):
            logins += truth.kind == "login"
            text.append(line)
        with (
            daemon.running(log, f"{kind}:{directory}/relay" if kind != "null" else "null:", "--grace=2592000") as ours,
            log.open("ab", buffering=0) as file,
        ):
            before, begun = ours.spent(), time.monotonic()
            for start in range(0, lines, 1000):
                file.write(b"\n".join(text[start : start + 1000]) + b"\n")
            cpu = ours.idle() - before
            seconds = time.monotonic() - begun
        counted = ours.counted()
        assert (counted["lines"], counted["login"]) == (lines, logins), counted
    return Followed(kind, lines, cpu, seconds)
