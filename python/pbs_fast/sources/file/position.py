"""Which file is this? Device, inode and fingerprint; and how to speak of a file in a message.

An inode number alone is no identity: it is given to the next file as soon as the last descriptor of the old one is
closed, and a log that was truncated and written again keeps it. So an offset is trusted only where the file's first
bytes and the bytes before the offset are still those that were read. A file may begin with a hole: a writer that was
not told of a truncation goes on where it was, behind NULs. There its first bytes tell nothing, and the first bytes of
its text, which stand behind the hole, tell it from others. Imports `accounts` only.
"""
# ruff: noqa: PTH116 - one module, os, for descriptors and for paths that are no UTF-8

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from typing import Any, NamedTuple

from pbs_fast.util.accounts import group_name, user_name

#: Bytes kept of a file's start and of what stands before an offset: two to three log lines, stamps included.
SAMPLE = 256

#: Longest run of NULs that is read to tell what stands behind it, and how much is read at once. A hole costs nothing;
#: a copy of one may hold as many NULs.
LONGEST_HOLE = 1 << 30
STRIDE = 1 << 20

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Identity(NamedTuple):
    """Device and inode number."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a file was read: everything before `offset` was handed out in whole lines."""

    identity: Identity
    offset: int
    """Bytes; the start of a line (but see `discarding`)."""
    head: bytes
    """The file's first bytes, at most SAMPLE."""
    tail: bytes
    """The bytes before `offset`, at most SAMPLE."""
    discarding: bool = False
    """`offset` stands inside an over-long line, whose rest is to be dropped."""
    mtime_ns: int = 0
    """When the file was last written to, as of then; 0 where that is not known."""
    others: tuple[Position, ...] = ()
    """How far the newer files were read that were open besides, in order; they have no others, and nothing closed."""
    closed: tuple[Position, ...] = ()
    """How far files were read that were closed, but may be met again."""
    hole: int = 0
    """NULs before the text."""
    text: bytes = b""
    """The first bytes behind the hole, at most SAMPLE; equal to `head` where there is none. Without text, no line was
    handed out."""

    def fits(self, fd: int) -> bool:
        """Does the regular file `fd` hold, at this position, what was read there? Raises OSError."""
        samples = ((0, self.head), (self.hole, self.text), (self.offset - len(self.tail), self.tail))
        return all(os.pread(fd, len(sample), at) == sample for at, sample in samples)

    def to_json(self) -> dict[str, Any]:
        """A plain object for a checkpoint."""
        return {
            "device": self.identity.device,
            "inode": self.identity.inode,
            "offset": self.offset,
            "head": self.head.hex(),
            "tail": self.tail.hex(),
            "discarding": self.discarding,
            "mtime_ns": self.mtime_ns,
            "others": [other.to_json() for other in self.others],
            "closed": [other.to_json() for other in self.closed],
            "hole": self.hole,
            "text": self.text.hex(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Position:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else.

        Where `hole` and `text` are missing, as in older checkpoints, they are what `head` tells.
        """
        offset, head, tail = int(value["offset"]), bytes.fromhex(value["head"]), bytes.fromhex(value["tail"])
        if len(head) > SAMPLE or len(tail) != min(offset, SAMPLE):
            raise ValueError("the samples do not go with the offset")
        text = bytes.fromhex(value["text"]) if "text" in value else head.lstrip(b"\0")
        hole = int(value["hole"]) if "text" in value else len(head) - len(text)
        if len(text) > SAMPLE or hole < 0:
            raise ValueError("the sample of the text is none")
        identity = Identity(int(value["device"]), int(value["inode"]))
        others, closed = (tuple(cls.from_json(one) for one in value[name]) for name in ("others", "closed"))
        discarding, mtime_ns = bool(value["discarding"]), int(value["mtime_ns"])
        return cls(identity, offset, head, tail, discarding, mtime_ns, others, closed, hole, text)


def first_text(fd: int) -> tuple[int, bytes]:
    """How many NULs a regular file begins with, and what stands behind them, at most SAMPLE bytes. Raises OSError.

    The text is b"" where there is none, and behind a hole beyond measure.
    """
    place, size = 0, SAMPLE
    for _ in range(LONGEST_HOLE // STRIDE):
        data = os.pread(fd, size, place)
        if text := data.lstrip(b"\0"):
            at = place + len(data) - len(text)
            return at, text if len(text) == SAMPLE else os.pread(fd, SAMPLE, at)
        if not data:
            break
        place, size = place + len(data), STRIDE
        if hasattr(os, "SEEK_DATA"):  # not on OpenBSD
            try:
                place = max(place, os.lseek(fd, place, os.SEEK_DATA))
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but hole behind
                    break
    return 0, b""


def display(path: str) -> str:
    """A path for a one-line message: printable, whatever bytes it holds."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def refusal(path: str, error: OSError) -> str:
    """Why `path` cannot be read, in one line: what, who, which mode, what to do."""
    said = f"cannot read {display(path)}: {error.strerror or error}"
    if not isinstance(error, PermissionError):
        return said
    user = f"user {user_name(os.geteuid())}"
    blocked = _blocking(path)
    if blocked is None:
        return f"{said} for {user}: look at the modes, ACLs and security rules of the file and its directories"
    name, status = blocked
    rights = f"{stat.filemode(status.st_mode)} {user_name(status.st_uid)}:{group_name(status.st_gid)}"
    return f"{said} for {user}: {display(name)} is {rights}; let that user in, for example by this group"


def _blocking(path: str) -> tuple[str, os.stat_result] | None:
    """The first of the path's directories, then the file itself, that the effective user may not enter or read."""
    real = os.path.realpath(path)
    parts = real.split("/")
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[:depth]) or "/"
        try:
            status = os.stat(name)
            mode = os.X_OK if stat.S_ISDIR(status.st_mode) else os.R_OK
            if not os.access(name, mode, effective_ids=os.access in os.supports_effective_ids):
                return name, status
        except OSError:
            return None
    return None
