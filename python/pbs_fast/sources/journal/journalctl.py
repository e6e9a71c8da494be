"""One run of journalctl: the command line, and its output as it comes, without waiting.

Why journalctl and not libsystemd: it reads the journal files of its system's version and handles rotation, vacuum,
compression and damaged files. If it crashes or leaks descriptors, the daemon survives and restarts it at the last
cursor. It is installed wherever there is a journal, and nothing must be compiled.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress

from pbs_fast.errors import SourceError

PROGRAM = "journalctl"
#: Bytes per read.
_CHUNK = 65_536
#: Capacity of its pipe in bytes, so that journalctl reads ahead while we work; it writes 4 KiB at a time.
_PIPE = 1_048_576
#: Bytes kept of its error output.
_SAID = 2_000
#: Seconds it may take to exit after the end of its output.
_LEAVING = 0.5

#: Follow, and all boots: --follow alone means the present boot, or the newest in a directory, where journals of other
#: machines may be still written. Which of the two options does that differs between versions 250 and 257.
FOLLOW = ("--follow", "--merge", "--boot=all")


def command(files: Sequence[str], fields: Iterable[bytes], *more: str, matches: Sequence[str] = ()) -> list[str]:
    """A command line for `files` (`files.options`), all entries that match `matches`, with the named fields.

    Raises SourceError without files: journalctl would then read other machines' journals too.
    """
    names = ",".join(name.decode() for name in fields if not name.startswith(b"__"))
    if not files:
        raise SourceError("the journal is gone")
    # Without --no-tail, --follow begins at the tenth entry from the end.
    return [PROGRAM, "--quiet", "--no-tail", "--output=export", f"--output-fields={names}", *files, *more, *matches]


def require_program() -> None:
    """Raises SourceError if journalctl is not installed."""
    if shutil.which(PROGRAM) is None:
        raise _cannot_run("not found in PATH")


class Child:
    """A running journalctl. Raises SourceError if it cannot be started."""

    def __init__(self, arguments: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - arguments, no shell; values are parts of KEY=VALUE
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                # English messages; its own process group, so that Ctrl-C at the terminal stops us first.
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                process_group=0,
            )
        except OSError as error:
            raise _cannot_run(error.strerror or str(error)) from error
        if self._process.stdout is None or self._process.stderr is None:  # asked for above
            raise AssertionError
        self._out, self._err = self._process.stdout, self._process.stderr
        os.set_blocking(self._out.fileno(), False)
        os.set_blocking(self._err.fileno(), False)
        with suppress(OSError):  # only for speed: fs.pipe-user-pages-soft may forbid it
            fcntl.fcntl(self._out.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
        self._text = b""
        self._ended = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._out.fileno()

    def read(self) -> bytes | None:
        """Its new output; None if there is none yet, b"" at the end."""
        self._listen()
        try:
            data = os.read(self._out.fileno(), _CHUNK)
        except BlockingIOError:
            return None
        self._ended = not data
        return data

    @property
    def said(self) -> str:
        """The last line of its error output, or an empty text."""
        self._listen()
        lines = self._text.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> int:
        """Stop it and return its exit status, negative for a signal (-9 if we killed it)."""
        if self._ended:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LEAVING)
        if self._process.poll() is None:
            self._process.kill()
        status = self._process.wait()
        self._listen()
        self._out.close()
        self._err.close()
        return status

    def _listen(self) -> None:
        with suppress(BlockingIOError, ValueError):
            while part := os.read(self._err.fileno(), _CHUNK):
                self._text = (self._text + part)[-_SAID:]


def _cannot_run(reason: str) -> SourceError:
    return SourceError(
        f"the journal is read with {PROGRAM}, which cannot be run ({reason}); install it, it is part of systemd, or"
        " name a log with --watchlog=FILE"
    )
