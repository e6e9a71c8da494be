"""The daemon's own log: lines of `Nov  2 03:04:05 text` appended to a file or written to standard output.

Invariants: one line stays one line whatever its text holds; once open, no failure to write ends the caller's work:
what could not be written is counted and said as soon as writing works again. No state outside the instance.
Imports errors only; must not import the configuration or anything of the pipeline.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

from pbs_fast.errors import LogError

STDOUT = "-"
#: C0, DEL and C1 (terminals obey those too), line and paragraph separators, surrogates of bytes that are no UTF-8.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: Our own log may name mail users: not for everyone (umask narrows it further).
_MODE = 0o640


class Log:
    """Our own log at one of three levels: debug (only when asked for), info (audit lines too), warning.

    `target` is a file's path, `-` for standard output, or None: then only warnings are written, to standard error,
    without a stamp, because systemd puts one before each line. Raises LogError when the file cannot be opened.
    """

    def __init__(self, target: str | None, *, debug: bool = False, clock: Callable[[], float] = time.time) -> None:
        self.informing = target is not None
        """True when info lines are written; ask before building a costly one."""
        self.debugging = debug and self.informing
        """The same of debug lines."""
        self.lost = 0
        """Lines that could not be written since the last that could."""
        self._target = target
        # The daemon changes its directory, and a reopen must find the same file again.
        self._path = None if target is None or target == STDOUT else os.path.abspath(target)  # noqa: PTH100
        self._clock = clock
        self._torn = False
        """True when the last write stopped inside a line."""
        self._descriptor = 2 if target is None else 1 if self._path is None else _open(self._path)

    def debug(self, text: str) -> None:
        """What was done with one address or line, and why."""
        if self.debugging:
            self._write(text)

    def info(self, text: str) -> None:
        """What an administrator wants to find later: start, stop, each grant and removal."""
        if self.informing:
            self._write(text)

    def warning(self, text: str) -> None:
        """What an administrator should know now."""
        self._write(text)

    def reopen(self) -> None:
        """Open the file anew, as after a rotation; when that fails, go on with the old one and say so in it."""
        if self._path is None:
            return
        try:
            fresh = _open(self._path)
        except LogError as error:
            self.warning(f"{error}; still writing to the file that was open before")
            return
        old, self._descriptor = self._descriptor, fresh
        self._torn = False
        os.close(old)

    def close(self) -> None:
        """Close the file; standard output and error stay open. Lines written afterwards are lost."""
        if self._path is not None and self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _write(self, text: str) -> None:
        if self.lost and self._put(f"{self.lost} lines of this log could not be written"):
            self.lost = 0
        if not self._put(text):
            self.lost += 1

    def _put(self, text: str) -> bool:
        stamp = "" if self._target is None else time.strftime("%b %e %T ", time.localtime(self._clock()))
        line = f"{stamp}{printable(text)}\n".encode()
        # A line that was cut off, on a full disk, must not become the beginning of the next.
        rest = memoryview(b"\n" + line if self._torn else line)
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                rest = rest[written:]
                self._torn = bool(rest)
        except OSError:
            return False
        return True


def printable(text: str) -> str:
    """The text as one line that no terminal obeys, what is unsafe as escapes."""
    return _UNSAFE.sub(_escaped, text)


def _open(path: str) -> int:
    # O_NONBLOCK matters to named pipes only: without a reader an error, when full a lost line, never a wait.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        return os.open(path, flags, _MODE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LogError(f"cannot open our own log {path} as uid {os.geteuid()}: {reason}") from error


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    # os.fsdecode and decode(errors="surrogateescape") put byte 0x80+n at U+DC80+n: show the byte.
    code = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
