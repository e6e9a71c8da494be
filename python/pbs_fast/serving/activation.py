"""Sockets that systemd listens on and hands over, by their names (sd_listen_fds(3), systemd.socket(5)).

A unit's `FileDescriptorName=` is the name. Such a socket belongs to systemd: whoever takes it neither renames nor
unlinks its path.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from pbs_fast.errors import PbsError

#: The first descriptor that is handed over: SD_LISTEN_FDS_START.
FIRST = 3
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def inherited(environment: MutableMapping[str, str] | None = None) -> dict[str, socket.socket]:
    """The listening stream sockets that this process was started with, by name, non-blocking and closed on exec.

    Their variables are removed from `environment` (by default the process's), so that no child takes them for its own
    and a second call finds none. Raises PbsError for a descriptor that is no such socket, and for a name that comes
    twice.
    """
    variables = os.environ if environment is None else environment
    pid, count, names = (variables.pop(name, "") for name in _VARIABLES)
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return {}
    found: dict[str, socket.socket] = {}
    given = names.split(":") if names else []
    for index in range(int(count)):
        name = given[index] if index < len(given) else "unknown"
        fault = _unusable(FIRST + index)
        if fault is None and name in found:
            fault = "a socket of the same name came before it; give each its own FileDescriptorName="
        if fault is not None:
            for each in found.values():
                each.close()
            raise PbsError(f"descriptor {FIRST + index} ({name}), from systemd: {fault}")
        os.set_inheritable(FIRST + index, False)
        found[name] = socket.socket(fileno=FIRST + index)
        found[name].setblocking(False)
    return found


def _unusable(fd: int) -> str | None:
    """Why the descriptor is no listening stream socket; None when it is one."""
    try:
        with socket.socket(fileno=os.dup(fd)) as looked_at:
            if looked_at.type != socket.SOCK_STREAM:
                return "not a stream socket; use ListenStream="
            if not looked_at.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return "not listening; use Accept=no"
    except OSError as error:
        return f"not a socket ({error.strerror})"
    return None
