"""Real tcpserver and tcprulescheck, both of Debian's builds, unpacked beside (scripts/install-test-servers.sh).

tcpserver starts a program that says what it finds in RELAYCLIENT: what qmail-smtpd looks at (which Debian has not).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mta import unavailable, wait_for
from mta.netns import FOUR, SERVER, Namespace

Build = Literal["ucspi-tcp", "ucspi-tcp-ipv6"]
BUILDS: tuple[Build, ...] = ("ucspi-tcp", "ucspi-tcp-ipv6")
PORT = 2526
SAYS = ("sh", "-c", 'echo "${RELAYCLIENT-none}"')


def tool(build: Build, name: str) -> Path:
    """A program of that build; the test is skipped (or fails under CI) without."""
    found = Path("/opt/pbs-fast-tests", build, "usr/bin", name)
    if not found.exists():
        unavailable(f"{build} is not there")
    return found


def check(build: Build, file: Path, client: str) -> list[str]:
    """What tcprulescheck says: the rule, then what it does."""
    done = subprocess.run(
        [tool(build, "tcprulescheck"), file],
        env={**os.environ, "TCPREMOTEIP": client},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def may_relay(build: Build, file: Path, client: str) -> bool:
    """Whether tcprulescheck says that this client's server finds RELAYCLIENT."""
    said = check(build, file, client)
    return "set environment variable RELAYCLIENT=" in said and "allow connection" in said


class Tcpserver:
    """One tcpserver in a namespace, with the words of a guide between `tcpserver` and the host."""

    def __init__(self, build: Build, namespace: Namespace, options: Sequence[str], host: str = SERVER) -> None:
        self._namespace = namespace
        self._process = subprocess.Popen(
            namespace.command([tool(build, "tcpserver"), *options, host, str(PORT), *SAYS]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Wait until it takes connections."""

        def answers() -> bool:
            try:
                self._namespace.connect(FOUR, PORT).close()
            except OSError:
                return False
            return True

        wait_for("tcpserver", answers)

    def says(self, client: str) -> str:
        """RELAYCLIENT for a connection from this address: its value, `none`, or `dropped` where nobody answers."""
        with self._namespace.connect(client, PORT) as connection:
            said = connection.makefile("r").read()
        return said.rstrip("\n") if said else "dropped"

    def __enter__(self) -> Tcpserver:
        self.wait()
        return self

    def __exit__(self, *error: object) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(60)
