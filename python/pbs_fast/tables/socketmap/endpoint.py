"""Where a socketmap is served: `unix:PATH:MAP` or `inet:HOST:PORT:MAP`, as Postfix writes it; parsed and listened on.

A relative PATH is below Postfix's queue directory, where smtpd finds it with and without chroot. HOST is a loopback
address: the answers tell who may relay, and clients are not authenticated.
"""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.modes import set_group, set_mode
from pbs_fast.tables.registry import TableSpec

#: Postfix's queue_directory, unless the option `queue` names another.
QUEUE = "/var/spool/postfix"
#: Connections that may wait to be accepted: a hundred smtpds that start at once.
BACKLOG = 512

_ENDPOINT = re.compile(r"(?:unix:(?P<path>[^:]+)|inet:(?P<host>\[[^\]]+\]|[^:\[]+):(?P<port>\d{1,5})):(?P<map>[^:\s]+)")
#: Bytes of a socket's path: the kernel accepts 107, and it listens first as `.NAME.new`.
LONGEST_PATH = 107 - len(".new.")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to listen, checked."""

    spec: str
    path: Path | None
    """The socket's absolute path; None for TCP."""
    host: str
    port: int
    map: str
    """The name by which the MTA asks."""
    mode: int | None
    """Permissions of the socket; None if the option is not set."""
    group: str
    """The group of the socket; empty if the option is not set."""

    def listen(self, mode: int, group: str) -> socket.socket:
        """A listening socket, in place of a stale one. `mode` and `group` are defaults for the options.

        Hold the table lock of `path`. Raises TableError with the reason.
        """
        if self.path is None:
            return self._listen_tcp()
        return listen_unix(self.path, mode if self.mode is None else self.mode, self.group or group, self.spec)

    def _listen_tcp(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            raise TableError(f"cannot listen on {self.spec}: {error.strerror}; give another port") from error
        return listener


def listen_unix(path: Path, mode: int, group: str, what: str) -> socket.socket:
    """A socket that listens at `path`, in place of a stale one; its group is ours if `group` is empty.

    `what` names it in the message that there is no such group. Raises TableError with the reason.
    """
    # Listening before it gets its name, so that no client is refused.
    fresh = path.with_name(f".{path.name}.new")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _require_socket(path)
        fresh.unlink(missing_ok=True)
        listener.bind(os.fspath(fresh))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        if group:
            set_group(fresh, grp.getgrnam(group).gr_gid)
        set_mode(fresh, mode)
        fresh.rename(path)
    except (LookupError, OSError, TableError) as error:
        listener.close()
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, LookupError):
            raise TableError(f"{what}: there is no group {group}; set group= to an existing one") from None
        if isinstance(error, OSError):
            raise TableError(os_error("cannot listen on", path, error)) from error
        raise
    return listener


def parse(spec: TableSpec) -> Endpoint:
    """The endpoint of a socketmap table. Raises UsageError, naming the fault."""
    found = _ENDPOINT.fullmatch(spec.address)
    if found is None:
        raise UsageError(f"table {spec}: write socketmap:unix:PATH:MAP or socketmap:inet:HOST:PORT:MAP")
    path = None if found["path"] is None else Path(spec.option("queue", QUEUE), found["path"])
    host, port = (found["host"] or "").strip("[]"), int(found["port"] or 0)
    mode = spec.option("mode")
    if path is not None and not path.is_absolute():
        raise UsageError(f"table {spec}: queue={spec.option('queue')}: needs an absolute directory")
    if path is not None and len(os.fsencode(path)) > LONGEST_PATH:
        raise UsageError(f"table {spec}: {path} is too long for a socket; at most {LONGEST_PATH} bytes")
    if path is None and not _is_loopback(host):
        raise UsageError(f"table {spec}: {host} is not a loopback address; use 127.0.0.1 or [::1]")
    if path is None and not 0 < port < 65536:
        raise UsageError(f"table {spec}: there is no port {port}")
    if path is None and any(name in dict(spec.options) for name in ("mode", "group", "queue")):
        raise UsageError(f"table {spec}: mode, group and queue are for unix: sockets")
    if mode and not re.fullmatch("0?[0-7]{3}", mode):
        raise UsageError(f"table {spec}: mode={mode}: needs three octal digits, as in mode=0660")
    return Endpoint(str(spec), path, host, port, found["map"], int(mode, 8) if mode else None, spec.option("group"))


def _require_socket(path: Path) -> None:
    """Raises TableError if there is something else than a socket."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise TableError(f"{path} is not a socket; move it away or give another path")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
