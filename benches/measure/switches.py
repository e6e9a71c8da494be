"""What the daemon's processor time becomes with a part switched on, next to the same daemon alone. In alternation.

The daemon follows a log that is written in one go, without a table, so that what a part adds is as large a share as it
can be. A new part is one line in `SWITCHES`.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import time
from typing import NamedTuple

from livemail import daemon
from measure.logs import DATA
from pbs_fast.bench.hublog import Options, iter_lines

PROGRAM = str(daemon.PROGRAM)
#: What all have: no tables, networks or denials of this machine.
_SITE = 'state_directory = "{place}"\nmynetworks = ["127.0.0.0/8"]\ndeny = "{place}/deny.toml"\n'
#: The bare daemon: a control directory that cannot be made leaves it without sockets.
BARE = '[control]\ndirectory = "{place}/none/none"\n'


class Switch(NamedTuple):
    """One part."""

    name: str
    config: str
    """TOML; `{place}` is a directory for this run."""
    meanwhile: tuple[str, ...] = ()
    """A command that runs again and again meanwhile; `{config}` and `{log}` are the daemon's."""


#: All that may be switched on.
SWITCHES = (
    Switch(
        "control, asked for its state all the time",
        '[control]\ndirectory = "{place}/run"\n',
        (PROGRAM, "status", "--config={config}"),
    ),
    Switch("metrics, in a file", BARE + '[metrics]\nfile = "{place}/metrics.prom"\n'),
    Switch("report, read from the same log", BARE, (PROGRAM, "report", "--mynetworks=127.0.0.0/8", "{log}")),
)


class Switched(NamedTuple):
    """One part's figures."""

    name: str
    cpu: float
    """Median processor seconds of the daemon for a million lines."""
    spread: float
    ratio: float | None
    """To the bare daemon; None for itself."""


def switches(lines: int, rounds: int) -> list[Switched]:
    """The bare daemon and each part. Raises AssertionError when one counts other lines than were written."""
    print("switches", file=sys.stderr)
    every = (Switch("the daemon alone", BARE), *SWITCHES)
    text = [line for line, _ in iter_lines(replace(Options(lines=lines), start=int(time()) - 600, rate=lines / 500))]
    runs: dict[str, list[float]] = {each.name: [] for each in every}
    for _ in range(rounds):
        for each in every:
            runs[each.name].append(_spent(each, b"\n".join(text) + b"\n", lines))
    return summary(runs)


def summary(runs: dict[str, list[float]]) -> list[Switched]:
    """A row each; the first is the bare daemon. Ratios are the medians of those of each round."""
    (first, bare), *others = runs.items()

    def row(name: str, seconds: list[float], ratio: float | None) -> Switched:
        middle = statistics.median(seconds)
        return Switched(name, middle, (max(seconds) - min(seconds)) / middle, ratio)

    rows = [row(first, bare, None)]
    for name, seconds in others:
        rows.append(row(name, seconds, statistics.median(a / b for a, b in zip(seconds, bare, strict=True))))
    return rows


def _spent(switch: Switch, text: bytes, lines: int) -> float:
    """The daemon's processor seconds for a million lines."""
    with tempfile.TemporaryDirectory(prefix="switch-", dir=DATA) as place:
        log = Path(place, "mail.log")
        log.touch()
        config = (_SITE + switch.config).replace("{place}", place)
        meanwhile = [
            word.replace("{log}", str(log)).replace("{config}", str(log.with_suffix(".toml")))
            for word in switch.meanwhile
        ]
        with daemon.running(log, "null:", "--grace=86400", config=config) as ours:
            before = ours.idle()
            with log.open("ab", buffering=0) as file:
                file.write(text)
            with again(meanwhile):  # `report` fails on a log without a line
                spent = ours.idle() - before
        counted = ours.counted()
        assert counted["lines"] == lines, (switch.name, counted)
    return 1e6 * spent / lines


@contextmanager
def again(command: list[str]) -> Iterator[subprocess.Popen[bytes] | None]:
    """Run a command again and again meanwhile, where there is one. Raises AssertionError when it fails."""
    if not command:
        yield None
        return
    loop = 'while "$@" >/dev/null; do :; done; exit 1'
    process = subprocess.Popen(["sh", "-c", loop, "sh", *command], start_new_session=True)
    try:
        yield process
        assert process.poll() is None, f"{command}: failed"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
