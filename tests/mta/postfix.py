"""A private Postfix on a loopback port, and clients from any address by XCLIENT.

Its configuration, queue, data and log lie in one temporary directory; nothing is delivered anywhere (every transport is
discard). `permit_auth_destination` stands before the table, as every guide of ours says, so faults of the table cannot
touch mail for `LOCAL`.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import smtplib
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from mta import free_port, private_directory, require, unavailable, wait_for

#: The domain that this Postfix takes mail for, from anybody.
LOCAL = "here.test"
#: A recipient elsewhere: accepted only from clients in the table.
ELSEWHERE = "friend@elsewhere.test"

_QUEUE = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")


class Reply(NamedTuple):
    """What the server answered to RCPT."""

    code: int
    text: str

    @property
    def relayed(self) -> bool:
        return self.code == 250

    @property
    def denied(self) -> bool:
        """The permanent refusal that a client not in the table gets."""
        return self.code == 554 and "Relay access denied" in self.text


class Session:
    """One SMTP connection that claims to come from an address; MAIL is sent, RCPTs follow."""

    def __init__(self, port: int, client: str, *, timeout: float = 60, login: str = "") -> None:
        """`login`: the user as whom it claims to have authenticated."""
        self._smtp = smtplib.SMTP("127.0.0.1", port, timeout=timeout)
        self._smtp.ehlo("client.test")
        address = f"IPV6:{client}" if ":" in client else client
        authenticated = f" LOGIN={login}" if login else ""
        code, text = self._smtp.docmd("XCLIENT", f"ADDR={address} NAME=[UNAVAILABLE]{authenticated}")
        if code != 220:
            raise AssertionError(f"XCLIENT for {client}: {code} {text!r}")
        self._smtp.ehlo("client.test")
        self._smtp.mail("user@here.test")

    def rcpt(self, recipient: str = ELSEWHERE) -> Reply:
        """One more RCPT in this session."""
        code, text = self._smtp.rcpt(recipient)
        return Reply(code, text.decode("ascii", "replace"))

    def data(self, text: str = "Subject: test\r\n\r\ntest\r\n") -> Reply:
        """Send the message to the recipients accepted so far."""
        code, answer = self._smtp.data(text)
        return Reply(code, answer.decode("ascii", "replace"))

    def close(self) -> None:
        try:
            self._smtp.quit()
        except smtplib.SMTPServerDisconnected:
            self._smtp.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def require_postfix(*table_types: str) -> None:
    """Skip (or fail under CI) where Postfix, one of its table types, or root is missing."""
    require("master", "Postfix")
    postconf = require("postconf", "Postfix")
    known = subprocess.run([postconf, "-m"], capture_output=True, text=True, check=True).stdout.split()
    for name in table_types:
        if name != "policy" and name not in known:
            unavailable(f"this Postfix has no {name} tables")


def asks(table: str, default: str = "{ default_action = 451 4.3.0 relay check is not available }") -> str:
    """The restriction that asks a table; `default` is the default action of `policy:`, as in the guide for `?alone`."""
    if not table.startswith("policy:"):
        return f"check_client_access {table}"
    return f"check_policy_service {{ {table.removeprefix('policy:')}, timeout=5s, {default} }}"


class Postfix:
    """One instance. Use `start` and `stop`, or the context manager `running`."""

    def __init__(
        self,
        table: str,
        *,
        smtpd_limit: int = 1,
        restrictions: str | None = None,
        main_cf: Sequence[str] = (),
        chroot: bool = False,
    ) -> None:
        """`table` is the `type:path` that relaying clients are looked up in; `smtpd_limit` the most smtpds at a time.

        `restrictions` replaces smtpd_relay_restrictions; `main_cf` lines come last; `chroot` shuts smtpd into the queue
        directory.
        """
        self._master = require("master", "Postfix")
        self.directory = private_directory("postfix")
        self.config = self.directory / "etc"
        self.log = self.directory / "log" / "mail.log"
        self.port = free_port()
        self._marks = 0
        self._process: subprocess.Popen[bytes] | None = None
        relay = restrictions or f"permit_auth_destination, {asks(table)}, reject_unauth_destination"
        self._lay_out()
        self._write_main(relay, main_cf)
        self._write_master(smtpd_limit, "y" if chroot else "n")

    def start(self) -> None:
        """Start the master and wait until smtpd greets."""
        self.launch()
        try:
            wait_for("Postfix's greeting", self._greets)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.logged()}") from None

    def launch(self) -> None:
        """Start the master only."""
        with (self.directory / "log" / "stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                [self._master, "-c", self.config, "-d"],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the master; its children end with it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Delete the instance's directory."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def reload(self) -> None:
        """What `postfix reload` does."""
        assert self._process is not None
        self._process.send_signal(1)

    def session(self, client: str, *, login: str = "") -> Session:
        """A connection from this address (203.0.113.x, 2001:db8::x), authenticated as `login`."""
        return Session(self.port, client, login=login)

    def rcpt(self, client: str, recipient: str = ELSEWHERE, *, session: Session | None = None) -> Reply:
        """The answer to one RCPT: in a session of its own, or in the one given."""
        if session is not None:
            return session.rcpt(recipient)
        with self.session(client) as own:
            return own.rcpt(recipient)

    def postmap(self, key: str, table: str) -> str | None:
        """`postmap -q KEY TABLE`: the value, or None."""
        done = subprocess.run(
            ["postmap", "-c", self.config, "-q", key, table], capture_output=True, text=True, check=False, timeout=30
        )
        if done.stderr:
            raise AssertionError(f"postmap -q {key} {table}: {done.stderr}")
        return done.stdout.rstrip("\n") if done.returncode == 0 else None

    def logged(self) -> str:
        """The instance's log: all that its processes sent to postlogd before this call, in order (unix(7))."""
        self._marks += 1
        mark = f"end {self._marks} of what was sent"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as postlogd:
                postlogd.sendto(mark.encode(), str(self.directory / "queue" / "public" / "postlog"))
        except OSError:  # no master, or none any longer: what it left is written, or lost
            return self._read_log()
        wait_for("postlogd", lambda: mark in self._read_log())
        return re.sub(r"^end [0-9]+ of what was sent\n", "", self._read_log(), flags=re.MULTILINE)

    def _read_log(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def smtpd_pids(self) -> list[int]:
        """The smtpd that served each connection so far, in order."""
        return [int(pid) for pid in re.findall(r"smtpd\[(\d+)\]: connect from", self.logged())]

    def processor_seconds(self) -> float:
        """What all its processes have used so far, those that ended included."""
        assert self._process is not None
        master, ticks = self._process.pid, 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(") ")[2].split()
            except OSError:  # it has just ended; the master counts it from now on
                continue
            if int(fields[3]) == master:  # the session; see proc(5) for the numbers
                ticks += sum(map(int, fields[11:15] if stat.parent.name == str(master) else fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def _greets(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"Postfix's master ended with {self._process.returncode}")
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=5) as smtp:
                return smtp.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def _lay_out(self) -> None:
        owner, group = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        queue, data = self.directory / "queue", self.directory / "data"
        for directory in (self.config, self.log.parent, queue, queue / "pid"):
            directory.mkdir()
        for directory in (data, *(queue / name for name in _QUEUE)):
            directory.mkdir(mode=0o700)
            os.chown(directory, owner, -1)
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            (queue / name).mkdir()
            os.chown(queue / name, owner, group)
            (queue / name).chmod(mode)
        self.log.touch(mode=0o644)

    def _write_main(self, relay: str, extra: Sequence[str]) -> None:
        lines = [
            "compatibility_level = 3.6",
            f"queue_directory = {self.directory}/queue",
            f"data_directory = {self.directory}/data",
            f"maillog_file_prefixes = {self.directory}",
            f"maillog_file = {self.log}",
            "mail_owner = postfix",
            "setgid_group = postdrop",
            "inet_interfaces = 127.0.0.1",
            "inet_protocols = all",
            "myhostname = mx.here.test",
            f"mydestination = {LOCAL}",
            "mynetworks = 127.0.0.1/32",
            "smtpd_authorized_xclient_hosts = 127.0.0.1",
            "smtpd_peername_lookup = no",
            f"smtpd_relay_restrictions = {relay}",
            "smtpd_recipient_restrictions =",
            # A refusal costs a client nothing here: tests ask hundreds of times.
            "smtpd_error_sleep_time = 0",
            "smtpd_soft_error_limit = 10000",
            "smtpd_hard_error_limit = 10000",
            "smtpd_client_connection_count_limit = 0",
            "smtpd_client_event_limit_exceptions = static:all",
            "smtpd_recipient_overshoot_limit = 10000",
            "local_transport = discard:",
            "default_transport = discard:",
            "relay_transport = discard:",
            "local_recipient_maps =",
            "alias_maps =",
            "smtputf8_enable = no",
            *extra,
        ]
        main = self.config / "main.cf"
        main.write_text("\n".join(lines) + "\n")
        self.forget_changes()

    def forget_changes(self) -> None:
        """After a change of main.cf: each Postfix process reads a file again and again until it is two seconds old
        (dict.c: dict_load_file_xt)."""
        os.utime(self.config / "main.cf", (0, 0))

    def _write_master(self, smtpd_limit: int, chroot: str) -> None:
        services = [
            f"127.0.0.1:{self.port} inet n - {chroot} - {smtpd_limit} smtpd",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr",
            "rewrite unix - - n - - trivial-rewrite",
            "bounce unix - - n - 0 bounce",
            "defer unix - - n - 0 bounce",
            "trace unix - - n - 0 bounce",
            "flush unix n - n 1000? 0 flush",
            "showq unix n - n - - showq",
            "proxymap unix - - n - - proxymap",
            "discard unix - - n - - discard",
            "anvil unix - - n - 1 anvil",
            "postlog unix-dgram n - n - 1 postlogd",
        ]
        (self.config / "master.cf").write_text("\n".join(services) + "\n")


@contextmanager
def running(table: str, *, start: bool = True, **options: object) -> Iterator[Postfix]:
    """An instance, started unless the test does that; removed at the end. Options as `Postfix` takes them."""
    instance = Postfix(table, **options)  # type: ignore[arg-type]
    try:
        if start:
            instance.start()
        yield instance
    finally:
        instance.stop()
        instance.remove()
