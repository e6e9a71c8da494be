"""Runs a program that answers with a text: within a time and a size, never through a shell, as any account.

For programs that only print. Those that a table runs are `tables/file/command.py`'s.
"""

from __future__ import annotations

import os
import pwd
import selectors
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

#: Where distributions put administrators' programs; the PATH of a daemon often ends before sbin.
SBIN = "/usr/sbin:/usr/local/sbin:/usr/lib/postfix/sbin"
EXIM_SBIN = "/usr/sbin:/usr/exim/bin:/usr/local/sbin"


class Done(NamedTuple):
    """How a program ended."""

    status: int
    output: bytes
    errors: bytes
    is_cut: bool
    """It printed more than the limit and was killed."""

    @property
    def text(self) -> str:
        """What it printed, without its last newline."""
        return self.output.decode(errors="surrogateescape").removesuffix("\n")

    @property
    def complaint(self) -> str:
        """The last line of its standard error; "" for none."""
        return (self.errors.decode(errors="replace").strip().splitlines() or [""])[-1]


def find_program(name: str, sbin: str = SBIN) -> str | None:
    """The path of a program: on PATH, else where administrators' programs are."""
    return shutil.which(name) or shutil.which(name, path=sbin)


def find_exim() -> str | None:
    """The path of Exim's program, which Debian calls exim4."""
    return find_program("exim4", EXIM_SBIN) or find_program("exim", EXIM_SBIN)


def run(
    command: Sequence[str],
    *,
    timeout: float,
    limit: int,
    account: pwd.struct_passwd | None = None,
    cwd: str | None = None,
) -> Done:
    """Run a program to its end, or to `limit` bytes of its output; `timeout` in seconds.

    `account`: as this user, with their groups; only root can. Raises OSError and subprocess.TimeoutExpired.
    """
    end = time.monotonic() + timeout
    other: dict[str, Any] = {}
    if account is not None and account.pw_uid != os.geteuid():
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        other = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    with subprocess.Popen(  # noqa: S603 - the administrator's own command, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        cwd=cwd,
        **other,
    ) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
        found = {process.stdout: bytearray(), process.stderr: bytearray()}
        try:
            with selectors.DefaultSelector() as selector:
                for pipe in found:
                    selector.register(pipe, selectors.EVENT_READ)
                while selector.get_map():
                    if (left := end - time.monotonic()) <= 0:
                        raise subprocess.TimeoutExpired(command, timeout)
                    for key, _ in selector.select(left):
                        if data := os.read(key.fd, 65_536):
                            found[key.fileobj] += data  # type: ignore[index]
                        else:
                            selector.unregister(key.fileobj)
                    if any(len(data) > limit for data in found.values()):
                        return Done(-1, b"", b"", is_cut=True)
            status = process.wait(max(0.0, end - time.monotonic()))
        finally:
            process.kill()
    return Done(status, bytes(found[process.stdout]), bytes(found[process.stderr]), is_cut=False)
