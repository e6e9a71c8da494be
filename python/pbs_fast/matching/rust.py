"""The Rust backend behind the protocols of the package: Batches and Events around `pbs_fast._core`.

Matcher and Scan are the native classes themselves; Stream adds only the Python types that the native module does not
know. Importing this module imports the native one and raises its errors; `backends` handles them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pbs_fast import _core
from pbs_fast._core import Matcher, PostfixLines
from pbs_fast.events import Batch, Event

if TYPE_CHECKING:
    from pbs_fast.matching import protocol

__all__ = ["Matcher", "PostfixLines", "Stream"]


class Stream:
    """`protocol.Stream`. Raises ValueError for a negative gap, and for a scan of another matcher."""

    __slots__ = ("_empty", "_source", "_stream")

    def __init__(
        self,
        matcher: protocol.Matcher,
        *,
        source: str,
        gap: int | None,
        live: bool = False,
        fold: bool = True,
        sessions: bool = True,
    ) -> None:
        self._source = source
        # Most looks at a live log find no event, and fifteen new lists would be half the time of such a look.
        self._empty = Batch(source)
        self._stream = _core.Stream(cast("Matcher", matcher), gap=gap, live=live, fold=fold, sessions=sessions)

    def add(self, scan: protocol.Scan) -> None:
        self._stream.add(cast("_core.Scan", scan))

    def events(self, scan: protocol.Scan) -> list[Event]:
        # The native tuples have Event's fields by contract (tests/native), so nothing is looked at once more.
        make = cast("Any", Event._make)
        return list(map(make, self._stream.events(cast("_core.Scan", scan))))

    def take(self) -> Batch:
        columns = cast("tuple[Any, ...]", self._stream.columns())
        return Batch(self._source, *columns) if columns else self._empty

    @property
    def counters(self) -> dict[str, int]:
        return self._stream.counters

    @property
    def fold_seconds(self) -> float:
        return self._stream.fold_seconds
