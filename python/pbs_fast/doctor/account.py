"""Looks as another account does: a forked child that becomes it for good, and hands back what it saw.

The parent, root, takes it as data: JSON of a bounded size, within a time.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pbs_fast.daemon.privileges import drop_to
from pbs_fast.errors import PbsError
from pbs_fast.health.finding import Finding

#: Seconds that a child may take, and bytes that it may hand back.
LONGEST: Final = 300.0
MOST_BYTES: Final = 1 << 20


class ApartError(PbsError):
    """What a child reports instead of a result."""


def as_account(user: str | None, work: Callable[[], Any], *, longest: float = LONGEST) -> Any:
    """What `work` gives, done as `user`, or here where it is None; it must be what JSON can hold.

    Raises what `work` does: PbsError as ApartError. ApartError also for a child that died or took too long.
    """
    if user is None or os.geteuid() != 0:
        return work()
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(user, work, writing)
    os.close(writing)
    try:
        answer = _read(reading, time.monotonic() + longest)
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        kind, value = json.loads(answer)
    except (ValueError, TypeError):
        raise ApartError(f"looking as {user} took too long, or failed; run it as {user}") from None
    if kind == "error":
        raise ApartError(str(value))
    return value


def findings_as(user: str | None, work: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of `work`, looked for as `user`. Raises as `as_account`."""
    return [
        Finding(str(code), level, str(evidence), str(advice))
        for code, level, evidence, advice in as_account(user, lambda: [list(each) for each in work()])
    ]


def _child(user: str, work: Callable[[], Any], writing: int) -> None:
    status = 1
    try:
        try:
            drop_to(user)
            answer = ["value", work()]
        except PbsError as error:
            answer = ["error", str(error)]
        with open(writing, "wb", closefd=False) as file:
            file.write(json.dumps(answer).encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _read(fd: int, end: float) -> bytes:
    """All that comes until the other side closes; b"" where it is too much or comes too late."""
    found = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if not selector.select(left):
                break
            data = os.read(fd, 65_536)
            if not data:
                return bytes(found)
            found += data
            if len(found) > MOST_BYTES:
                break
    return b""


def may(mode: int, owner: int, group: int, *, want: int, uid: int, groups: Sequence[int]) -> bool:
    """Whether an account may do `want` (4 read, 1 pass) with a file of this mode and these owners, without ACLs."""
    if uid == 0:
        return True
    shift = 6 if owner == uid else 3 if group in groups else 0
    return bool(mode >> shift & want)


def blocked_at(path: Path, *, uid: int, groups: Sequence[int]) -> Path | None:
    """The first directory above a path that this account may not pass through; None where it may. Raises OSError."""
    for directory in reversed(path.parents):
        found = directory.stat()
        if not may(stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, want=1, uid=uid, groups=groups):
            return directory
    return None
