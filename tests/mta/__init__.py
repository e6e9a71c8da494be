"""Real servers for the tests: private Postfix and Dovecot instances on loopback, each in a directory of its own.

A test that needs one calls `require_postfix()` or `require_dovecot()` (the fixtures do): where the servers are not
installed or the tests do not run as root (their masters must) it is skipped with the reason, but under CI it fails:
there scripts/install-test-servers.sh has run.
"""

from __future__ import annotations

import fcntl
import grp
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")

#: Who may read rows that name users: by default the group postfix, which only a machine with Postfix has.
GROUP = "postfix" if "postfix" in {group.gr_name for group in grp.getgrall()} else grp.getgrgid(os.getegid()).gr_name


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it under CI."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (CI=true: run scripts/install-test-servers.sh first, and the tests as root)")
    pytest.skip(f"{reason}: scripts/install-test-servers.sh installs the servers")


def require_library(name: str) -> None:
    """Skip the test, or fail it under CI, without a library that `make setup` leaves to those who need it."""
    if find_spec(name) is None:
        reason = f"{name} is not installed: make setup-full installs it"
        (pytest.fail if os.environ.get("CI", "").lower() == "true" else pytest.skip)(reason)


def require(program: str, what: str) -> Path:
    """The program's path; the test is skipped (or fails under CI) without it or without root."""
    found = shutil.which(
        program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/lib/postfix/sbin:/usr/libexec/postfix"
    )
    if found is None:
        unavailable(f"{what} is not installed (no {program})")
    if os.geteuid() != 0:
        unavailable(f"{what} needs root")
    return Path(found)


@cache
def _perl_lacks(*modules: str) -> str | None:
    if shutil.which("perl") is None:
        return "perl"
    found = subprocess.run(["perl", *(f"-M{module}" for module in modules), "-e1"], capture_output=True, check=False)
    return " ".join(("perl with", *modules)) if found.returncode else None


def require_perl(*modules: str) -> str:
    """The path of perl; the test is skipped (or fails under CI) without it or one of the modules.

    A Debian without the package perl has perl-base, which has few; what `import-config` needs, JSON::PP, is not there.
    """
    if lacking := _perl_lacks(*(modules or ("JSON::PP",))):
        unavailable(f"needs {lacking}")
    found = shutil.which("perl")
    assert found is not None
    return found


def free_port() -> int:
    """A TCP port that nothing on 127.0.0.1 uses now.

    It is taken a moment later by a server: so it is below those that Linux gives to clients, and no other worker of
    pytest-xdist is given it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        # Not `random`, which hypothesis seeds.
        port = 16384 + secrets.randbelow(16384 // workers) * workers + worker
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One at a time on this machine, whichever pytest or worker of it runs the test."""
    with Path(tempfile.gettempdir(), f"pbs-fast-tests.{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def let_others_in(directory: Path) -> None:
    """Let every user pass through pytest's directories, whose number depends on its workers, down to this one."""
    top = Path(tempfile.gettempdir())
    for each in (directory, *directory.parents):
        if each == top:
            return
        each.chmod(0o755)


def private_directory(name: str) -> Path:
    """A new directory with a path short enough for Unix sockets (108 bytes) that every user may pass through."""
    directory = Path(tempfile.mkdtemp(prefix=f"pbs-{name}-", dir="/tmp"))
    directory.chmod(0o755)
    return directory


#: Longest wait for anything that takes milliseconds on an idle machine, in seconds: a busy one has to pass too.
PATIENCE = 60.0


def wait_for(what: str, probe: Callable[[], T], *, seconds: float = PATIENCE) -> T:
    """Call `probe` until it answers something true; AssertionError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.01)
