"""`watch --run`: a program that is told of events, one at a time, at most once a minute for each kind."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.errors import UsageError

if TYPE_CHECKING:
    from pbs_fast.control.replies import Event

#: Least time in seconds between two runs for the same kind.
PAUSE = 60.0
#: Seconds after which a run is ended: the events wait meanwhile, and the daemon keeps a bounded number of them.
LIMIT = 60.0


def command_of(text: str) -> list[str]:
    """The words of `--run`. Raises UsageError when they name no program."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--run={text}: {error}; close the quotes") from None
    if not words or shutil.which(words[0]) is None:
        raise UsageError(f"--run={text}: no such program; give the path of one that may be executed")
    return words


class Runner:
    """Runs the program for events. A failure of it is reported and does not end the watch."""

    def __init__(
        self,
        command: Sequence[str],
        report: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
        limit: float = LIMIT,
    ) -> None:
        self._command = list(command)
        self._report = report
        self._clock = clock
        self._limit = limit
        self._ran: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def take(self, event: Event) -> bool:
        """Run the program for an event, unless one of its kind had a run within PAUSE seconds; whether it ran.

        How many were left out since the last run is the key `left_out` of the JSON.
        """
        kind, now = event["kind"], self._clock()
        if now < self._ran.get(kind, now - PAUSE) + PAUSE:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        self._ran[kind] = now
        text = json.dumps({**event, "left_out": self._left_out.pop(kind, 0)}) + "\n"
        program = self._command[0]
        try:
            done = subprocess.run(  # noqa: S603 - the administrator's own command, no shell
                self._command, input=text.encode(), check=False, timeout=self._limit
            )
        except subprocess.TimeoutExpired:
            self._report(f"{program} took more than {self._limit:g} s for an event ({kind}) and was killed")
        except OSError as error:
            self._report(f"{program} cannot be run: {error.strerror}")
        else:
            if done.returncode:
                self._report(f"{program} ended with status {done.returncode} for an event ({kind})")
        return True
