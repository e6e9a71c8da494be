"""What a Perl configuration sets: perl runs it as the old daemon did, this reads what came out.

Evaluating a configuration runs its code, as starting the old daemon did. Imports the errors only.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbs_fast.errors import ConfigError

_SCRIPT = Path(__file__).with_name("evaluate.pl")
#: Seconds; a configuration sets variables.
_PATIENCE = 60
#: A line that sets a variable, or refers to one element of a hash.
_SETS = re.compile(r"^\s*(?:(?:our|local)\s+)?(?:push\s*\(?\s*)?([$@%])(\w+)(?:\{\W*(\w+)\W*\})?\s*(?:[.|+]?=|,)")


@dataclass(frozen=True)
class Old:
    """A configuration as evaluated."""

    path: str
    values: Mapping[str, Any]
    """Variable without its sigil -> text, list, or {"function": name}; what the file leaves alone is not there."""
    lines: Mapping[str, int]
    """Variable -> the last line that sets it, as far as the text tells."""

    def where(self, name: str) -> str:
        """`line N` of a variable, for people."""
        return f"line {self.lines[name]}" if name in self.lines else "set by its code"


def evaluate(path: str) -> Old:
    """Run a Perl configuration and read what it set.

    Raises ConfigError when there is no perl, when the file cannot be read, and with perl's own words when it fails.
    """
    perl = shutil.which("perl")
    if perl is None:
        raise ConfigError(
            "import-config needs perl to evaluate the old configuration, which is a Perl program; install it"
        )
    try:
        text = Path(path).read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from error
    try:
        # The old daemon cleaned its environment too; the file may run other programs.
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        done = subprocess.run(  # noqa: S603 - our own script; that the file's code runs is what is asked for
            [perl, str(_SCRIPT), str(Path(path).resolve())],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{path}: perl did not come to the end of it within {_PATIENCE} s") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split()) or f"exit status {done.returncode}"
        raise ConfigError(f"{path}: perl cannot evaluate it: {said}")
    # What the file itself printed stands before our line.
    values = json.loads(done.stdout.decode("ascii", "replace").rstrip().rpartition("\n")[2])
    return Old(path, values, _lines(text))


def _lines(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    pod = False
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"=[a-zA-Z]", line):
            # `=cut` ends what is no code, and begins it where the text is code: so the old sections were switched off.
            pod = not (pod and line.startswith("=cut"))
            continue
        if pod:
            continue
        if match := _SETS.match(line):
            found[f"{match[2]}.{match[3]}" if match[3] else match[2]] = number
            found.setdefault(match[2], number)
        elif match := re.match(r"\s*sub\s+(\w+)", line):
            found[match[1]] = number
    return found
