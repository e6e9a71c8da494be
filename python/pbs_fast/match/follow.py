"""Logs that are read as they grow, for `match --follow`, and sources that are no files, for `match journal:`.

The daemon's own sources, so what follows here is what follows there: rotation, truncation, a log that is not there yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from pbs_fast.errors import PbsError, SourceError
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.open import open_log
from pbs_fast.sources.protocol import Notice, Source, SourceOptions
from pbs_fast.sources.registry import find_scheme, make_source
from pbs_fast.sources.wakeup import Hints, Pause

#: Changes of state that are in order, of which nobody who reads along need be told.
_IN_ORDER = ("rotated", "found")


def is_source(spec: str) -> bool:
    """Whether it names a source that `open_log` does not open: the journal."""
    return spec != "-" and find_scheme(spec) is not None


class Following:
    """Some logs at once. A context manager; raises PbsError when one cannot be followed."""

    def __init__(
        self, specs: Iterable[str], complain: Callable[[SourceError], object], *, to_end: bool = False
    ) -> None:
        """`complain` gets what is wrong with a log that is waited for. With `to_end`, `pieces` ends when what was there
        at the start has been read."""
        self._to_end = to_end
        self._specs = list(dict.fromkeys(specs))
        self._hints = Hints(enabled=False)
        self._on_notice = lambda notice: self._noticed(notice, complain, waits=not to_end)
        self._sources: list[Source] = []

    def __enter__(self) -> Self:
        self._hints = Hints()
        try:
            for spec in self._specs:
                if find_scheme(spec) is None:
                    _refuse_compressed(spec)
                self._sources.append(make_source(spec, SourceOptions("begin", self._hints, self._on_notice)))
                self._sources[-1].open()
        except PbsError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for source in self._sources:
            source.close()
        self._hints.close()

    def __iter__(self) -> Iterator[Source]:
        return iter(self._sources)

    def pieces(self) -> Iterator[tuple[Source, list[Piece]]]:
        """Whole lines as they come; ends when all sources have ended, or as `to_end` says."""
        sleep = Pause()
        while True:
            sleep.polled()
            for source in self._sources:
                if pieces := source.poll():
                    yield source, pieces
            if self._to_end and not any(source.pending or source.behind for source in self._sources):
                return
            if all(source.ended for source in self._sources):
                return  # an end wakes nobody: waiting would last to the timeout of half a minute
            fds = [fd for source in self._sources for fd in source.filenos()]
            if (hint := self._hints.fileno()) is not None:
                fds.append(hint)
            sleep.wait(fds, min(source.timeout() for source in self._sources))
            self._hints.drain()

    @staticmethod
    def _noticed(notice: Notice, complain: Callable[[SourceError], object], *, waits: bool) -> None:
        if notice.kind not in _IN_ORDER:
            complain(SourceError(notice.text if waits else notice.cause))


def _refuse_compressed(path: str) -> None:
    if not os.path.isfile(path):  # noqa: PTH113 - any bytes; a FIFO would wait for its writer
        return
    try:
        with open_log(path) as log:
            kind = log.compression
    except SourceError:
        return  # not readable: the source says so, and waits
    if kind is not None:
        raise SourceError(f"{path}: is compressed ({kind}) and does not grow; leave out --follow")
