"""The file that exists before we build ours: which of its rows are ours, read so that a torn file cannot crash us.

An engine in C trusts the pages that it reads: LMDB touches a page beyond the end of a truncated file and gets SIGBUS,
Berkeley DB follows links of zeroed pages for ever (both observed, LMDB 0.9.36, libdb 5.3.28). A power failure leaves
such files, and a daemon that crashed on one would crash at each start. So a child process does the first reading.
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
from pbs_fast.util.accounts import controllers, user_name
from pbs_fast.util.admin_files import read_admin_file

log = logging.getLogger(__name__)

#: Largest file that is read completely, in bytes: the limit of the cdb format.
LARGEST = 4 << 30
#: Seconds that reading may take, without the wait for the lock; a million rows take 5 on a busy machine.
LONGEST_READING = 30.0

Pairs = list[tuple[bytes, bytes]]


class DamagedError(TableError):
    """A file of the right type that its engine cannot read to the end."""


def read_whole(file: Path) -> bytes:
    """All bytes of a file that is never changed in place. Raises TableError."""
    try:
        return read_admin_file(file, LARGEST)
    except OSError as error:
        raise TableError(os_error("cannot read", file, error)) from error


def write_new(target: Path, parts: Iterable[bytes]) -> None:
    """Write the complete file at `target`, which does not exist, and sync it to the disk. Raises OSError."""
    with target.open("xb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def require_directory(file: Path, *, by_path: bool) -> None:
    """Raises TableError where there is no directory for the file, or root must not write in it."""
    try:
        found = file.parent.stat()
    except OSError as error:
        raise TableError(os_error("cannot use the directory of", file, error)) from error
    if not stat.S_ISDIR(found.st_mode):
        raise TableError(f"cannot use {file}: {file.parent} is not a directory; give another path")
    if os.geteuid() == 0:
        _refuse_root(file, by_path=by_path)


def _refuse_root(file: Path, *, by_path: bool) -> None:
    """Raises TableError where root would let an engine write by a name that another account controls.

    An engine opens its files by name and follows links. Our own code (`by_path` is false) creates files with O_EXCL and
    changes them by descriptor; that is safe in a directory of another account, but not below one.
    """
    found = controllers(file.with_name(file.name + ".tmp") if by_path else file.parent)
    if not found.uids and found.shared is None:
        return
    who = " and ".join(sorted(map(user_name, found.uids))) or "more users than root"
    where = found.shared or file.parent
    raise TableError(
        f"root does not write {file}, because {who} can replace files in {where}; set `user`, or move the table to a "
        f"directory that only root can write"
    )


def is_missing(file: Path) -> bool:
    """Whether there is no table yet (or an empty file). TableError for anything but a regular file."""
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
    """The result of `pairs`, called in a child process; it may wait `wait` seconds for the readers' lock.

    Raises what it raises (TableError), and DamagedError when the child crashes or does not finish.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks in a process with threads (socketmap has one); the child takes none of their locks.
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
    alternative: str,
) -> dict[str, bytes]:
    """Address -> value of the rows that are ours. TableError naming three others, unless `adopt` drops them.

    `address` gives the address that a key spells, if any; `alternative` is advice for the message.
    """
    rows: dict[str, bytes] = {}
    foreign = []
    for key, value in pairs:
        ip = address(key)
        # `ok\0` is what postmap writes, never pbs-fast or its predecessor: a table of the administrator's.
        if ip is not None and template.parse(value) is not None:
            rows[ip] = value
        else:
            foreign.append((key, value))
    if foreign and not adopt:
        shown = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in foreign[:3])
        raise TableError(
            f"{file} holds {len(foreign)} rows that are not ours ({shown}); {alternative}, or set "
            f"adopt = true to take the file over and drop them"
        )
    if foreign:
        log.warning("%s: adopted; dropped %d rows that are not ours", file, len(foreign))
    return rows


def _answer(writing: int, pairs: Callable[[], Pairs]) -> NoReturn:
    """In the child: read and send. It keeps none of the parent's signal handlers and descriptors (the table lock)."""
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
    """All data until the other end is closed; None when that takes too long."""
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
