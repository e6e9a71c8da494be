"""Where a table is served: `unix:PATH` or `inet:HOST:PORT`, as Postfix writes it, of a socketmap with `:MAP` behind it.

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
from collections.abc import Mapping
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

_INET = r"inet:(?P<host>\[[^\]]+\]|[^:\[]+):(?P<port>\d{1,5})"
_SOCKETMAP = re.compile(rf"(?:unix:(?P<path>[^:]+)|{_INET}):(?P<map>[^:\s]+)")
#: No comma, blank or brace in a path: in main.cf it is a word of a clause in braces.
_POLICY = re.compile(rf"(?:unix:(?P<path>[^:,\s{{}}]+)|{_INET})(?P<map>)")
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
    """The name by which the MTA asks a socketmap; else empty."""
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

    def find(self, listeners: Mapping[str, socket.socket]) -> str | None:
        """The name of the socket among these that listens here already."""
        return next((name for name, each in listeners.items() if self._is_at(each)), None)

    def _is_at(self, listener: socket.socket) -> bool:
        if (self.path is None) == (listener.family == socket.AF_UNIX):
            return False
        name = listener.getsockname()
        if self.path is not None:
            return os.path.realpath(str(name)) == os.path.realpath(self.path)
        return bool(name[1] == self.port and ipaddress.ip_address(name[0]) == ipaddress.ip_address(self.host))

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
        _require_stale(path)
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
    """The endpoint of a table that is served. Raises UsageError, naming the fault."""
    found = (_SOCKETMAP if spec.type == "socketmap" else _POLICY).fullmatch(spec.address)
    if found is None:
        rest = ":MAP" if spec.type == "socketmap" else ""
        raise UsageError(f"table {spec}: write {spec.type}:unix:PATH{rest} or {spec.type}:inet:HOST:PORT{rest}")
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


def _require_stale(path: Path) -> None:
    """Raises TableError if there is something else than a socket, or one on which another program listens."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise TableError(f"{path} is not a socket; move it away or give another path")
    # A socket unit's, when the daemon is started by hand: taken from it, Postfix would never reach the service again.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:  # so many wait there already
            pass
        except OSError:
            return
    raise TableError(f"another program listens on {path} (a socket unit?); stop it, or give another path")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
