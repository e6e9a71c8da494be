"""Our own log without a daemon, and what parts of one log."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pbs_fast.log.handlers import OwnLog, listening
from pbs_fast.log.records import Lines, log_lines
from pbs_fast.log.targets import Target


class Log(logging.Logger):
    """A logger of its own whose only handler is an OwnLog."""

    def __init__(self, logto: str | Target | None, **options: Any) -> None:
        self.own = OwnLog(logto, **options)
        super().__init__("pbs_fast.test", self.own.level)
        self.addHandler(self.own)

    def infos(self, texts: Iterable[str]) -> None:
        """Many lines in one record."""
        log_lines(self, logging.INFO, [*texts], str, "granted")

    @property
    def lost(self) -> int:
        return self.own.lost

    def reopen(self) -> None:
        self.own.reopen()

    def close(self) -> None:
        self.own.close()


class Heard(logging.Handler):
    """Keeps the package's lines, from a level on, and their records."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines += record.msg if isinstance(record.msg, Lines) else [record.getMessage()]


@contextmanager
def heard(level: int = logging.INFO) -> Iterator[Heard]:
    """What the package logs while it lasts."""
    handler = Heard(level)
    with listening(handler):
        yield handler
