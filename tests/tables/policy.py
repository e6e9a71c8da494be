"""What plays Postfix and the caps for the tests of `policy:`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from pbs_fast.caps.decision import Verdict

RCPT = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": "", "instance": "1.2.3"}


class Client:
    """One smtpd's connection."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(os.fspath(path))
        self._read = b""

    def ask(self, client_address: str, **attributes: str) -> str:
        """The action for one recipient, or with `protocol_state` for another command."""
        self.send(request(client_address, **attributes))
        return self.reply()

    def data(self, client_address: str, **attributes: str) -> str:
        return self.ask(client_address, protocol_state="DATA", **attributes)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> str:
        while b"\n\n" not in self._read:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError
            self._read += data
        reply, _, self._read = self._read.partition(b"\n\n")
        assert reply.startswith(b"action=")
        return reply[7:].decode("ascii")

    def is_closed(self, seconds: float = 60) -> bool:
        """Whether the server closes the connection within that time, without another answer."""
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True


def request(client_address: str, **attributes: str) -> bytes:
    """As smtpd writes it."""
    found = {**RCPT, "client_address": client_address, **attributes}
    return "".join(f"{name}={value}\n" for name, value in found.items()).encode() + b"\n"


class Limit:
    """Lets so many recipients of each user pass; what it was asked and told."""

    def __init__(self, limit: int = 1_000_000, kind: str = "over") -> None:
        self._limit, self._kind = limit, kind
        self.holds = kind == "hold"
        self.counted: list[tuple[str | None, str, str, str, bool]] = []
        self.noted: list[tuple[str | None, str, str, str]] = []
        self.fault: Exception | None = None

    def count(
        self, user: str | None, address: str, instance: str, queue_id: str, now: float, *, new_message: bool
    ) -> Verdict:
        assert now > 1_000_000_000
        if self.fault is not None:
            raise self.fault
        used = sum(each[0] == user for each in self.counted)
        over = used >= self._limit
        if not over or self._kind != "over":
            self.counted.append((user, address, instance, queue_id, new_message))
        if not over:
            return Verdict("ok")
        text = f"{used} of {self._limit} recipients in an hour"
        return Verdict(self._kind, text, f"user {self._limit}/1h")  # type: ignore[arg-type]

    def queued(self, user: str | None, address: str, instance: str, queue_id: str, now: float) -> None:
        assert now > 1_000_000_000
        self.noted.append((user, address, instance, queue_id))
