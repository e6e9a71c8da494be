"""The settings of a Perl configuration: perl runs it like the old daemon did, and this module reads the result.

Evaluating a configuration runs its code, as starting the old daemon did.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbs_fast.errors import ConfigError

_SCRIPT = Path(__file__).with_name("evaluate.pl")
#: Seconds; a configuration sets variables.
_PATIENCE = 60
#: What sets a variable, or one element of a hash.
_SETS = re.compile(
    r"(?:^|[;{}])\s*(?:(?:our|local|my)\s+)?(?:push\s*\(?\s*)?([$@%])(\w+)(?:\{\W*(\w+)\W*\})?\s*(?:[.|+]?=|,)"
)


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
        if name in self.lines:
            return f"line {self.lines[name]}"
        return "set by its code" if name.partition(".")[0] in self.values else "its default"


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
    status, answer, said = _run([perl, str(_SCRIPT), str(Path(path).resolve())], path)
    if status != 0 and "locate JSON/PP.pm" in said:
        raise ConfigError(
            "import-config needs perl with its standard modules (JSON::PP is not there); install perl whole"
        )
    if status != 0 and said:
        raise ConfigError(f"{path}: perl cannot evaluate it: {said}")
    if not answer:
        raise ConfigError(f"{path}: it ends perl (exit status {status}) instead of giving back; take its exit out")
    return Old(path, json.loads(answer), _lines(text))


def _run(command: list[str], path: str) -> tuple[int, bytes, str]:
    """Exit status, standard output, and standard error as one line. Raises ConfigError when it takes too long."""
    # The old daemon cleaned its environment too; the file may run other programs.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    with (
        tempfile.TemporaryFile() as answer,
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - our own script; that the file's code runs is what is asked for
            command, stdin=subprocess.DEVNULL, stdout=answer, stderr=errors, env=environment, start_new_session=True
        ) as process,
    ):
        try:
            status = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise ConfigError(f"{path}: perl did not come to the end of it within {_PATIENCE} s") from None
        answer.seek(0)
        errors.seek(0)
        return status, answer.read(), " ".join(errors.read().decode("utf-8", "replace").split())


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
        if line.lstrip().startswith("#"):
            continue
        for match in _SETS.finditer(line):
            found[f"{match[2]}.{match[3]}" if match[3] else match[2]] = number
            found.setdefault(match[2], number)
        if sub := re.match(r"\s*sub\s+(\w+)", line):
            found[sub[1]] = number
    return found
