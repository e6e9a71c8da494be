"""Real Exim, run once per question: `-bh` plays an SMTP session from any address, `-be` expands a string.

It is unpacked, not installed (scripts/install-test-servers.sh): as a package it conflicts with Postfix. Nothing
listens, and nothing is delivered: no session goes further than RCPT.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mta import private_directory, unavailable

#: The domain that this Exim takes mail for, from anybody.
LOCAL = "here.test"
ELSEWHERE = "friend@elsewhere.test"
#: The account that Debian's build runs as.
ACCOUNT = "Debian-exim"
PLACES = (
    "/opt/pbs-fast-tests/exim/usr/sbin/exim4",
    "/opt/pbs-fast-tests/exim-lmdb/exim",
    "/usr/sbin/exim4",
    "/usr/exim/bin/exim",
    "/usr/sbin/exim",
)


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
        return self.code == 550 and "relay not permitted" in self.text


def require_exim(lookup: str = "cdb") -> Path:
    """The path of an Exim with this look-up; the test is skipped (or fails under CI) without, or without root."""
    if os.geteuid() != 0:
        unavailable("Exim with a configuration of the test's own needs root")
    reasons = []
    for place in filter(os.path.exists, PLACES):
        done = subprocess.run([place, "-C", "/dev/null", "-bV"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reasons.append(f"{place} does not run: {done.stderr.strip() or done.stdout.strip()}")
        elif re.search(rf"^Lookups .*\b{lookup}\b", done.stdout, re.MULTILINE):
            return Path(place)
        else:
            reasons.append(f"{place} has no {lookup} look-up")
    return unavailable("; ".join(reasons) or "Exim is not there")


class Session:
    """One SMTP session that goes on while other things happen; MAIL is sent, RCPTs follow."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reply("")
        for line in ("EHLO client.test", "MAIL FROM:<user@here.test>"):
            assert self._reply(line).code == 250

    def rcpt(self, recipient: str = ELSEWHERE) -> Reply:
        """One more RCPT in this session."""
        return self._reply(f"RCPT TO:<{recipient}>")

    def close(self) -> None:
        self._process.communicate("QUIT\r\n", timeout=60)

    def _reply(self, line: str) -> Reply:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if line:
            self._process.stdin.write(f"{line}\r\n")
            self._process.stdin.flush()
        while not re.match(r"\d{3} ", text := self._process.stdout.readline()):
            assert text, f"the session ended at {line!r}"
        return Reply(int(text[:3]), text[4:].rstrip())


class Exim:
    """One configuration: the lines of a guide in the places that the guide names."""

    def __init__(self, main: Sequence[str], acl: Sequence[str], lookup: str) -> None:
        """`main` are lines of the main part, `acl` those in the ACL for RCPT before the one that refuses to relay."""
        self._exim = require_exim(lookup)
        self.directory = private_directory("exim")
        self._config = self.directory / "exim.conf"
        lines = [
            f"spool_directory = {self.directory}/spool",
            f"log_file_path = {self.directory}/%slog",
            "primary_hostname = mx.here.test",
            "keep_environment =",
            "host_lookup =",
            "rfc1413_query_timeout = 0s",
            f"domainlist local_domains = {LOCAL}",
            "domainlist relay_to_domains =",
            "hostlist relay_from_hosts = 127.0.0.1",
            "acl_smtp_rcpt = acl_check_rcpt",
            *main,
            "begin acl",
            "acl_check_rcpt:",
            "  accept hosts = +relay_from_hosts",
            *acl,
            "  require message = relay not permitted",
            "          domains = +local_domains : +relay_to_domains",
            "  accept",
            "begin routers",
            "all:",
            "  driver = accept",
            "  transport = nowhere",
            "begin transports",
            "nowhere:",
            "  driver = appendfile",
            "  file = /dev/null",
        ]
        self._config.write_text("\n".join(lines) + "\n")
        shutil.chown(self.directory, ACCOUNT, ACCOUNT)

    def rcpt(self, client: str, recipient: str = ELSEWHERE, *, real: bool = False) -> Reply:
        """The answer to one RCPT in a session from this address."""
        return self.session(client, [recipient], real=real)[0]

    def session(self, client: str, recipients: Sequence[str], *, real: bool = False) -> list[Reply]:
        """The answers to these RCPTs in one session from this address.

        A fault that makes a server answer 421 ends `-bh` without an answer; with `real` it is `-bs` that answers, as
        it does behind inetd.
        """
        commands = ["EHLO client.test", "MAIL FROM:<user@here.test>", *(f"RCPT TO:<{to}>" for to in recipients), "QUIT"]
        done = self._run(
            ["-bs", "-oMa", client] if real else ["-bh", client], "".join(f"{line}\r\n" for line in commands)
        )
        replies = [Reply(int(m[1]), m[2]) for m in re.finditer(r"^(\d{3}) (.*?)\r?$", done.stdout, re.MULTILINE)]
        # Greeting, EHLO and MAIL come first. A fault of a table may end the session before the last RCPT.
        if len(replies) < 4:
            raise AssertionError(f"exim for {client}:\n{done.stdout}\n{done.stderr}")
        return replies[3 : 3 + len(recipients)]

    @contextmanager
    def open(self, client: str) -> Iterator[Session]:
        """A session from this address that stays open."""
        session = Session([self._exim, "-C", self._config, "-bs", "-oMa", client])
        try:
            yield session
        finally:
            session.close()

    def expand(self, text: str) -> str:
        """What `exim -be` makes of a string."""
        done = self._run(["-be", text], "")
        if done.returncode:
            raise AssertionError(f"exim -be {text}: {done.stderr}")
        return done.stdout.rstrip("\n")

    def printed(self) -> str:
        """The configuration as `exim -bP config` prints it."""
        return self._run(["-bP", "config"], "").stdout

    def remove(self) -> None:
        """Delete the instance's directory."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, arguments: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._exim, "-C", self._config, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@contextmanager
def configured(main: Sequence[str], acl: Sequence[str], lookup: str = "cdb") -> Iterator[Exim]:
    """An Exim with these lines that has this look-up; its directory is removed at the end."""
    instance = Exim(main, acl, lookup)
    try:
        yield instance
    finally:
        instance.remove()
