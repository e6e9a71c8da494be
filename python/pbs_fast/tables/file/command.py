"""Programs that a table runs: within a time limit, with their exit status checked, never through a shell.

`run` runs any of them; `Command` is the one in the table's option `command`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.registry import TableSpec
from pbs_fast.util.durations import allowed, read_duration

#: Default and maximum of `timeout`, in seconds. The daemon grants nothing while the command runs, so it suits a signal
#: or a reload; a transfer over a network belongs in the background.
LIMIT = 5
LONGEST = 30


def run(words: Sequence[str], *, table: str, limit: float, text: bytes = b"") -> None:
    """Run a program to its end, with `text` as its standard input.

    Raises TableError when it cannot be run, exits with another status than 0, or takes more than `limit` seconds (then
    its process group is killed).
    """
    # Files, not pipes: a grandchild that keeps a pipe open would block us.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write(text)
        given.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  the administrator's words, not split by a shell
                list(words),
                stdin=given,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise TableError(f"{table}: cannot run {words[0]}: {error.strerror}; check its path and mode") from error
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise TableError(f"{table}: the command {words[0]} took more than {limit:g} s and was killed") from None
        if status:
            errors.seek(0)
            output = errors.read(4096).decode("utf-8", "replace").strip().partition("\n")[0]
            raise TableError(
                f"{table}: the command {words[0]} ended with status {status}"
                + (f": {output[:200]!a}" if output else "")
            )


def time_limit(spec: TableSpec) -> int:
    """The option `timeout`, in seconds. Raises UsageError."""
    text = spec.option("timeout", str(LIMIT))
    try:
        return read_duration(text, 1, LONGEST)
    except ValueError:
        raise UsageError(f"table {spec}: timeout={text}: must be {allowed(1, LONGEST)}") from None


class Command:
    """The option `command` of one table, with its `timeout` in seconds."""

    def __init__(self, spec: TableSpec, default: str = "") -> None:
        """`default` is the program if the option is not given. Raises UsageError for an invalid option."""
        text = spec.option("command")
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"table {spec}: command={text}: {error}; close the quotes") from None
        self._limit = time_limit(spec)
        given = dict(spec.options)
        if "timeout" in given and "command" not in given and not default:
            raise UsageError(f"table {spec}: timeout without a command; add command=/path/of/program")
        if "command" in given and not (self._words and self._words[0].startswith("/")):
            raise UsageError(f"table {spec}: command={text}: needs the absolute path of a program, as in /usr/bin/true")
        if default and not self._words:
            self._words = [default]
        self._table = str(spec)
        self.seconds = 0.0
        """How long the last run took."""

    def __str__(self) -> str:
        return self._words[0] if self._words else ""

    def __bool__(self) -> bool:
        return bool(self._words)

    def run(self, *more: str) -> None:
        """Run it to its end, with `more` as its last arguments. Raises TableError as the function `run` does."""
        start = time.monotonic()
        try:
            run([*self._words, *more], table=self._table, limit=self._limit)
        finally:
            self.seconds = time.monotonic() - start
