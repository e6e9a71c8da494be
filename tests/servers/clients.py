"""What clients do at a server, and what may be said of it afterwards.

A `Deed` is one session: from which address, over what, as whom, whether the server took the login and how the session
ended. `Client.play` plays it and asserts that the server answered as the deed tells, so a deed that came back is true.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

from mta.netns import FOUR, SIX
from servers.stage import UNNAMED, USERS

if TYPE_CHECKING:
    from servers.stage import Stage

Protocol = Literal["imap", "pop3"]
#: In clear; from the first byte; after STARTTLS or STLS.
Over = Literal["clear", "tls", "starttls"]
#: The client says LOGOUT or QUIT; it closes the connection.
End = Literal["logout", "drop"]

PORTS: dict[tuple[Protocol, Over], int] = {
    ("imap", "clear"): 143,
    ("imap", "starttls"): 143,
    ("imap", "tls"): 993,
    ("pop3", "clear"): 110,
    ("pop3", "starttls"): 110,
    ("pop3", "tls"): 995,
}


@dataclass(frozen=True)
class Deed:
    """One session of one client."""

    protocol: Protocol
    client: str
    user: str | None
    """The name that was sent, None where the client did not try."""
    taken: bool
    end: End
    over: Over = "clear"

    @property
    def port(self) -> int:
        return PORTS[self.protocol, self.over]


def deeds(
    protocols: Sequence[Protocol] = ("imap", "pop3"),
    overs: Sequence[Over] = ("clear", "tls", "starttls"),
    *,
    v6: bool = True,
) -> list[Deed]:
    """Each protocol over each of these, by IPv4 and IPv6: true logins that end both ways, refused ones, none at all.

    Each has a user and an address of its own, so each line tells whose it is; the first addresses have a reverse name.
    """
    four = iter([FOUR, *(each for each in UNNAMED if ":" not in each)])
    six = iter([SIX, *(each for each in UNNAMED if ":" in each)])
    users = iter(USERS)
    made = []
    for protocol in protocols:
        for over in overs:
            for addresses in (four, six) if v6 else (four,):
                made.append(Deed(protocol, next(addresses), next(users), True, "logout", over))
                made.append(Deed(protocol, next(addresses), next(users), True, "drop", over))
                if over != "starttls":
                    made.append(Deed(protocol, next(addresses), next(users), False, "drop", over))
            if over != "starttls":
                made.append(Deed(protocol, next(four), None, False, "logout", over))
    return made


class Client:
    """One connection. AssertionError where the server does not answer as it should."""

    def __init__(self, connected: socket.socket, deed: Deed) -> None:
        self._deed = deed
        self._tags = iter(range(1, 100))
        self._use(connected)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        if self._deed.over == "tls":
            self._wrap()
        self._greeting()
        if self._deed.over == "starttls":
            assert self._says("STARTTLS" if self._deed.protocol == "imap" else "STLS"), f"{self._deed}: no TLS"
            self._wrap()

    @classmethod
    def play(cls, stage: Stage, deed: Deed) -> None:
        """The whole session; returns when the server has ended it, or the client has."""
        client = cls(stage.connect(deed.client, deed.port), deed)
        try:
            if deed.user is not None:
                taken = client.login(deed.user, USERS[deed.user] if deed.taken else "wrong")
                assert taken == deed.taken, f"{deed}: login {'taken' if taken else 'refused'}"
            if deed.end == "logout":
                client.logout()
        finally:
            client.close()

    def login(self, user: str, password: str) -> bool:
        """Log in with plain text; whether it was taken."""
        if self._deed.protocol == "imap":
            return self._says(f"LOGIN {user} {password}")
        return self._says(f"USER {user}") and self._says(f"PASS {password}")

    def logout(self) -> None:
        """End the session as clients do, and wait until the server closed."""
        assert self._says("LOGOUT" if self._deed.protocol == "imap" else "QUIT")
        self._file.read()

    def close(self) -> None:
        """Drop the connection; does nothing to one that is closed."""
        self._file.close()
        self._socket.close()

    def _use(self, connected: socket.socket) -> None:
        self._socket = connected
        self._file: BinaryIO = connected.makefile("rb")

    def _wrap(self) -> None:
        self._file.close()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._use(context.wrap_socket(self._socket, suppress_ragged_eofs=True))

    def _greeting(self) -> None:
        line = self._line()
        assert line.startswith("* OK" if self._deed.protocol == "imap" else "+OK"), f"{self._deed}: {line}"

    def _says(self, command: str) -> bool:
        if self._deed.protocol == "pop3":
            self._socket.sendall(f"{command}\r\n".encode())
            return self._line().startswith("+OK")
        tag = f"a{next(self._tags)}"
        self._socket.sendall(f"{tag} {command}\r\n".encode())
        return next(line for line in self._lines() if line.startswith(f"{tag} ")).startswith(f"{tag} OK")

    def _lines(self) -> Iterator[str]:
        while True:
            yield self._line()

    def _line(self) -> str:
        line = self._file.readline()
        assert line, f"{self._deed}: the server closed the connection"
        return line.decode("utf-8", "replace").rstrip("\r\n")
