"""The native backend (Rust). Private: use `pbs_fast.matching`. The contract is docs/MATCHING.md."""

from collections.abc import Callable, Sequence
from typing import Final, final

from pbs_fast.events import Grant
from pbs_fast.formats import Format
from pbs_fast.matching.postfix import PostfixLine

__all__ = [
    "MAX_AHEAD",
    "MAX_LINE",
    "MAX_USERS",
    "PROFILE",
    "VERSION",
    "Matcher",
    "PostfixLines",
    "PostfixScan",
    "Scan",
    "Stream",
    "doubtful_rows",
    "near_addresses",
    "one_pass",
    "shared_lists",
    "shared_rows",
    "unusual_begins",
]

VERSION: Final[str]
PROFILE: Final[str]
"""`release` or `debug`."""
MAX_LINE: Final[int]
MAX_AHEAD: Final[int]
MAX_USERS: Final[int]

def one_pass(pattern: str) -> str | None:
    """None when the engine takes the whole-message pattern as one-pass, else its reason in one line.

    ValueError when it is no pattern at all.
    """

def unusual_begins(data: bytes, start: int, stop: int, /) -> list[int]:
    """`matching.protocol.UnusualBegins`. ValueError for bounds outside data."""

#: The fields of `pbs_fast.share.message.Row`, in its order.
_SharedRow = tuple[str, int, str | None, str, str, int]

def shared_rows(
    m: bytes, rows: int, run: int, user: int, format: int, host: int, /
) -> tuple[str, int, int, tuple[_SharedRow, ...]] | None:
    """Run, number, time and rows of another node's message, if it is in the form in which `share.message.Writer` writes
    it, with printable ASCII, and exceeds none of the bounds (rows; bytes of texts); else None."""

def shared_lists(
    rows: list[tuple[str, Grant]],
    logins: list[int] | None,
    now: float,
    grace: int,
    most_rows: int,
    most_bytes: int,
    /,
) -> list[bytes]:
    """The rows that have not ended, each with the second of its login, or without these one grace before its end, as
    `share.message.Writer` writes their lists: of so many rows and bytes at most, but with one row at least.
    UnicodeEncodeError for a lone surrogate."""

def doubtful_rows(rows: list[tuple[str, Grant]], user: int, format: int, host: int, /) -> list[int]:
    """The places of the rows with a text that is not printable ASCII or longer than so many bytes."""

def near_addresses(ips: Sequence[str], begins4: bytes, begins6: bytes, /) -> list[str]:
    """Those that begin with a byte whose mark among the 256 of their family is not 0, and all that are no canonical
    addresses; in their order. ValueError for another number of marks."""

@final
class Scan:
    """Immutable; keeps its bytes and its matcher's catalogue alive."""

    @property
    def lines(self) -> int: ...
    @property
    def seconds(self) -> float: ...

@final
class Matcher:
    """FormatError for a pattern that no engine takes or a name given twice, ValueError for a zone that is no table."""

    def __new__(cls, formats: Sequence[Format], zone: Sequence[tuple[int, int]]) -> Matcher: ...
    def sniff(self, data: bytes) -> str | None: ...
    def scan(
        self,
        data: bytes,
        *,
        start: int = 0,
        stop: int | None = None,
        offset: int = 0,
        layout: str = "syslog",
        reference: int,
    ) -> Scan: ...
    def timestamp(self, line: bytes, *, layout: str = "syslog", reference: int) -> int | None: ...
    @property
    def nested(self) -> list[tuple[str, str]]: ...

@final
class PostfixLines:
    """`protocol.PostfixLines`."""

    def __new__(cls, matcher: Matcher) -> PostfixLines: ...
    def lines(self, data: bytes, *, start: int, stop: int, layout: str, reference: int) -> PostfixScan: ...

@final
class PostfixScan:
    """`protocol.PostfixScan`."""

    def said(self, wanted: Callable[[str], bool]) -> list[PostfixLine]: ...

#: The fields of `pbs_fast.events.Event`, in its order.
_Event = tuple[int, str, str | None, int | None, str, str | None, str, str | None, bool | None, bool, str | None]

@final
class Stream:
    """Raises ValueError for a negative gap, and for a scan of another matcher."""

    def __new__(
        cls, matcher: Matcher, *, gap: int | None, live: bool = False, fold: bool = True, sessions: bool = True
    ) -> Stream: ...
    def add(self, scan: Scan) -> None: ...
    def events(self, scan: Scan) -> list[_Event]: ...
    def columns(self) -> tuple[list[object], ...]:
        """The rows so far as the columns of `Batch` after `source`, in its order, or () without rows; forgets them, as
        `take` says."""
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def fold_seconds(self) -> float: ...
