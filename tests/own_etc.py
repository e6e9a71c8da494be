"""Hides /etc/pbs-fast/pbs-fast.toml from the tests, on a machine that has one: they start from the defaults."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from pbs_fast.config.model import DEFAULT_FILE

_NEW_MOUNTS, _RECURSIVELY, _PRIVATE = 0x20000, 0x4000, 0x40000
"""CLONE_NEWNS of sched.h, MS_REC and MS_PRIVATE of sys/mount.h."""


def hide() -> str | None:
    """Lays an empty directory over it, seen by this thread and all that it starts; why not, where that cannot be."""
    file = Path(DEFAULT_FILE)
    if not file.exists():
        return None
    if os.geteuid() != 0:
        return f"{file} is there: tests of the defaults may fail; root's tests do not see it"
    libc = ctypes.CDLL(None, use_errno=True)
    done = (
        libc.unshare(_NEW_MOUNTS) == 0
        and libc.mount(b"none", b"/", None, _RECURSIVELY | _PRIVATE, None) == 0
        and libc.mount(b"tmpfs", os.fsencode(file.parent), b"tmpfs", 0, b"mode=755") == 0
    )
    return None if done else f"{file} is there and cannot be hidden: {os.strerror(ctypes.get_errno())}"
