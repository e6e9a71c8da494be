"""How long a command takes to start, beside a bare typer program that does nothing. In alternation.

Both are what a user starts: an interpreter of the same environment, all modules compiled and in memory.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from measure.contenders import timed
from pbs_fast.bench.hublog import Options, write_log

_BARE = """\
import typer

app = typer.Typer()


@app.command()
def main() -> None:
    print("1.0")


app()
"""

_NOTHING = "an interpreter that does nothing"
SMALL = "`pbs-fast bench` of 200 lines"


class Start(NamedTuple):
    """One command."""

    name: str
    seconds: float
    """Median wall time."""
    spread: float
    base: float | None
    """That of the bare typer program, where it is the measure."""

    @property
    def over_ms(self) -> float | None:
        """Milliseconds more than the bare program."""
        return None if self.base is None else 1e3 * (self.seconds - self.base)


def _ours() -> list[str]:
    script = Path(sys.executable).with_name("pbs-fast")
    return [str(script)] if script.exists() else [sys.executable, "-m", "pbs_fast"]


def starts(rounds: int) -> list[Start]:
    """`version` and `--help`, each beside the same of the bare program."""
    print("command start", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="pbs-bench-") as place:
        program = Path(place, "bare.py")
        program.write_text(_BARE)
        small = Path(place, "small.log")
        write_log(small, Options(lines=200))
        bare = [sys.executable, str(program)]
        commands = {
            _NOTHING: [sys.executable, "-c", "pass"],
            "a bare typer program": bare,
            "`pbs-fast version`": [*_ours(), "version"],
            "a bare typer program, `--help`": [*bare, "--help"],
            "`pbs-fast --help`": [*_ours(), "--help"],
            SMALL: [*_ours(), "bench", "--json", str(small)],
        }
        runs: dict[str, list[float]] = {name: [] for name in commands}
        said: dict[str, set[bytes]] = {name: set() for name in commands}
        # An installation has its modules compiled. Where the environment forbids that, each start would compile them,
        # which takes half as long as all the rest.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(Path(place, "compiled"))
        # The first round compiles and reads what the others find in memory.
        for number in range(rounds + 1):
            for name, command in commands.items():
                seconds, _, out = timed(command, environment=environment)
                said[name].add(b"" if name in (_NOTHING, SMALL) else out)
                if number:
                    runs[name].append(seconds)
    for name, texts in said.items():
        assert len(texts) == 1, f"{name}: says now this, now that"
        assert texts != {b""} or name in (_NOTHING, SMALL), f"{name}: says nothing"
    return summary(runs)


def summary(runs: dict[str, list[float]]) -> list[Start]:
    """The commands' figures; a command of ours is held against the bare one that stands before it."""
    found: list[Start] = []
    for name, seconds in runs.items():
        middle = statistics.median(seconds)
        base = found[-1].seconds if "pbs-fast" in name and name != SMALL else None
        found.append(Start(name, middle, (max(seconds) - min(seconds)) / middle, base))
    return found
