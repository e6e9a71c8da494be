"""What the daemon's processor time becomes with a part switched on, next to the same daemon alone. In alternation.

The daemon follows a log that is written in one go, without a table in a file, so that what a part adds is as large a
share as it can be. A new part is one entry in `SWITCHES`.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import time
from typing import NamedTuple

from livemail import asking, daemon
from measure.logs import DATA
from pbs_fast.bench.hublog import Options, iter_lines

PROGRAM = str(daemon.PROGRAM)
#: What all have: no tables, networks or denials of this machine.
_SITE = 'state_directory = "{place}"\nmynetworks = ["127.0.0.0/8"]\ndeny = "{place}/deny.toml"\n'
#: The bare daemon: a control directory that cannot be made leaves it without sockets.
BARE = '[control]\ndirectory = "{place}/none/none"\n'


#: What a large hub relays; each is a question to the policy service.
RECIPIENTS = 1_000


class Switch(NamedTuple):
    """One part."""

    name: str
    config: str
    """TOML; `{place}` is a directory for this run."""
    meanwhile: tuple[str, ...] = ()
    """A command that runs again and again meanwhile; `{config}`, `{log}` and `{place}` are the daemon's."""
    alongside: Callable[[Path], AbstractContextManager[str]] | None = None
    """What else runs, in this directory, and further TOML that names it."""
    obstacle: Callable[[], str | None] = lambda: None
    """Why it cannot be measured here; None when it can."""
    aim: str | None = None
    """The aim of `suite.toml` that holds for it; None for the budget of all others."""


def _no_hub() -> str | None:
    from share.hubs import PROGRAMS

    return None if any(map(shutil.which, PROGRAMS)) else f"none of {', '.join(PROGRAMS)} is installed"


@contextmanager
def _hub(place: Path) -> Iterator[str]:
    """A hub that takes what this node makes known: nobody else is there."""
    from share.hubs import SECRET, Hub

    directory = place / "hub"
    directory.mkdir()
    hub = Hub(directory, acl=False)
    secret = place / "share.secret"
    secret.touch(0o600)
    secret.write_text(f"{SECRET}\n")
    hub.start()
    try:
        yield f'[share]\nhubs = ["{hub.url()}"]\nnode = "here"\nfrom = ["*"]\nsecret = "{secret}"\n'
    finally:
        hub.kill()


#: All that may be switched on.
SWITCHES = (
    Switch(
        "control, asked for its state all the time",
        '[control]\ndirectory = "{place}/run"\n',
        (PROGRAM, "status", "--config={config}"),
    ),
    Switch("metrics, in a file", BARE + '[metrics]\nfile = "{place}/metrics.prom"\n'),
    Switch("report, read from the same log", BARE, (PROGRAM, "report", "--mynetworks=127.0.0.0/8", "{log}")),
    Switch(
        f"policy, asked for {RECIPIENTS:,} recipients a minute",
        'table = ["policy:unix:{place}/policy"]\n' + BARE,
        (sys.executable, asking.__file__, "{place}/policy", "1", str(RECIPIENTS / 60)),
        aim="policy",
    ),
    Switch("share, every grant to a hub", BARE, alongside=_hub, obstacle=_no_hub, aim="share"),
)


class Switched(NamedTuple):
    """One part's figures."""

    name: str
    cpu: float
    """Median processor seconds of the daemon for a million lines."""
    spread: float
    ratio: float | None
    """To the bare daemon; None for itself, and where it was not measured."""
    why_not: str | None = None
    """Why it was not measured."""

    @property
    def aim(self) -> str | None:
        """The aim that holds for it; None for the budget of all others."""
        return next((each.aim for each in SWITCHES if each.name == self.name), None)


def switches(lines: int, rounds: int) -> list[Switched]:
    """The bare daemon and each part. Raises AssertionError when one counts other lines than were written."""
    print("switches", file=sys.stderr)
    left_out = [Switched(each.name, 0.0, 0.0, None, why) for each in SWITCHES if (why := each.obstacle()) is not None]
    every = (Switch("the daemon alone", BARE), *(each for each in SWITCHES if each.obstacle() is None))
    text = [line for line, _ in iter_lines(replace(Options(lines=lines), start=int(time()) - 600, rate=lines / 500))]
    runs: dict[str, list[float]] = {each.name: [] for each in every}
    for _ in range(rounds):
        for each in every:
            runs[each.name].append(_spent(each, b"\n".join(text) + b"\n", lines))
    return summary(runs) + left_out


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
        names = {"{log}": str(log), "{config}": str(log.with_suffix(".toml")), "{place}": place}
        meanwhile = [_filled(word, names) for word in switch.meanwhile]
        with ExitStack() as stack:
            more = stack.enter_context(switch.alongside(Path(place))) if switch.alongside is not None else ""
            config = _filled(_SITE + switch.config, names) + more
            ours = stack.enter_context(daemon.running(log, "null:", "--grace=86400", config=config))
            before = ours.idle()
            with log.open("ab", buffering=0) as file:
                file.write(text)
            with again(meanwhile):  # `report` fails on a log without a line
                spent = ours.idle() - before
        counted = ours.counted()
        assert counted["lines"] == lines, (switch.name, counted)
    return 1e6 * spent / lines


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, content in names.items():
        text = text.replace(name, content)
    return text


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
