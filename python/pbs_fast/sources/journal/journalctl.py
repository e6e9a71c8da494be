"""One run of journalctl: the command line, and its output as it comes, without waiting.

Why journalctl and no binding of libsystemd: it reads the files of every version of its own system, takes rotation,
vacuum, compression and damaged files upon itself, and when it dies of one, or leaks descriptors, the daemon is not the
one that does: it starts another from the last cursor. It is there wherever there is a journal and needs nothing to be
built. Imports errors.
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
#: Bytes of a read.
_CHUNK = 65_536
#: Bytes of its pipe, so that journalctl reads ahead while we work; it writes 4 KiB at a time.
_PIPE = 1_048_576
#: Bytes kept of what it says.
_SAID = 2_000
#: Seconds from the end of its output to its own end.
_LEAVING = 0.5


#: Follow, and all boots: --follow alone means the present boot, or the newest in a directory, where others, of other
#: machines, go on. Which of the two options says so differs between versions 250 and 257; together all take them.
FOLLOW = ("--follow", "--merge", "--boot=all")


def command(files: Sequence[str], fields: Iterable[bytes], *more: str, matches: Sequence[str] = ()) -> list[str]:
    """A command line for `files` (`journal_files.options`), all entries that fit `matches`, with the named fields.

    Raises SourceError when there are no files: without any it would read other machines' too.
    """
    names = ",".join(name.decode() for name in fields if not name.startswith(b"__"))
    if not files:
        raise SourceError("the journal is gone")
    # Without --no-tail, --follow begins at the tenth entry from the end.
    return [PROGRAM, "--quiet", "--no-tail", "--output=export", f"--output-fields={names}", *files, *more, *matches]


def require_program() -> None:
    """Raises SourceError where there is no journalctl."""
    if shutil.which(PROGRAM) is None:
        raise _cannot_run("not found in PATH")


class Child:
    """journalctl at work. Raises SourceError when it cannot be started."""

    def __init__(self, arguments: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - arguments, no shell; values are parts of KEY=VALUE
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                # Its words in English; its own group, so that a Ctrl-C at the terminal stops us first.
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
        with suppress(OSError):  # a matter of speed: an account may have no more of such memory
            fcntl.fcntl(self._out.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
        self._text = b""
        self._ended = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._out.fileno()

    def read(self) -> bytes | None:
        """What it wrote since; None when that is nothing, b"" when it writes no more."""
        self._listen()
        try:
            data = os.read(self._out.fileno(), _CHUNK)
        except BlockingIOError:
            return None
        self._ended = not data
        return data

    @property
    def said(self) -> str:
        """Its last line of complaint; empty when it made none."""
        self._listen()
        lines = self._text.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> int:
        """End it; its exit status, negative for a signal (-9 where we ended it)."""
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
