"""The command that a table runs after a change: its exit status checked, within a time limit, never through a shell.

Imports `errors` and `spec` only.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.spec import TableSpec

#: Seconds that the command may take. The daemon grants nobody meanwhile, so it is for a signal or a reload, not for a
#: transfer over a network: that belongs into the background.
LIMIT = 5
LONGEST = 30


class Command:
    """The option `command` of one table, with its `timeout` in seconds."""

    def __init__(self, spec: TableSpec) -> None:
        """Raises UsageError for words that are no command."""
        text, limit = spec.option("command"), spec.option("timeout", str(LIMIT))
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"table {spec}: command={text}: {error}; close what is quoted") from None
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= LONGEST):
            raise UsageError(f"table {spec}: timeout={limit}: needs whole seconds from 1 to {LONGEST}")
        given = dict(spec.options)
        if "timeout" in given and "command" not in given:
            raise UsageError(f"table {spec}: timeout without a command; add command=/path/of/program")
        if "command" in given and not (self._words and self._words[0].startswith("/")):
            raise UsageError(f"table {spec}: command={text}: needs the whole path of a program, as in /usr/bin/true")
        self._limit = int(limit)
        self._table = str(spec)
        self.seconds = 0.0
        """How long it took the last time."""

    def __bool__(self) -> bool:
        return bool(self._words)

    def run(self) -> None:
        """Run it to its end. Raises TableError when it cannot be run, fails, or takes too long (then it is killed)."""
        start = time.monotonic()
        # A file, not a pipe: a grandchild that keeps a pipe open would keep us waiting.
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(  # noqa: S603  the administrator's words, not split by a shell
                    self._words,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                raise TableError(f"{self._table}: cannot run {self._words[0]}: {error.strerror}") from error
            try:
                status = process.wait(self._limit)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TableError(
                    f"{self._table}: the command {self._words[0]} took more than {self._limit} s and was killed"
                ) from None
            finally:
                self.seconds = time.monotonic() - start
            if status:
                errors.seek(0)
                said = errors.read(4096).decode("utf-8", "replace").strip().partition("\n")[0]
                raise TableError(
                    f"{self._table}: the command {self._words[0]} ended with status {status}"
                    + (f": {said[:200]!a}" if said else "")
                )
