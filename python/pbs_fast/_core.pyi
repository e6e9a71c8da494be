"""The native twin (Rust). Private: use `pbs_fast.matching`. The contract is docs/MATCHING.md."""

from collections.abc import Sequence
from typing import final

from pbs_fast.events import Event
from pbs_fast.formats import Format

VERSION: str
PROFILE: str
"""`release` or `debug`."""
MAX_LINE: int
MAX_AHEAD: int
MAX_USERS: int

def one_pass(pattern: str) -> str | None:
    """None when the engine accepts the whole-message pattern as one-pass, else its reason in one line. ValueError when it is no pattern at all."""

@final
class Scan:
    @property
    def lines(self) -> int: ...
    @property
    def seconds(self) -> float: ...

@final
class Matcher:
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
    def stamp(self, line: bytes, *, layout: str = "syslog", reference: int) -> int | None: ...

@final
class Stream:
    def __new__(cls, matcher: Matcher, *, source: str, gap: int, live: bool = False, fold: bool = True) -> Stream: ...
    def add(self, scan: Scan) -> None: ...
    def events(self, scan: Scan) -> list[Event]: ...
    def columns(self) -> tuple[list[object], ...]:
        """The columns of `Batch` after `source`, in its order; see `pbs_fast.matching.native`."""
    @property
    def counters(self) -> dict[str, int]: ...
    @property
    def fold_seconds(self) -> float: ...
