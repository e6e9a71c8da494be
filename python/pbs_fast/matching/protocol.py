"""What both backends are to the rest of the package: Matcher, Scan and Stream (contract: docs/MATCHING.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pbs_fast.events import Batch, Event
    from pbs_fast.formats import Format
    from pbs_fast.matching.postfix import PostfixLine

#: UTC second from which on local time is UTC + offset seconds; ascending (docs/MATCHING.md, 5).
Zone = Sequence[tuple[int, int]]

SYSLOG = "syslog"

#: (data, start, stop) -> where the lines of data[start:stop] begin that do not begin as nearly every header does: like
#: `Mar  4`, `2026-03-` or `<22>`, with any letters and digits. Ascending.
UnusualBegins = Callable[[bytes, int, int], Sequence[int]]

SPLIT = 700
"""Length of a message, in bytes, from which any writer may have cut it (docs/MATCHING.md, 4)."""


class Scan(Protocol):
    """What one piece of a source holds, in order, not yet resolved by a Stream. Immutable; keeps its bytes alive."""

    @property
    def lines(self) -> int: ...
    @property
    def seconds(self) -> float:
        """Wall time the scan took, in seconds."""


class Matcher(Protocol):
    """Compiled formats and a zone. Immutable; may be used from several threads at once."""

    def __init__(self, formats: Sequence[Format], zone: Zone) -> None: ...
    def sniff(self, data: bytes) -> str | None:
        """The layout that the first conclusive line shows: "syslog" or a format's name; None while undecided."""

    def scan(
        self,
        data: bytes,
        *,
        start: int = 0,
        stop: int | None = None,
        offset: int = 0,
        layout: str = SYSLOG,
        reference: int,
    ) -> Scan:
        """Events of the lines in data[start:stop], which holds whole lines (the last may lack its newline).

        `offset` is the position of data[start] in its source, in bytes. `reference` is the second
        (UTC) that years and the ambiguous hour are judged from. Releases the interpreter where it can.
        Raises ValueError for a layout that no format has, or bounds outside data.
        """

    def timestamp(self, line: bytes, *, layout: str = SYSLOG, reference: int) -> int | None:
        """One line's timestamp (earlier reading), whatever its tag; None when it has no envelope or no possible
        date."""

    @property
    def nested(self) -> Sequence[tuple[str, str]]:
        """The formats whose own log lines may be messages of syslog: the first tag and the probe of each."""


class Stream(Protocol):
    """The ordered half: takes the scans of one source in order, resolves, folds, counts. For one thread at a time."""

    def __init__(
        self,
        matcher: Matcher,
        *,
        source: str,
        gap: int | None,
        live: bool = False,
        fold: bool = True,
        sessions: bool = True,
    ) -> None:
        """`sessions` false, for who counts none: where logins are not folded, no row of a logout and no `process`."""

    def add(self, scan: Scan) -> None:
        """Settle the scan's events and fold them into the rows of the next `take`."""

    def events(self, scan: Scan) -> list[Event]:
        """Settle the scan's events and return them, missed lines included, in line order, instead of folding them."""

    def take(self) -> Batch:
        """The rows since the last take, in the order of their first events; forgets them, keeps the order's state."""

    @property
    def counters(self) -> dict[str, int]:
        """Counters of docs/MATCHING.md, 7, since the Stream began, with `lines` and `logout_no_address`."""

    @property
    def fold_seconds(self) -> float:
        """Wall time spent in add and take, in seconds."""


class PostfixScan(Protocol):
    """The lines of a piece that say something. Immutable; keeps its bytes alive."""

    def said(self, wanted: Callable[[str], bool]) -> list[PostfixLine]:
        """What they say, in order; of lines that matter by their client alone only those for whose address `wanted` is
        true. It is called once a line at most."""


class PostfixLines(Protocol):
    """Reads what Postfix's lines say about messages. Immutable; may be used from several threads at once."""

    def __init__(self, matcher: Matcher) -> None: ...
    def lines(self, data: bytes, *, start: int, stop: int, layout: str, reference: int) -> PostfixScan:
        """Look for the lines of data[start:stop] that say something (docs/MATCHING.md, 9). Releases the interpreter
        where it can. Raises ValueError for bounds outside data, and for a layout that no format has."""
