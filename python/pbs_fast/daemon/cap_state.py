"""Keeps `caps.json` in `state_directory`: read at a start, written each minute and at the end, by a thread of its own.

Writing 100,000 windows takes seconds, and a disk may hang; neither the loop nor an MTA waits for it. What goes wrong is
logged once, and the caps hold all the same.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pbs_fast.caps.state import EVERY, FILE, SIZE_LIMIT, StateError, encode, read_state
from pbs_fast.daemon.state_file import StateFile
from pbs_fast.util.durations import exact
from pbs_fast.util.text import plural

if TYPE_CHECKING:
    from pbs_fast.caps.counter import CapCounter
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

#: Seconds that the end waits for a state that is being written: a disk that hangs must not keep us from ending.
_PATIENCE = 5.0


class CapState:
    """The file of one counter."""

    def __init__(self, counter: CapCounter, directory: Path | None, clock: Clock) -> None:
        """`directory` None: nothing is read or written."""
        self._counter, self._clock = counter, clock
        self._file = None if directory is None else StateFile(directory / FILE)
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = ""

    def read(self) -> None:
        """Take over what an earlier run counted, and say so. Before anything is counted."""
        if self._file is None or not self._counter.limits:
            return
        try:
            state = read_state(self._file.path, self._clock)
        except StateError as error:
            log.warning(f"{error}; the caps begin to count anew")
            return
        if state is None:
            log.info(f"there is no {self._file.path}; the caps begin to count")
            return
        self._counter.restore(state.kept, self._clock.now())
        log.info(f"caps: {plural(len(state.kept), 'window')} of {exact(state.age)} ago taken over")
        if not state.is_final:
            log.warning(
                f"the last run did not end by itself: what was sent in the up to {EVERY:.0f} s between its last "
                f"{FILE} and its end counts against no cap"
            )

    def start(self) -> None:
        """Write from now on, each EVERY seconds, while there are caps."""
        if self._file is None:
            return
        self._thread = threading.Thread(target=self._run, name="caps", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the last state, after the last recipient was counted."""
        if self._thread is None or self._file is None:
            return
        self._ends.set()
        self._thread.join(timeout=_PATIENCE)
        self._file.close()

    def _run(self) -> None:
        # At once, too: a kill before the first minute is over must not look like a proper end.
        while True:
            self.write(is_final=False)
            if self._ends.wait(EVERY):
                self.write(is_final=True)
                return

    def write(self, *, is_final: bool) -> None:
        """Write the state as it is now."""
        if (
            self._file is None
            or not self._counter.limits
            or (trouble := self._write(self._file, is_final=is_final)) == self._failed
        ):
            return
        if trouble:
            log.warning(f"{trouble}; a restart lets everybody send a whole cap again")
        self._failed = trouble

    def _write(self, file: StateFile, *, is_final: bool) -> str:
        """Why it could not be written, or ""."""
        data = encode(self._counter.kept(self._clock.now()), self._clock, is_final=is_final)
        if len(data) > SIZE_LIMIT:
            return f"{file.path} would be larger than {SIZE_LIMIT >> 20} MiB"
        return file.write(data)
