"""Runs perl on a configuration of the old program: as whom, for how long, and with how much output.

The file is a program, so its code runs. It never runs as root: root's own files run as `nobody`, with the right to read
what the old daemon read and none to write; other files run as their owner. Imports the errors only.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pbs_fast.errors import ConfigError

_SCRIPT = Path(__file__).with_name("evaluate.pl")
#: The status with which the script says that perl's own modules are missing.
_BARE = 97
#: The old daemon cleaned its environment too; the file may run other programs.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_STDERR_MOST = 1 << 16
_PERL = "import-config needs perl to evaluate the old configuration, which is a Perl program; install it"


@dataclass(frozen=True)
class Account:
    """Who runs the file's code in place of root."""

    name: str
    uid: int
    gid: int
    reads: bool
    """Whether it keeps root's right to read any file (CAP_DAC_READ_SEARCH, capabilities(7))."""


@dataclass(frozen=True)
class Ran:
    """What came of a run."""

    status: int
    said: str
    """Standard error as one line."""
    ended: str
    """Why it was ended before its end; empty where it was not."""


def account_for(path: str) -> Account | None:
    """Who is to run a file's code: None for the caller, who is not root."""
    if os.geteuid() != 0:
        return None
    found = Path(path).stat()
    if found.st_uid != 0:
        try:
            owner = pwd.getpwuid(found.st_uid)
        except KeyError:
            return Account(f"uid {found.st_uid}", found.st_uid, found.st_gid, reads=False)
        return Account(owner.pw_name, owner.pw_uid, owner.pw_gid, reads=False)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account("uid 65534", 65534, 65534, reads=False)
    # What others may write is not root's word.
    return Account("nobody", nobody.pw_uid, nobody.pw_gid, reads=not found.st_mode & 0o022)


def run(
    mode: str,
    path: str,
    text: bytes,
    take: Callable[[bytes], object],
    *,
    stdin: IO[bytes] | None = None,
    patience: float,
    most: int,
) -> Ran:
    """Run the script on a file's text; `take` gets its answer in pieces.

    It is ended, with all that it started, after `patience` seconds and after `most` bytes of answer. Raises ConfigError
    where there is no perl, or not all of it.
    """
    perl = shutil.which("perl")
    if perl is None:
        raise ConfigError(_PERL)
    account = account_for(path)
    with tempfile.TemporaryFile() as source:
        source.write(text)
        source.flush()
        source.seek(0)
        reading, writing = os.pipe()
        try:
            arguments = [mode, str(Path(path).absolute()), str(source.fileno()), str(writing)]
            words = _as_account(account)
            plain = account if account is not None and not words else None
            process = subprocess.Popen(  # noqa: S603 - our own script; that the file's code runs is what is asked for
                [*words, perl, "-e", _SCRIPT.read_text(), *arguments],
                stdin=stdin or subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd=Path(path).absolute().parent,
                start_new_session=True,
                pass_fds=(source.fileno(), writing),
                user=plain.uid if plain else None,
                group=plain.gid if plain else None,
                extra_groups=[] if plain else None,
            )
        except OSError as error:
            os.close(reading)
            raise ConfigError(f"cannot run {perl} as {account.name if account else 'you'}: {error.strerror}") from error
        finally:
            os.close(writing)
        with process, os.fdopen(reading, "rb", buffering=0) as answer:
            try:
                said, ended = _read(process, answer, take, time.monotonic() + patience, most)
            finally:
                # What the file's code has started ends with it.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    if status == _BARE and said.startswith("pbs-fast:"):
        raise _bare(said.split()[-1])
    if missing := re.match(r"Can't locate (JSON/PP|B|B/Deparse|POSIX|Fcntl)\.pm", said):
        raise _bare(missing[1].replace("/", "::"))
    return Ran(status, " ".join(said.split()), ended and ended.format(patience=patience, most=most))


def _bare(module: str) -> ConfigError:
    """What to say where perl is not there whole; Debian's perl-base is such a one."""
    return ConfigError(
        f"import-config needs perl with its standard modules ({module} is not there); install perl whole (Debian: the "
        "package perl, not only perl-base)"
    )


def _as_account(account: Account | None) -> list[str]:
    """The words in front of perl that make it run as somebody else; none where there is no setpriv(1)."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    if account is None or setpriv is None:
        return []
    kept = "-all,+dac_read_search" if account.reads and _may_read_all() else "-all"
    words = [setpriv, f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--no-new-privs"]
    return [*words, f"--inh-caps={kept}", f"--ambient-caps={kept}"]


def _may_read_all() -> bool:
    """Whether this process has CAP_DAC_READ_SEARCH (2) itself: root in a container may lack it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapPrm:"):
                return bool(int(line.split()[1], 16) & 1 << 2)
    return False


def _read(
    process: subprocess.Popen[bytes], answer: IO[bytes], take: Callable[[bytes], object], deadline: float, most: int
) -> tuple[str, str]:
    """Standard error, and why the process was ended early."""
    assert process.stderr is not None  # noqa: S101 - a pipe was asked for
    errors = b""
    got = 0
    with selectors.DefaultSelector() as selector:
        selector.register(answer, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        over = False
        while selector.get_map() and not over:
            left = deadline - time.monotonic()
            if left <= 0:
                return errors.decode("utf-8", "replace"), "did not come to the end of it within {patience:.0f} s"
            # A child that the file's code left behind may keep the pipes open for ever.
            over = process.poll() is not None
            for key, _ in selector.select(0 if over else min(left, 0.2)):
                over = False
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is answer:
                    got += len(data)
                    if got > most:
                        return errors.decode("utf-8", "replace"), "answers more than {most} bytes"
                    take(data)
                else:
                    errors = (errors + data)[:_STDERR_MOST]
    # Both pipes may be shut by code that goes on.
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return errors.decode("utf-8", "replace"), "did not come to the end of it within {patience:.0f} s"
    return errors.decode("utf-8", "replace"), ""
