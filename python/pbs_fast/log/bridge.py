"""What the parts say through `logging` (tables that fail and recover), brought into our own log. Imports logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from pbs_fast.log.logger import Log


class _Words(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.DEBUG)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self._log.warning(text)
        elif record.levelno >= logging.INFO:
            self._log.info(text)
        else:
            self._log.debug(text)


@contextmanager
def logging_bridge(log: Log) -> Iterator[None]:
    """While it lasts, the records of the package's loggers are lines of `log` and go nowhere else."""
    logger = logging.getLogger("pbs_fast")
    handler = _Words(log)
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if log.debugging else logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
