"""Reads configuration files of logging daemons with limits, and defines the findings.

Another program's files may be anything: only regular files are read, limited in size and number. An error becomes a
finding, because it is then unknown whether the logs are safe.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

#: Bytes of one file, and files of one configuration, that are read at most; the largest ones shipped have 10 KB.
LARGEST: Final = 1 << 20
MOST_FILES: Final = 500


class Finding(NamedTuple):
    """One way in which a stranger's line feed reaches a log file."""

    logger: str
    """The daemon's name."""
    file: str
    """Its configuration file."""
    log: str
    """The log file as the configuration names it; "" where it is not known."""
    followed: tuple[str, ...]
    """Those of the logs in question that it is; none where that is not known."""
    text: str
    """One line: what, where, what to do."""


class UnreadableError(Exception):
    """A configuration that cannot be read; says which file and why."""


def read_text(path: Path) -> str:
    """The text of a configuration file, one character a byte. Raises UnreadableError."""
    try:
        # A FIFO must not hold up the start.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(f"{path}: not a regular file")
        try:
            data = file.read(LARGEST + 1)
        except OSError as error:
            raise UnreadableError(f"{path}: {error.strerror}") from None
    if len(data) > LARGEST:
        raise UnreadableError(f"{path}: larger than {LARGEST} bytes")
    return data.decode("latin-1")


def unknown(logger: str, error: UnreadableError, logs: Sequence[str]) -> Finding:
    """The finding that a configuration cannot be judged."""
    file = str(error).partition(":")[0]
    text = (
        f"{error}; cannot tell whether {logger} keeps line feeds in user names out of {', '.join(logs)} (SECURITY.md)"
    )
    return Finding(logger, file, "", (), text)


def is_mail_log(name: str) -> bool:
    """Whether a log file is one of mail, by its name."""
    return "mail" in Path(name).name
