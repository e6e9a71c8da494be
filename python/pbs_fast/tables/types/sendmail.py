"""`sendmail:`, a map of Sendmail's (`Kpopauth hash PATH`): Berkeley DB, changed in place under the lock that it takes.

Measured with Debian's Sendmail 8.17.1 (flock): each connection's process opens the map itself, so a new connection sees
every change, in place or renamed. At each look-up the process compares the modification time of the file that it has
open, and reopens the map if that is a later whole second. So
- a change in place, which sets a later second under the lock, is seen by the next RCPT of a session already open;
- after a rename the session would keep the old file until it ends; so the old file is given the later second too.

Keys are the client's address as Sendmail spells it, in lower case, behind a tag if the rule set has one.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.file.mtimes import SLOPE, AheadTimes
from pbs_fast.tables.file.notify import NotifyingTable
from pbs_fast.tables.keys import sendmail, sendmail_address, sendmail_short
from pbs_fast.tables.locks import locked
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.types.hash import HashTable
from pbs_fast.util.admin_files import read_admin_file

#: The group that may read a map whose values name users.
GROUP = "smmsp"
#: The default tag of contributed rule sets named popauth.
POP_TAG = "pop:"
#: Least time between two signals, in seconds: at each one Sendmail executes itself anew, which takes 60 ms and resets
#: connections that are waiting to be accepted (measured).
SIGNAL_WINDOW = 5.0
#: Longest pid file, in bytes: Sendmail writes its number and its command line.
_PID_FILE = 16_384

_TAG = re.compile(r"(?:[A-Za-z][A-Za-z0-9_-]{0,30}:)?")


class SendmailTable(NotifyingTable, HashTable):
    """A `hash:` with Sendmail's keys and lock, which may signal the daemon."""

    def __init__(self, spec: TableSpec, options: TableOptions, lock: TableLock | None = None) -> None:
        """As FileTable. Raises UsageError for a bad tag or pid file."""
        _tag(spec)
        self._pid_file = spec.option("signal")
        if "signal" in dict(spec.options) and not self._pid_file.startswith("/"):
            raise UsageError(f"table {spec}: signal={self._pid_file}: needs the absolute path of Sendmail's pid file")
        self._lock_kind = "fcntl" if spec.option("lock") == "fcntl" else "flock"
        super().__init__(spec, replace(options, group=GROUP), lock)

    @property
    def window(self) -> float:
        return max(super().window, SIGNAL_WINDOW if self._pid_file else 0.0)

    @classmethod
    def address(cls, spec: TableSpec, key: bytes) -> str | None:
        text = key.decode("latin-1")
        # The option may have changed since the row was written.
        for tag in {_tag(spec), "", POP_TAG}:
            if text.startswith(tag) and (ip := sendmail_address(text[len(tag) :])) is not None:
                return ip
        return None

    @classmethod
    def _lock_once_open(cls, file: Path, fd: int, wait: float) -> AbstractContextManager[None]:
        # The file does not show which lock its writer takes, so take both; this one only now, because the engine opens
        # and closes the file, which drops an fcntl lock already held.
        return locked(fd, "fcntl", shared=True, wait=wait, file=file)

    def _spelling(self, spec: TableSpec) -> Callable[[str], str] | None:
        tag, spell = _tag(spec), sendmail_short if spec.option("ipv6") == "short" else sendmail
        return lambda ip: tag + spell(ip)

    @property
    def _renamed(self) -> bool:
        return False

    def _modification_times(self, spec: TableSpec) -> AheadTimes:
        # Not in the past: a session that sees the current time, which each write sets for a moment, would never find a
        # later one.
        del spec
        return AheadTimes(self._options.clock, slope=SLOPE)

    def _install(self, target: Path) -> None:
        try:
            old = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            super()._install(target)
            return
        try:
            mtime = target.stat(follow_symlinks=False).st_mtime_ns
            super()._install(target)
            os.utime(old, ns=(mtime, mtime))
        finally:
            os.close(old)

    def _notifies(self) -> bool:
        return bool(self._pid_file)

    def _notify(self) -> None:
        """Send SIGHUP. A Sendmail that is not running reads the map when it starts."""
        try:
            pid = int(read_admin_file(self._pid_file, _PID_FILE).decode("ascii").partition("\n")[0])
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise TableError(f"{self._spec}: cannot read Sendmail's pid from {self._pid_file}: {error}") from error
        if not name.startswith("sendmail"):
            raise TableError(
                f"{self._spec}: process {pid} from {self._pid_file} is {name!r}, not Sendmail; fix signal="
            )
        try:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)
        except PermissionError as error:
            raise TableError(
                f"{self._spec}: no permission to signal Sendmail (process {pid}); run as root, or remove signal="
            ) from error


def _tag(spec: TableSpec) -> str:
    """The option `tag` in lower case, as maps fold it. Raises UsageError."""
    tag = spec.option("tag")
    if not _TAG.fullmatch(tag):
        raise UsageError(f"table {spec}: tag={tag}: needs a word and a colon, as in tag=POP:, or nothing")
    return tag.lower()
