"""Several logs at once: each with a state of its own, none kept waiting by another, one set of hints for all.

Imports `file`, `spec`, `wakeup`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from pbs_fast.sources.file import BUDGET, FileSource
from pbs_fast.sources.notices import Notice
from pbs_fast.sources.pieces import Piece
from pbs_fast.sources.spec import expand, is_pattern
from pbs_fast.sources.wakeup import LONGEST_ABSENT, Hints, Pause

#: Seconds between two expansions of the patterns.
RESCAN = 2.0

#: Seconds after which a log that came by a pattern and is gone is no longer waited for.
FORGET_AFTER = 3600.0


class FileGroup:
    """Follows paths and patterns. Not for several threads at once.

    `start` is as for FileSource and holds for what is there at first; a log that a pattern matches later is read from
    its first line.
    """

    def __init__(
        self,
        specs: Sequence[str],
        *,
        start: Literal["replay", "begin", "end"] = "begin",
        on_notice: Callable[[Notice], object] | None = None,
        hints: Hints | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.notices: deque[Notice] = deque(maxlen=1000)
        """What was said, where `on_notice` is not given."""
        self.sources: dict[str, FileSource] = {}
        """By path, in the order they came."""
        self.behind = False
        self.hints = hints or Hints()
        self._say = on_notice or self.notices.append
        self._clock = clock
        self._pause = Pause()
        self._patterns = [spec for spec in specs if is_pattern(spec)]
        self._absent: dict[str, float] = {}
        for spec in specs:
            if not is_pattern(spec):
                self._add(spec, start)
        self._named = set(self.sources)
        self._expand(start)
        self._next_scan = clock() + RESCAN

    def poll(self, budget: int = BUDGET) -> list[tuple[FileSource, list[Piece]]]:
        """What can be read now, about `budget` bytes at most, shared among the logs. Raises nothing."""
        self.hints.drain()
        if self._patterns and self._clock() >= self._next_scan:
            self._next_scan = self._clock() + RESCAN
            self._expand("begin")
            self._forget()
        sources = list(self.sources.values())
        if not sources:
            return []
        share = max(1, budget // len(sources))
        found = [(source, source.poll(share)) for source in sources]
        self.behind = any(source.behind for source in sources)
        self._pause.looked()
        return [(source, pieces) for source, pieces in found if pieces]

    def filenos(self) -> list[int]:
        """Descriptors that become readable when there may be something; the timer (`timeout`) holds in any case."""
        hint = self.hints.fileno()
        own = [fd for source in self.sources.values() for fd in source.filenos()]
        return own if hint is None else [*own, hint]

    def timeout(self) -> float:
        """Seconds after which the next poll is due although no descriptor is ready."""
        pauses = [source.timeout() for source in self.sources.values()]
        return min(pauses, default=LONGEST_ABSENT)

    def wait(self, timeout: float | None = None, others: Iterable[int] = ()) -> list[int]:
        """As `FileSource.wait`."""
        return self._pause.wait(
            self.filenos(), self.timeout() if timeout is None else min(timeout, self.timeout()), others
        )

    def close(self) -> None:
        for source in self.sources.values():
            source.close()
        self.hints.close()

    def _add(self, path: str, start: Literal["replay", "begin", "end"]) -> None:
        if path not in self.sources:
            self.sources[path] = FileSource(path, start=start, on_notice=self._say, hints=self.hints, clock=self._clock)

    def _expand(self, start: Literal["replay", "begin", "end"]) -> None:
        for pattern in self._patterns:
            for path in expand(pattern, self.sources):
                self._add(path, start)

    def _forget(self) -> None:
        now = self._clock()
        for path, source in list(self.sources.items()):
            if path in self._named or source.trouble is None:
                self._absent.pop(path, None)
            elif now - self._absent.setdefault(path, now) >= FORGET_AFTER:
                del self._absent[path], self.sources[path]
                source.close()
