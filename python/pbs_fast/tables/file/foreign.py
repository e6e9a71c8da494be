"""What stands in a table's place before we build our own: which rows are ours, by a reading that no torn file ends.

An engine in C believes the pages that it reads: LMDB touches a page that a cut-off file has not got and dies by SIGBUS,
Berkeley DB follows links of zeroed pages for ever (both seen, LMDB 0.9.36, libdb 5.3.28). A power failure leaves such
files, and a daemon that died of one would die at each start. So the first reading is done by a child of this process.
Imports `errors` and modules of this package only.
"""

from __future__ import annotations

import logging
import os
import pickle
import resource
import select
import signal
import stat
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from pbs_fast.errors import TableError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.value import Template

log = logging.getLogger(__name__)

#: Seconds that a reading may take, besides its wait for the lock; a million rows take 5 on a busy machine.
LONGEST_READING = 30.0

Pairs = list[tuple[bytes, bytes]]


class DamagedError(TableError):
    """A file of the right type that its engine cannot read to the end."""


def read_whole(file: Path) -> bytes:
    """All bytes of a file that is only ever replaced. Raises TableError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise TableError(os_error("cannot read", file, error)) from error


def require_directory(file: Path) -> None:
    """Raises TableError where there is no directory for the file."""
    try:
        found = file.parent.stat()
    except OSError as error:
        raise TableError(os_error("cannot use the directory of", file, error)) from error
    if not stat.S_ISDIR(found.st_mode):
        raise TableError(f"{file.parent} is not a directory; {file} cannot lie there")


def is_missing(file: Path) -> bool:
    """Whether there is no table at all yet; a zero-length file is none. TableError for what is not a file."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return True
    except OSError as error:
        raise TableError(os_error("cannot look at", file, error)) from error
    if not stat.S_ISREG(found.st_mode):
        raise TableError(f"{file} is not a regular file; move it away or give another table")
    return found.st_size == 0


def read_apart(file: Path, pairs: Callable[[], Pairs], *, wait: float) -> Pairs:
    """What `pairs` gives, called in a child process; it may wait `wait` seconds for the readers' lock.

    Raises what it raises (TableError), and DamagedError when it ends the child or never ends.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads (the socketmap has one); the child takes none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _answer(writing, pairs)
    os.close(writing)
    try:
        answer = _received(reading, time.monotonic() + wait + LONGEST_READING)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if answer is None:
        raise DamagedError(f"{file} is damaged (reading it does not end); move it away or restore it")
    if not answer:
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        raise DamagedError(f"{file} is damaged (reading it ends by {_signal(number)}); move it away or restore it")
    found = pickle.loads(answer)  # noqa: S301  our own child wrote it
    if isinstance(found, TableError):
        raise found
    rows: Pairs = found
    return rows


def ours(
    file: Path,
    pairs: Iterable[tuple[bytes, bytes]],
    address: Callable[[bytes], str | None],
    template: Template,
    *,
    adopt: bool,
    elsewhere: str,
) -> dict[str, bytes]:
    """Address -> value of the rows that are ours. TableError naming three others, which are left out with `adopt`.

    `address` tells which address a key spells, if any; `elsewhere` what may be done with the others.
    """
    rows: dict[str, bytes] = {}
    foreign = []
    for key, value in pairs:
        ip = address(key)
        # `ok\0` is what postmap writes, and no pbs-fast nor its predecessor: an administrator's own table.
        if ip is not None and template.parse(value) is not None:
            rows[ip] = value
        else:
            foreign.append((key, value))
    if foreign and not adopt:
        shown = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in foreign[:3])
        raise TableError(
            f"{file} holds {len(foreign)} rows that are not ours ({shown}); {elsewhere}, or set "
            f"adopt = true to take the file over and drop them"
        )
    if foreign:
        log.warning("%s: adopted; %d rows that are not ours are dropped", file, len(foreign))
    return rows


def _answer(writing: int, pairs: Callable[[], Pairs]) -> NoReturn:
    """In the child: nothing of the parent's goes on here, neither signals nor descriptors (its owner lock is one)."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.closerange(3, writing)
        os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))
        try:
            found: Pairs | TableError = pairs()
        except TableError as error:
            error.__cause__ = error.__context__ = None  # an engine's error may not be one that can be pickled
            found = error
        with os.fdopen(writing, "wb") as answer:
            pickle.dump(found, answer)
    finally:
        os._exit(0)


def _received(reading: int, end: float) -> bytes | None:
    """All that comes until the other end is closed; None when that takes too long."""
    parts: list[bytes] = []
    while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(reading, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def _signal(number: int) -> str:
    return signal.Signals(number).name if number else "no answer"


def _text(raw: bytes) -> str:
    return ascii(raw[:60].decode("latin-1"))
