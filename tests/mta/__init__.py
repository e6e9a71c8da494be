"""Real servers for the tests: private Postfix and Dovecot instances on loopback, each in a directory of its own.

A test that needs one calls `require_postfix()` or `require_dovecot()` (the fixtures do): where the servers are not
installed or the tests do not run as root (their masters must) it is skipped with the reason, but under CI it fails:
there scripts/install-test-servers.sh has run.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

T = TypeVar("T")


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it under CI."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (CI=true: run scripts/install-test-servers.sh first, and the tests as root)")
    pytest.skip(f"{reason}: scripts/install-test-servers.sh installs the servers")


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


def free_port() -> int:
    """A TCP port that nothing on 127.0.0.1 listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def private_directory(name: str) -> Path:
    """A new directory with a path short enough for Unix sockets (108 bytes) that every user may pass through."""
    directory = Path(tempfile.mkdtemp(prefix=f"pbs-{name}-", dir="/tmp"))
    directory.chmod(0o755)
    return directory


def wait_for(what: str, probe: Callable[[], T], *, seconds: float = 10.0) -> T:
    """Call `probe` until it answers something true; AssertionError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.01)
