"""Runs a piece of work in a forked child system call by system call, and kills it at the one that is asked for.

By ptrace: at the entry of a call (nothing of it is done yet), while it runs, or at its exit (it is done, and the
program does not know it). So a kill can be placed everywhere that makes a difference to files and locks, which only
system calls change. Linux on x86-64 and AArch64; elsewhere `UNSUPPORTED` says why not. Knows nothing of tables.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple, NoReturn

When = Literal["before", "inside", "after"]
WHENS: tuple[When, ...] = ("before", "inside", "after")
#: What a system call does to files: `write`, `rename`, `sync` and `lock` are the ones a torn table comes from.
Kind = Literal["write", "rename", "sync", "lock", "other change", "none"]
TELLING: tuple[Kind, ...] = ("write", "rename", "sync", "lock")

_X86_64 = {
    "write": {1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 328: "pwritev2"},
    "rename": {82: "rename", 264: "renameat", 316: "renameat2"},
    "sync": {74: "fsync", 75: "fdatasync", 26: "msync", 277: "sync_file_range"},
    "lock": {73: "flock", 72: "fcntl"},
    "other change": {
        2: "open", 257: "openat", 3: "close", 76: "truncate", 77: "ftruncate", 285: "fallocate", 86: "link",
        87: "unlink", 263: "unlinkat", 90: "chmod", 91: "fchmod", 268: "fchmodat", 92: "chown", 93: "fchown",
        260: "fchownat", 280: "utimensat",
    },
}  # fmt: skip
_AARCH64 = {
    "write": {64: "write", 68: "pwrite64", 66: "writev", 70: "pwritev", 287: "pwritev2"},
    "rename": {38: "renameat", 276: "renameat2"},
    "sync": {82: "fsync", 83: "fdatasync", 227: "msync", 84: "sync_file_range"},
    "lock": {32: "flock", 25: "fcntl"},
    "other change": {
        56: "openat", 57: "close", 45: "truncate", 46: "ftruncate", 47: "fallocate", 37: "linkat", 35: "unlinkat",
        52: "fchmod", 53: "fchmodat", 55: "fchown", 54: "fchownat", 88: "utimensat",
    },
}  # fmt: skip
_TABLE = {"x86_64": _X86_64, "aarch64": _AARCH64}.get(platform.machine(), {})
_CALLS: dict[int, tuple[Kind, str]] = {
    number: (kind, name)  # type: ignore[misc]
    for kind, names in _TABLE.items()
    for number, name in names.items()
}
#: fcntl commands that lock; the others (F_GETFD and the like) change nothing.
_FCNTL_LOCKS = {5, 6, 7, 36, 37, 38}

UNSUPPORTED = (
    None if sys.platform == "linux" and _TABLE else f"system calls of {sys.platform}/{platform.machine()} are not known"
)

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_TRACESYSGOOD, _EXITKILL = 1, 0x100000
#: getpgid of this process id, which cannot exist, says where the work begins and ends.
_MARK = 0x7EAD_BEEF


class _Info(ctypes.Structure):
    """struct ptrace_syscall_info (linux/ptrace.h), of the union only what a call's entry has."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("args", ctypes.c_uint64 * 6),
    )


_ENTRY = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


class Call(NamedTuple):
    """One system call of the work."""

    name: str
    kind: Kind


class Point(NamedTuple):
    """Where to kill: at the `nth` system call of this kind in the work, from 0.

    Counted by kind, because how many pages are read before the first is written differs from run to run.
    """

    kind: Kind
    nth: int
    when: When


class Fate(NamedTuple):
    """How a run of the work ended."""

    calls: list[Call]
    """Those that were entered."""
    killed: Point | None
    """None when it came to its end before the point was reached."""

    @property
    def last(self) -> Call:
        return self.calls[-1]


class WorkError(Exception):
    """The child failed by itself; its traceback is on standard error."""


def step(
    prepare: Callable[[], Callable[[], object]],
    point: Point | None,
    *,
    prepared: Callable[[], object] = lambda: None,
) -> Fate:
    """Fork; in the child call `prepare`, then what it returned, the latter call by call up to `point`.

    `prepared` is called here while the child waits between the two. The child is killed in any case: at the point, or
    at the end of the work. Raises WorkError when it ends by itself.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _child(prepare)
    try:
        return _parent(child, point, prepared)
    except BaseException:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise


def _child(prepare: Callable[[], Callable[[], object]]) -> NoReturn:
    status = 1
    try:
        work = prepare()
        _ptrace(_TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        _mark()
        work()
        _mark()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _mark() -> None:
    with contextlib.suppress(ProcessLookupError):
        os.getpgid(_MARK)


def _parent(child: int, point: Point | None, prepared: Callable[[], object]) -> Fate:
    _, status = os.waitpid(child, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise WorkError(f"the preparation ended with status {status}")
    prepared()
    _ptrace(_SETOPTIONS, child, 0, _TRACESYSGOOD | _EXITKILL)
    calls: list[Call] = []
    seen: Counter[Kind] = Counter()
    info = _Info()
    working, here = False, False
    deliver = 0
    while True:
        _ptrace(_SYSCALL, child, 0, deliver)
        deliver = 0
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            raise WorkError(f"the work ended with status {status}")
        stopped = os.WSTOPSIG(status)
        if stopped != signal.SIGTRAP | 0x80:
            deliver = 0 if stopped in (signal.SIGTRAP, signal.SIGSTOP) else stopped
            continue
        _ptrace(_GET_SYSCALL_INFO, child, ctypes.sizeof(info), ctypes.addressof(info))
        if info.op == _ENTRY:
            if info.args[0] == _MARK:
                if working:
                    return _killed(child, Fate(calls, None))
                working = True
                continue
            if not working:
                continue
            calls.append(_call(info))
            kind = calls[-1].kind
            here = point is not None and (point.kind, point.nth) == (kind, seen[kind])
            seen[kind] += 1
            if point is not None and here and point.when != "after":
                if point.when == "inside":
                    _ptrace(_SYSCALL, child, 0, 0)
                return _killed(child, Fate(calls, point))
        elif here:
            return _killed(child, Fate(calls, point))


def _killed(child: int, fate: Fate) -> Fate:
    os.kill(child, signal.SIGKILL)
    while True:  # a stop that was on its way comes first
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            break
        if os.WIFEXITED(status):
            raise WorkError(f"the work ended with status {status} under the kill")
    if os.WTERMSIG(status) != signal.SIGKILL:
        raise WorkError(f"the work ended by signal {os.WTERMSIG(status)}")
    return fate


def _call(info: _Info) -> Call:
    kind, name = _CALLS.get(info.number, ("none", f"#{info.number}"))
    if name == "fcntl" and info.args[1] not in _FCNTL_LOCKS:
        kind = "none"
    return Call(name, kind)


def _ptrace(request: int, pid: int, address: int, data: int) -> None:
    if _libc.ptrace(request, pid, address, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace request {request:#x}: {os.strerror(error)}")
