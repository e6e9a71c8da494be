"""What our log records carry besides their text: the event that a line reports, and many lines in one record."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from typing import Final, Generic, Literal, TypeVar

Kind = (
    Literal["granted", "renewed", "expired", "removed", "revoked", "refused", "limit", "cap", "drift", "warning"]
    | Literal["table_fails", "table_back", "log_gone", "log_back", "log_rotated", "ready", "reloaded"]
    | Literal["hub_down", "hub_up", "node_silent", "node_back"]
)
"""The kinds of events. A warning whose record has none is one of the kind `warning`."""

Row = TypeVar("Row")


def event(kind: Kind, rows: Collection[object] = (), why: str = "") -> dict[str, object]:
    """The `extra` of a record that reports an event: `log.info("ready", extra=event("ready"))`.

    `rows` is what it is about: (address, Grant) for granted, renewed, expired and revoked; addresses for removed;
    Refusals for refused; an OverCap for cap; the log's path for log_..., the table's name for table_..., the
    hub's URL for hub_..., the node's name for node_.... It may change after the call.
    """
    return {"event": kind, "rows": rows, "why": why}


class Lines(Generic[Row]):
    """The message of a record with one line for each row; the lines are made while they are iterated over."""

    __slots__ = ("_rows", "_text")

    def __init__(self, rows: Collection[Row], text: Callable[[Row], str]) -> None:
        self._rows, self._text = rows, text

    def __iter__(self) -> Iterator[str]:
        return map(self._text, self._rows)

    def __str__(self) -> str:
        return "\n".join(self)


class _Record(logging.LogRecord):
    """As `log.log` makes it, without the search for the caller, and for the thread, process and file, which takes
    longer than writing a line: a busy log brings 330 such records a second."""

    def __init__(self, name: str, level: int, lines: object, kind: Kind, rows: Collection[object], why: str) -> None:
        now = time.time()
        self.__dict__ = {
            **_SAME,
            "name": name,
            "msg": lines,
            "levelname": logging.getLevelName(level),
            "levelno": level,
            "created": now,
            "msecs": (now % 1) * 1000,
            "event": kind,
            "rows": rows,
            "why": why,
        }


#: What all such records have.
_SAME: Final = {**logging.LogRecord("", 0, "(unknown file)", 0, "", (), None).__dict__, "process": None}


def log_lines(
    log: logging.Logger, level: int, rows: Collection[Row], text: Callable[[Row], str], kind: Kind, why: str = ""
) -> None:
    """Log one event about many rows, a line each, as one record: a record for each row would take longer than its text.

    Without rows, or where the level is off, nothing is made.
    """
    if rows and log.isEnabledFor(level):
        log.handle(_Record(log.name, level, Lines(rows, text), kind, rows, why))
