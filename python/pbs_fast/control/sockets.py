"""The sockets `control` and `status`: handed over by systemd, else bound in `control.directory`.

One daemon a directory: the lock `control.owner` there is held for life, as that of a table. A daemon that gets no
sockets runs on without them; `Sockets.reason` says why.
"""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pbs_fast.control.client import CONTROL, STATUS
from pbs_fast.errors import TableError
from pbs_fast.tables.file.modes import set_group
from pbs_fast.tables.owner import OwnedError, TableLock
from pbs_fast.tables.served.endpoint import LONGEST_PATH, listen_unix
from pbs_fast.util.accounts import group_name

#: Who may ask for the status besides root and ourselves: those who may read the mail log, in Debian and its kin.
READERS = "adm"
_MODES = {CONTROL: 0o600, STATUS: 0o660}


class Sockets:
    """The listeners of one daemon, until `close`."""

    def __init__(self, listeners: Mapping[str, socket.socket], words: str, bound: Path | None = None) -> None:
        self.listeners = dict(listeners)
        """By name; empty where there are none."""
        self.words = words
        """Where they are, or why there are none and what to do, for our own log."""
        self._bound = bound
        self._lock: TableLock | None = None

    def hold(self, lock: TableLock) -> None:
        """Release this lock at the end."""
        self._lock = lock

    def close(self) -> None:
        """Remove the names of sockets that we bound. The listeners are closed by whoever serves them."""
        if self._bound is not None:
            for name in self.listeners:
                with suppress(OSError):
                    (self._bound / name).unlink()
        if self._lock is not None:
            self._lock.close()


def open_sockets(directory: Path, inherited: Mapping[str, socket.socket]) -> Sockets:
    """The sockets that systemd handed over, or else new ones in `directory`, which is made if its parent allows it."""
    handed = {name: inherited[name] for name in (CONTROL, STATUS) if name in inherited}
    if handed:
        places = {Path(str(listener.getsockname())).parent for listener in handed.values()}
        words = f"control sockets from systemd in {' and '.join(sorted(map(str, places)))}: {', '.join(handed)}"
        if places != {directory}:
            words += f"; commands look for them in {directory}: give control.directory and ListenStream= the same one"
        return Sockets(handed, words)
    why = f"no control sockets in {directory}, so status, why, revoke and the like do not reach this daemon"
    if len(os.fsencode(directory / CONTROL)) > LONGEST_PATH:
        return Sockets({}, f"{why}: the path is too long for a socket; set control.directory to a shorter one")
    try:
        directory.mkdir(mode=0o755, exist_ok=True)
        lock = TableLock(directory / CONTROL, patience=0)
    except OwnedError:
        return Sockets({}, f"{why}: another daemon uses it; set control.directory to one of its own")
    except (OSError, TableError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Sockets({}, f"{why}: {reason}; make it a directory of this account, or set control.directory to one")
    listeners: dict[str, socket.socket] = {}
    try:
        for name, mode in _MODES.items():
            listeners[name] = listen_unix(directory / name, mode, "", str(directory))
    except TableError as error:
        for listener in listeners.values():
            listener.close()
        lock.close()
        return Sockets({}, f"{why}: {error}")
    found = Sockets(listeners, f"control sockets in {directory}; status is for group {_readers(directory)}", directory)
    found.hold(lock)
    return found


def _readers(directory: Path) -> str:
    """Give the socket `status` to READERS, if this account may; the group that it has now."""
    path = directory / STATUS
    with suppress(KeyError, OSError):  # no such group, or we are not in it: then it stays with our own
        set_group(path, grp.getgrnam(READERS).gr_gid)
    return group_name(path.stat().st_gid)
