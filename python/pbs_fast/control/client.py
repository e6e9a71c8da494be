"""Asking a running daemon: one function for one reply, one for streams. Imports nothing of the daemon.

    status = ask(socket_of(directory, Status()), Status())
    for page in stream(socket_of(directory, List()), List()): ...

Errors are one line each: `NotRunningError`, `NoRightError`, `OlderDaemonError`, `SilentError` (all ControlError), and
`AnsweredError` for an error that the daemon answered.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from pbs_fast.control.protocol import List, Refusals, Request, Watch
from pbs_fast.control.replies import Event
from pbs_fast.control.wire import encode_request
from pbs_fast.errors import PbsError
from pbs_fast.util.accounts import group_name

R = TypeVar("R")

#: The sockets' names in `[control] directory`.
CONTROL = "control"
STATUS = "status"
#: Seconds that a reply may take by default. A daemon answers within milliseconds, or a few seconds in a start.
PATIENCE = 10.0

_ID = 1
_READ = 256 << 10


class ControlError(PbsError):
    """The daemon cannot be asked."""


class NotRunningError(ControlError):
    """Nobody listens on the socket."""


class NoRightError(ControlError):
    """This account may not use the socket, or not for this."""


class OlderDaemonError(ControlError):
    """The daemon does not know the request."""


class SilentError(ControlError):
    """No reply came in time: the loop hangs, or is in a long start. `ping` tells."""


class AnsweredError(ControlError):
    """The daemon answered with an error; `code` is one of `protocol.Code`, `guard` names the guard of `refused`."""

    def __init__(self, text: str, code: str, guard: str | None) -> None:
        super().__init__(text)
        self.code = code
        self.guard = guard


@dataclass(frozen=True, slots=True)
class Lost:
    """Events that a slow watcher did not get."""

    count: int


def socket_of(directory: str | Path, request: Request[Any]) -> Path:
    """The socket for a request: `control` for changes, `status` for all else."""
    return Path(directory, CONTROL if request.changes else STATUS)


def ask(path: str | Path, request: Request[R], *, patience: float = PATIENCE) -> R:
    """The reply to one request. `patience` in seconds. Raises ControlError."""
    with closing(_Connection(Path(path), request, patience)) as connection:
        return cast("R", connection.ok(connection.message()))


def stream(path: str | Path, request: Request[R], *, patience: float = PATIENCE) -> Iterator[R]:
    """The pages of `List` or `Refusals`, each within `patience` seconds. Raises ControlError."""
    if not isinstance(request, List | Refusals):
        raise TypeError(request)
    with closing(_Connection(Path(path), request, patience)) as connection:
        while True:
            page = connection.ok(connection.message())
            yield cast("R", page)
            if not page.get("more"):
                return


def watch(path: str | Path, request: Watch, *, patience: float = PATIENCE) -> Iterator[Event | Lost]:
    """Events as they come, and Lost where some were dropped; ends when the daemon does. `patience` is for the daemon's
    first reply only. Raises ControlError."""
    with closing(_Connection(Path(path), request, patience)) as connection:
        connection.ok(connection.message())
        connection.wait_for_ever()
        while (message := connection.next_message()) is not None:
            if "event" in message:
                yield cast("Event", message["event"])
            elif "lost" in message:
                yield Lost(int(message["lost"]))
            else:
                connection.ok(message)


class _Connection:
    def __init__(self, path: Path, request: Request[Any], patience: float) -> None:
        self._path = path
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(str(path))
            self._socket.sendall(encode_request(_ID, request))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have written why
        except OSError as fault:
            self._socket.close()
            raise self._unreachable(fault) from None
        except ValueError:  # NUL in the path
            self._socket.close()
            raise ControlError(f"{path}: is not a path of a socket; correct control.directory") from None

    def close(self) -> None:
        self._socket.close()

    def wait_for_ever(self) -> None:
        self._socket.settimeout(None)

    def message(self) -> dict[str, Any]:
        """The next message; raises ControlError when the daemon closes instead."""
        found = self.next_message()
        if found is None:
            raise NotRunningError(f"the daemon closed {self._path} without an answer; see its log, and try again")
        return found

    def next_message(self) -> dict[str, Any] | None:
        """The next message, None at the end."""
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(_READ)
            except TimeoutError:
                raise SilentError(
                    f"the daemon at {self._path} does not answer; `pbs-fast status` tells whether its loop turns"
                ) from None
            except ConnectionResetError:
                return None
            except OSError as fault:
                raise self._unreachable(fault) from None
            if not data:
                return None
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\n")
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ControlError(f"{self._path}: not pbs-fast's control socket: its answer is not a JSON object")
        return record

    def ok(self, message: dict[str, Any]) -> dict[str, Any]:
        """What a message answers; raises the error that it carries."""
        if isinstance(found := message.get("ok"), dict):
            return found
        fault = message.get("error")
        if not isinstance(fault, dict):
            raise ControlError(f"{self._path}: the answer is neither ok nor an error; restart pbs-fast after an update")
        text, code = str(fault.get("text")), str(fault.get("code"))
        if code == "bad_request":
            raise OlderDaemonError(
                f"the running daemon does not know this request ({text}): it has another version than this command; "
                "restart pbs-fast"
            )
        if code == "denied":
            raise NoRightError(text)
        raise AnsweredError(text, code, fault.get("guard"))

    def _unreachable(self, fault: OSError) -> ControlError:
        path = self._path
        if fault.errno in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED):
            return NotRunningError(
                f"no daemon listens on {path}; start pbs-fast; if it runs, give its configuration (--config), whose "
                "control.directory names the socket"
            )
        if fault.errno in (errno.EACCES, errno.EPERM):
            who = "root or the daemon's account" if path.name == CONTROL else f"root, or a member of {_group(path)}"
            return NoRightError(f"{path}: permission denied; run this as {who}")
        if isinstance(fault, TimeoutError) or fault.errno == errno.EAGAIN:
            return SilentError(f"the daemon at {path} takes no further connection; try again")
        return ControlError(f"cannot connect to {path}: {fault.strerror or fault}; see control.directory")


def _group(path: Path) -> str:
    """The group of a socket, which cannot be seen in a directory that is closed to us."""
    try:
        return f"the socket's group ({group_name(path.stat().st_gid)})"
    except OSError:
        return "the socket's group"
