"""How far a file was read and how to recognise it: device, inode and samples; and messages about files.

An inode number is not enough: it is reused as soon as the last descriptor of the old file is closed, and a log that was
truncated and written again keeps it. So an offset is trusted only if the file's first bytes and the bytes before the
offset are still those that were read. A file may begin with a hole (NULs), when a writer continues at its old offset
after a truncation. Then the first bytes of text after the hole identify it.
"""
# ruff: noqa: PTH116 - one module, os, for descriptors and for paths that are no UTF-8

from __future__ import annotations

import errno
import os
import shlex
import stat
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pbs_fast.util.accounts import group_name, is_member, reading_group, user_name
from pbs_fast.util.text import printable

#: Bytes of each sample: two to three log lines, timestamps included.
SAMPLE = 256

#: Longest run of NULs that is read to find the text after it, and the size of one read. A hole costs nothing to skip,
#: but a copy of one may consist of real NULs.
LONGEST_HOLE = 1 << 30
STRIDE = 1 << 20

#: Bounds of the numbers of a checkpoint: device, inode and times have 64 bits at most, off_t has 63, and reads after an
#: offset must not overflow it.
_MOST = (1 << 64) - 1
_FURTHEST = 1 << 62


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
    """`offset` is inside an over-long line, whose rest must be dropped."""
    mtime_ns: int = 0
    """When the file was last written, in nanoseconds since the epoch; 0 if unknown."""
    others: tuple[Position, ...] = ()
    """Positions in the newer files that were open too, oldest first; theirs have neither `others` nor `closed`."""
    closed: tuple[Position, ...] = ()
    """Positions in files that were closed but may return."""
    hole: int = 0
    """NULs before the text."""
    text: bytes = b""
    """The first bytes after the hole, at most SAMPLE; equal to `head` without a hole. Without text, no line was handed
    out."""

    def fits(self, fd: int) -> bool:
        """Does the regular file `fd` still contain the samples of this position? Raises OSError."""
        samples = ((0, self.head), (self.hole, self.text), (self.offset - len(self.tail), self.tail))
        return all(os.pread(fd, len(sample), at) == sample for at, sample in samples)

    def to_json(self) -> dict[str, Any]:
        """A JSON object for a checkpoint."""
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

        If `hole` and `text` are missing, as in older checkpoints, they are derived from `head`.
        """
        others, closed = (tuple(cls._place(one) for one in _list(value[name])) for name in ("others", "closed"))
        return replace(cls._place(value), others=others, closed=closed)

    @classmethod
    def _place(cls, value: dict[str, Any]) -> Position:
        """One position, without those of other files."""
        offset = _whole(value["offset"], _FURTHEST)
        head, tail = bytes.fromhex(value["head"]), bytes.fromhex(value["tail"])
        if len(head) > SAMPLE or len(tail) != min(offset, SAMPLE):
            raise ValueError("the samples do not match the offset")
        text = bytes.fromhex(value["text"]) if "text" in value else head.lstrip(b"\0")
        hole = _whole(value["hole"], _FURTHEST) if "text" in value else len(head) - len(text)
        if len(text) > SAMPLE:
            raise ValueError("the sample of the text is too long")
        discarding = value["discarding"]
        if not isinstance(discarding, bool):
            raise TypeError(discarding)
        identity = Identity(_whole(value["device"]), _whole(value["inode"]))
        return cls(identity, offset, head, tail, discarding, _whole(value["mtime_ns"]), hole=hole, text=text)


def _whole(value: object, most: int = _MOST) -> int:
    """A number from 0 to `most`. Raises TypeError and ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(value)
    if not 0 <= value <= most:
        raise ValueError(value)
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def first_text(fd: int) -> tuple[int, bytes]:
    """How many NULs a regular file begins with, and up to SAMPLE bytes of the text after them. Raises OSError.

    The text is b"" if there is none, or if the hole is longer than LONGEST_HOLE.
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
                if error.errno == errno.ENXIO:  # only hole to the end
                    break
    return 0, b""


#: A path for a one-line message: printable, whatever bytes it contains.
display = printable


def refusal(path: str, error: OSError) -> str:
    """Why `path` cannot be read, in one line: the user, the file or directory in the way, its mode, and what to do."""
    reason = f"cannot read {display(path)}: {error.strerror or error}"
    if not isinstance(error, PermissionError):
        return reason
    user = user_name(os.geteuid())
    reason += f" for user {user}"
    blocked = _blocking(path)
    if blocked is None:
        return f"{reason}: check the modes, ACLs and security rules (AppArmor, SELinux) of the file and its directories"
    name, status = blocked
    owning, file = group_name(status.st_gid), shlex.quote(display(name))
    letter, bit = ("x", stat.S_IXGRP) if stat.S_ISDIR(status.st_mode) else ("r", stat.S_IRGRP)
    if status.st_mode & bit and status.st_gid:
        advice = f"usermod -aG {owning} {user}"
    else:
        group = reading_group()
        advice = f"chgrp {group} {file}; chmod g+{letter} {file}"
        if not is_member(group):
            advice += f"; usermod -aG {group} {user}"
    rights = f"{stat.filemode(status.st_mode)} {user_name(status.st_uid)}:{owning}"
    return f"{reason}: {display(name)} is {rights}; give pbs-fast read access: `{advice}`"


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
