"""Who is at the other end of a connection, and may they do this? (SECURITY.md, Control)

On `control` only root and our own account are answered, whatever the file's mode says; on `status` the file's mode
decides who connects, and it only reads. In a service with PrivateUsers=yes root is still 0 and we are still ourselves;
everybody else appears as the overflow uid (user_namespaces(7)), so names of groups cannot be asked for.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any, NamedTuple

from pbs_fast.control.protocol import Request, RequestError
from pbs_fast.util.accounts import user_name

_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class Peer(NamedTuple):
    """One client."""

    pid: int
    uid: int
    on_control: bool
    """It came through the socket `control`."""


def peer_of(connection: socket.socket, *, on_control: bool) -> Peer:
    """Who connected. Raises OSError."""
    pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid, on_control)


def check(peer: Peer, request: Request[Any]) -> None:
    """Raise RequestError (`denied`) unless the peer may make this request."""
    if not peer.on_control:
        if request.changes:
            raise RequestError("denied", f"{request.do} is not allowed on the socket status; use the socket control")
        return
    if peer.uid == 0 or (peer.uid == os.geteuid() and peer.uid != _overflow_uid()):
        return
    if peer.uid == os.geteuid():
        text = (
            f"{request.do} needs root: uid {peer.uid} is never trusted, because it may be any account of another user "
            "namespace; run the daemon as an account of its own"
        )
    else:
        text = f"{request.do} needs root or the account {user_name(os.geteuid())}; you are uid {peer.uid}"
    raise RequestError("denied", text)


def _overflow_uid() -> int:
    """The uid of everybody whom this user namespace does not know: they are not us, even if we have the same one."""
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return 65534
