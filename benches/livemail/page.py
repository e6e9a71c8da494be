"""The part `Live` of RESULTS.md: what a client waits for, and what following costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

# The harness of a private Postfix. At the end: its folders have common names.
sys.path.append(str(Path(__file__).parents[2] / "tests"))

if TYPE_CHECKING:
    from livemail.clients import Took
    from livemail.runs import Followed, Live

#: Lines a second that others write into the log.
RATES = (0, 1_000, 50_000)
#: Seconds between two clients. A hash is changed at most ten times a second: so often clients come to it.
PAUSE, HASH_PAUSE = 0.02, 0.05
#: Seconds of a run: some 900 clients, so that nine of them took longer than 99 % did.
LENGTH = 45
NAMES = {
    "fresh": "from the login's line to the accepted RCPT",
    "inside": "the same in an open session",
    "plain": "a session of a client granted before",
}


def obstacle(kind: str = "lmdb") -> str | None:
    """Why clients of this table cannot be measured here; None when they can."""
    # Where distributions put it: not in a user's path.
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/postfix/sbin:/usr/libexec/postfix"
    postconf = shutil.which("postconf", path=path)
    if postconf is None or shutil.which("master", path=path) is None:
        return "Postfix is not installed"
    if sys.platform != "linux":
        return "it takes Linux' clocks"
    if os.geteuid() != 0:
        return "a private Postfix needs root"
    if kind not in subprocess.run([postconf, "-m"], capture_output=True, text=True, check=True).stdout.split():
        return f"this Postfix has no {kind} tables"
    if kind == "hash" and find_spec("berkeleydb") is None:
        return "the package berkeleydb is not installed"
    return None


def runs(*, quick: bool, seconds: float | None = None, kinds: tuple[str, ...] = ("lmdb", "hash")) -> Iterator[Live]:
    """All runs: lmdb at each rate, hash without others' lines."""
    from livemail.runs import live

    for kind in kinds:
        if obstacle(kind) is None:
            for rate in RATES if kind == "lmdb" else (0,):
                pause = HASH_PAUSE if kind == "hash" else PAUSE
                found = live(kind, rate, seconds or (10 if quick else LENGTH), pause)
                print(f"  live: {kind}:, {found.others} lines/s: {found.took['fresh']}", file=sys.stderr)
                yield found


class Part(NamedTuple):
    """The part, and the figure that has an aim."""

    text: str
    busy: float | None
    """The daemon's processor seconds for a million lines at the highest rate, with lmdb; None where not measured."""


def live_part(*, quick: bool, seconds: float | None = None) -> Part:
    """The part, measured now; where it cannot be, why."""
    title = "## Live\n\n"
    if (reason := obstacle()) is not None:
        return Part(f"{title}Not measured: {reason}.\n", None)
    from livemail.runs import followed

    before = os.getloadavg()[0]
    found = list(runs(quick=quick, seconds=seconds))
    full = [followed(kind, 500_000 if quick else 2_000_000) for kind in ("null", "lmdb")]
    text = (
        f"{title}A real Postfix on loopback, the daemon with all guards and with an audit line a grant, a writer of a"
        f" hub's log (8 % logins) and the clients, all on this machine; load {before:.1f} before.\n\n"
    )
    text += latencies(found) + "\n" + costs(found, full)
    if (reason := obstacle("hash")) is not None:
        text += f"\n`hash:` was not measured: {reason}.\n"
    busy = next((run.cpu_per_million for run in found if (run.table, run.rate) == ("lmdb", max(RATES))), None)
    return Part(text, busy)


def latencies(found: list[Live]) -> str:
    """What clients waited for, one row a run and way to look at it."""
    rows = []
    for run in found:
        for name, words in NAMES.items():
            if (took := run.took.get(name)) is not None:
                first = f"{run.at_once / took.tries:.0%}" if name == "fresh" else ""
                rows.append([f"`{run.table}:` {words}", run.others, *_cells(took), first])
    return _table(["ms", "others' lines/s", "tries", "median", "99 %", "max", "at the first attempt"], rows)


def costs(found: list[Live], full: list[Followed]) -> str:
    """What the daemon spent."""
    rows = []
    for run in found:
        each = f"{run.cpu_per_million:.2f}" if run.rate else "-"
        rows.append([f"`{run.table}:`", run.others, f"{run.lines:,}", each, f"{run.share:.1%}"])
    rows += [
        [f"`{run.table}:`", f"at full speed: {run.lines / run.seconds:,.0f}", f"{run.lines:,}", each, ""]
        for run in full
        for each in [f"{run.cpu_per_million:.2f}"]
    ]
    return _table(["the daemon", "others' lines/s", "lines", "CPU s a million", "of one processor"], rows)


def _cells(took: Took) -> list[str]:
    return [f"{took.tries:,}", f"{took.median:.1f}", f"{took.p99:.1f}", f"{took.worst:.1f}"]


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
