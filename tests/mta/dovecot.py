"""A private Dovecot (2.3) whose clients come from any address, by the PROXY protocol, over IMAP and POP3.

Everything lies in one temporary directory. The log is Dovecot's own (`layout="own"`) or what a syslog daemon would
write (`layout="syslog"`): then Dovecot runs in a mount namespace whose /dev/log is ours, so its syslog lines are real.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from mta import free_port, private_directory, require, unavailable, wait_for
from mta.syslog import PRIVATE_DEV, Syslog

Protocol = Literal["imap", "pop3"]
Layout = Literal["own", "syslog"]

#: What a client finds at the server when the PROXY header names nobody else.
SERVER = {4: "192.0.2.1", 6: "2001:db8::ffff"}

_VERSION = re.compile(r"^(\d+)\.(\d+)")

#: In a namespace of its own.
_UNSHARED = f"""
set -e
mount --make-rprivate /
{PRIVATE_DEV}
shift 2
exec "$@"
"""


def require_dovecot() -> None:
    """Skip (or fail under CI) where Dovecot 2.3 or root is missing."""
    program = require("dovecot", "Dovecot")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = _VERSION.match(version)
    if found is None or (int(found[1]), int(found[2])) != (2, 3):
        unavailable(f"this Dovecot is {version.split()[0] if version else 'of no version'}; these tests configure 2.3")


class Client:
    """One IMAP or POP3 connection from an address of our choice."""

    def __init__(self, protocol: Protocol, port: int, client: str, *, timeout: float = 60) -> None:
        self._protocol = protocol
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._file: BinaryIO = self._socket.makefile("rb")
        self._socket.sendall(proxy_header(client))
        self.greeting = self._line()

    def login(self, user: str, password: str) -> bool:
        """Log in with plain text; whether it was taken."""
        if self._protocol == "imap":
            return self._imap("a", f"LOGIN {_quoted(user)} {_quoted(password)}")
        return self._pop(f"USER {user}") and self._pop(f"PASS {password}")

    def logout(self) -> None:
        """End the session as clients do, and wait until the server closed."""
        if self._protocol == "imap":
            self._imap("z", "LOGOUT")
        else:
            self._pop("QUIT")
        self._file.read()
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        self._file.close()
        self._socket.close()

    def _imap(self, tag: str, command: str) -> bool:
        self._socket.sendall(f"{tag} {command}\r\n".encode())
        while True:
            line = self._line()
            if line.startswith(f"{tag} "):
                return line.startswith(f"{tag} OK")

    def _pop(self, command: str) -> bool:
        self._socket.sendall(f"{command}\r\n".encode())
        return self._line().startswith("+OK")

    def _line(self) -> str:
        line = self._file.readline()
        if not line:
            raise AssertionError("Dovecot closed the connection")
        return line.decode("utf-8", "replace").rstrip("\r\n")


def proxy_header(client: str) -> bytes:
    """A PROXY v1 header: the connection comes from this address."""
    family, server = ("TCP6", SERVER[6]) if ":" in client else ("TCP4", SERVER[4])
    return f"PROXY {family} {client} {server} 40000 143\r\n".encode()


class Dovecot:
    """One instance. Use `start` and `stop`, or the context manager `running`."""

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        layout: Layout = "own",
        log: Path | None = None,
        settings: str = "",
    ) -> None:
        """`users` maps names to passwords. `log` is the file that is written, else one in the instance's directory.

        `settings` are further lines of the configuration, or others for what stands there.
        """
        self._program = require("dovecot", "Dovecot")
        self.directory = private_directory("dovecot")
        self.users = dict(users or {"ann@here.test": "secret", "bob": "secret"})
        self.layout = layout
        self.log = log or self.directory / "mail.log"
        self.ports: dict[Protocol, int] = {"imap": free_port(), "pop3": free_port()}
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._syslog = Syslog(self.directory / "dev-log", self.log) if layout == "syslog" else None
        self._write()

    def start(self) -> None:
        """Start the master and wait until both services greet."""
        if self._syslog is not None:
            self._syslog.start()
        self._start()

    def restart(self, *, crash: bool = False) -> None:
        """End the master, and with it its children, and start it again.

        `crash` kills them all at once, so nothing is written of any session's end.
        """
        assert self._process is not None
        if crash:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.terminate()
        self._process.wait(60)
        self._start()

    def _start(self) -> None:
        command: list[str] = [os.fspath(self._program), "-F", "-c", f"{self.directory}/dovecot.conf"]
        if self._syslog is not None:
            namespace = ["unshare", "--mount", "sh", "-c", _UNSHARED, "sh"]
            command = [*namespace, f"{self.directory}/dev", os.fspath(self._syslog.path), *command]
        with (self.directory / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True
            )
        try:
            for protocol in self.ports:
                wait_for(f"Dovecot's {protocol} greeting", lambda p=protocol: self._greets(p))  # type: ignore[misc]
        except AssertionError as error:
            self.stop()
            stderr_text = (self.directory / "stderr").read_text(errors="replace")
            raise AssertionError(f"{error}\n{stderr_text}{self.logged()}") from None

    def stop(self) -> None:
        """End the master and its children."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._syslog is not None:
            self._syslog.stop()

    def remove(self) -> None:
        """Delete the instance's directory."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def client(self, protocol: Protocol, address: str) -> Client:
        """A connection from this address."""
        return Client(protocol, self.ports[protocol], address)

    def login(self, protocol: Protocol, address: str, user: str = "ann@here.test", password: str | None = None) -> bool:
        """Log in from this address and out again; whether the login was taken."""
        client = self.client(protocol, address)
        taken = client.login(user, self.users[user] if password is None else password)
        client.logout()
        return taken

    def logged(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _greets(self, protocol: Protocol) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"Dovecot's master ended with {self._process.returncode}")
        try:
            client = Client(protocol, self.ports[protocol], "192.0.2.99", timeout=5)
        except (OSError, AssertionError):
            return False
        client.close()
        return True

    def _write(self) -> None:
        where = self.directory
        mail = pwd.getpwnam("nobody")
        (where / "mail").mkdir()
        os.chown(where / "mail", mail.pw_uid, mail.pw_gid)
        (where / "users").write_text("".join(f"{name}:{{PLAIN}}{word}::::::\n" for name, word in self.users.items()))
        (where / "users").chmod(0o644)
        log = [f"log_path = {self.log}"] if self._syslog is None else ["log_path = syslog", "syslog_facility = mail"]
        (where / "dovecot.conf").write_text(
            "\n".join(
                [
                    f"base_dir = {where}/run",
                    f"state_dir = {where}/state",
                    # The name is also the tag in syslog.
                    "instance_name = dovecot",
                    "protocols = imap pop3",
                    "listen = 127.0.0.1",
                    "ssl = no",
                    "disable_plaintext_auth = no",
                    "auth_mechanisms = plain login",
                    "auth_failure_delay = 0",
                    "haproxy_trusted_networks = 127.0.0.0/8",
                    "mail_max_userip_connections = 1000",
                    f"mail_location = maildir:{where}/mail/%u",
                    f"first_valid_uid = {mail.pw_uid}",
                    f"first_valid_gid = {mail.pw_gid}",
                    *log,
                    "passdb {",
                    "  driver = passwd-file",
                    f"  args = {where}/users",
                    "}",
                    "userdb {",
                    "  driver = static",
                    f"  args = uid={mail.pw_uid} gid={mail.pw_gid} home={where}/mail/%u",
                    "}",
                    *self._login_service("imap", "imaps"),
                    *self._login_service("pop3", "pop3s"),
                    self.settings,
                    "",
                ]
            )
        )

    def _login_service(self, protocol: Protocol, tls: str) -> list[str]:
        return [
            f"service {protocol}-login {{",
            f"  inet_listener {protocol} {{",
            f"    port = {self.ports[protocol]}",
            "    haproxy = yes",
            "  }",
            f"  inet_listener {tls} {{",
            "    port = 0",
            "  }",
            "}",
        ]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@contextmanager
def running(
    *, users: Mapping[str, str] | None = None, layout: Layout = "own", log: Path | None = None, settings: str = ""
) -> Iterator[Dovecot]:
    """A started instance; stopped and removed at the end."""
    instance = Dovecot(users=users, layout=layout, log=log, settings=settings)
    try:
        instance.start()
        yield instance
    finally:
        instance.stop()
        instance.remove()
