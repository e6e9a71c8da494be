"""A network of its own for one server: a namespace whose loopback device has the addresses of the clients.

Servers that have no XCLIENT know a client by its connection alone, so the tests' clients connect from the very
addresses that stand in the table. What happens here reaches no other network.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import smtplib
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from mta import private_directory, unavailable
from mta.first_process import start_first

#: The server's address, and the clients': each is an address of the namespace.
SERVER, SERVER6 = "192.0.2.1", "2001:db8::25"
FOUR, SIX = "203.0.113.5", "2001:db8::a:0:0:b"
OTHER, OTHER6 = "203.0.113.50", "2001:db8::a"
NEAR = "203.0.113.6"
ADDRESSES = (SERVER, SERVER6, FOUR, SIX, OTHER, OTHER6, NEAR)
#: The name of the host in there: Sendmail sleeps a minute where a name has no dot.
HOST = "mx.here.test"

_CLONE_NEWNET = 0x40000000


class Reply(NamedTuple):
    """What the server answered to RCPT."""

    code: int
    text: str


class Namespace:
    """The namespace lives as long as its first process; `command` puts a command into it."""

    def __init__(self) -> None:
        for tool in ("unshare", "nsenter", "ip", "hostname"):
            if shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
                unavailable(f"a network namespace needs {tool}")
        if os.geteuid() != 0:
            unavailable("a network namespace needs root")
        self._files = private_directory("netns")
        names = [f"{each} host-{number}.clients.test\n" for number, each in enumerate(ADDRESSES)]
        (self._files / "hosts").write_text(f"127.0.0.1 localhost\n{SERVER} {HOST}\n" + "".join(names))
        (self._files / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\nservices: files\n")
        script = [f"hostname {HOST}", "ip link set lo up"]
        # No name server is asked, or each refusal would wait for one that is not there.
        script += [f"mount --bind {file} /etc/{file.name}" for file in sorted(self._files.iterdir())]
        for each in ADDRESSES:
            script.append(f"ip address add {each}/{'128 nodad' if ':' in each else 32} dev lo")
        script.append("echo up && exec cat")
        self._first = start_first(
            ["unshare", "--net", "--uts", "--mount", "--propagation=private", "sh", "-c", " && ".join(script)],
            "network namespace",
            place=self._files,
        )

    @property
    def pid(self) -> int:
        """The first process in there."""
        return self._first.pid

    def command(self, words: Sequence[str | os.PathLike[str]]) -> list[str]:
        """What runs these words in there; mounts made there are seen by all such commands."""
        pid = str(self._first.pid)
        return ["nsenter", "--target", pid, "--net", "--uts", "--mount", "--", *(os.fspath(word) for word in words)]

    def run(
        self, *words: str | os.PathLike[str], text: str = "", seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(words), input=text, capture_output=True, text=True, check=False, timeout=seconds
        )

    def connect(self, source: str, port: int, *, seconds: float = 60) -> socket.socket:
        """A connection to the server from this address. OSError when it is refused."""
        made: list[socket.socket | OSError] = []

        def connect() -> None:
            # A thread of its own changes its namespace and ends; the socket stays of that namespace.
            namespace = os.open(f"/proc/{self._first.pid}/ns/net", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
                target = (SERVER6 if ":" in source else SERVER, port)
                made.append(socket.create_connection(target, seconds, (source, 0)))
            except OSError as error:
                made.append(error)
            finally:
                os.close(namespace)

        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def answers(self, port: int) -> bool:
        """Whether a server greets there."""
        try:
            with self.session(OTHER, port, mail=False):
                return True
        except (OSError, smtplib.SMTPException):
            return False

    def session(self, source: str, port: int, *, mail: bool = True) -> Session:
        """An SMTP session from this address; MAIL is sent, RCPTs follow."""
        return Session(self, source, port, mail)

    def close(self) -> None:
        """End the namespace; what still runs there was started by the caller, who ends it."""
        self._first.communicate()
        shutil.rmtree(self._files)


class _Smtp(smtplib.SMTP):
    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        super().__init__("server", timeout=20, local_hostname="client.test")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del host, port, timeout
        return self._connected


class Session:
    """One connection; RCPT after RCPT."""

    def __init__(self, namespace: Namespace, source: str, port: int, mail: bool) -> None:
        self._smtp = _Smtp(namespace.connect(source, port))
        if mail:
            self._smtp.ehlo()
            code, text = self._smtp.mail("user@here.test")
            if code != 250:
                raise AssertionError(f"MAIL from {source}: {code} {text!r}")

    def rcpt(self, recipient: str) -> Reply:
        """One more RCPT in this session."""
        code, text = self._smtp.rcpt(recipient)
        return Reply(code, text.decode("ascii", "replace"))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._smtp.quit()
        except (smtplib.SMTPException, OSError):
            self._smtp.close()


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A namespace, ended at the end."""
    made = Namespace()
    try:
        yield made
    finally:
        made.close()
