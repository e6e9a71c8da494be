"""Records: what a scan found in each line that may become an event, a missed line or a step of a session.

They are stored field after field in one list, WIDTH fields per record: without a tuple per record the garbage collector
has no extra work (0.15 us a tuple that outlives its scan), and a column is a slice. Where order must be resolved they
are read as tuples.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

Key = tuple[bytes, bytes]
"""Host and tag, as written in the line."""

Record = tuple[
    int, str, "str | None", "int | None", str, "str | None", str, "str | None", "bool | None", bool, "str | None",
    Key, "bytes | None",
]  # fmt: skip
"""The fields of `events.Event` in its order, then host and tag as written in the line, and the pid.

Its kind is also one of `routes.STEPS` or `routes.ENDINGS`.
"""
Fields = list[Any]
"""Those of many records."""

WIDTH: Final = 13
OF_EVENT: Final = 11
"""Those of `events.Event`."""
KIND: Final = 1
IP: Final = 2
TIMESTAMP: Final = 3
FORMAT: Final = 4
SESSION: Final = 7
REASON: Final = 10

NOBODY: Final = (b"", b"")
"""The Key where there is none."""


def tuples(fields: Fields) -> list[Record]:
    """The records, each by itself."""
    return list(zip(*[iter(fields)] * WIDTH, strict=True))


def joined(records: Iterable[Record]) -> Fields:
    """The fields of records, in order."""
    return list(chain.from_iterable(records))


def missed(at: int, name: str, host: str, reason: str) -> Record:
    """The record of a missed line."""
    return (at, "missed", None, None, name, None, host, None, None, False, reason, NOBODY, None)
