"""Reads files that an administrator names: configuration, deny list, checkpoint, networks, rules; replaces a file.

A running daemon reads these again on SIGHUP, so a wrong name must neither hang it (a FIFO without a writer) nor fill
its memory (/dev/zero), and no content may end it. Callers turn OSError and TOMLDecodeError into their own one-line
errors; nothing else is raised.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

#: Longest text that an administrator writes, in bytes. A deny list of 100,000 addresses has 2 MB.
TEXT_LIMIT: Final = 8 << 20
#: Most parts of a dotted key. tomllib's time grows with their square: 8 MiB of them take days.
KEY_PARTS: Final = 32
_READ = 1 << 20
_NOT_REGULAR = "Not a regular file"

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*"""
#: Where a key can be: at the start of a line, in the brackets of a table's header, in an inline table. Anchored
#: there, so that this search itself is linear.
_LONG_KEY = re.compile(rf"(?:^[ \t]*\[?\[?|[{{,])[ \t]*(?:{_PART}){{{KEY_PARTS}}}", re.MULTILINE)


def read_admin_file(path: str | os.PathLike[str], limit: int = TEXT_LIMIT) -> bytes:
    """The bytes of a regular file of at most `limit` bytes; /dev/null reads as an empty one.

    Never waits for another program. Raises OSError only: for a file of another kind, for a larger one (EFBIG), and for
    a path that the system cannot have, `strerror` says so.
    """
    try:
        _require_regular(os.stat(path), path)  # noqa: PTH116 - opening some devices has effects (a watchdog, a tape)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # a NUL in the path
        raise OSError(errno.EINVAL, "no such path can be", os.fspath(path)) from error
    try:
        found = os.fstat(fd)
        _require_regular(found, path)
        if found.st_size > limit:
            raise _too_large(path, limit)
        # The size is no bound: a file of /proc has none, and another grows while it is read.
        parts: list[bytes] = []
        left = limit + 1
        while left and (data := os.read(fd, min(left, _READ))):
            parts.append(data)
            left -= len(data)
        if not left:
            raise _too_large(path, limit)
        return b"".join(parts)
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Make `path` a file with this content, on the disk, whole or not at all; `mode` is not cut by the umask.

    Raises OSError.
    A link there is replaced, not followed; what is neither a link nor a file stays (a device, a directory).
    """
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            raise OSError(errno.EINVAL, _NOT_REGULAR, os.fspath(path))
    fresh = path.with_name(f"{path.name}.tmp")
    try:
        fresh.unlink(missing_ok=True)  # of a run that was killed, or somebody's FIFO
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(fresh, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise


def parse_toml(text: str) -> dict[str, Any]:
    """The document of a TOML text. Raises TOMLDecodeError, whatever the text is.

    tomllib itself also raises RecursionError (nesting) and plain ValueError (a number of more than 4,300 digits).
    """
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise tomllib.TOMLDecodeError(f"A key of more than {KEY_PARTS} parts (at line {line}, column 1)")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("Nested too deeply (at end of document)") from None
    except ValueError as error:
        raise tomllib.TOMLDecodeError(f"{error} (at end of document)") from None


def _require_regular(found: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev:  # noqa: PTH116
        return
    number, text = (errno.EISDIR, "Is a directory") if stat.S_ISDIR(found.st_mode) else (errno.EINVAL, _NOT_REGULAR)
    raise OSError(number, text, os.fspath(path))


def _too_large(path: str | os.PathLike[str], limit: int) -> OSError:
    size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
    return OSError(errno.EFBIG, f"Larger than {size}", os.fspath(path))
