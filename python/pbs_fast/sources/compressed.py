"""Decompresses gzip, bzip2, xz and zstd, recognised by a file's first bytes, in bounded reads.

Files of several members (streams, frames) are read to the end, including zero bytes that pad them. Each library is
imported when the first file of its kind is read.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from pbs_fast.errors import SourceError

#: How many of a file's first bytes `compression` looks at.
MAGIC = 10

#: Bytes of compressed input read at a time; at the usual ratio of a log (about 10) that makes a few MB of text.
_INPUT = 256 * 1024

#: Kinds that zero bytes may pad between and after members (gzip on tape blocks; the .xz format, 2.2).
_PADDED = ("gzip", "xz")


def compression(head: bytes) -> str | None:
    """`gzip`, `bzip2`, `xz` or `zstd` when a file that starts with these bytes is of that kind, else None."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    # After BZh and the level comes a block (the digits of pi) or the end of an empty file (those of its root).
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz"
    # A frame, or a skippable frame, which some writers put first (RFC 8878, 3.1.2).
    if head.startswith(b"(\xb5/\xfd") or (head[1:4] == b"*M\x18" and 0x50 <= head[0] <= 0x5F):
        return "zstd"
    return None


class CutOffError(SourceError):
    """The file ends within its compressed data."""


class Decompressed:
    """The text of a compressed file.

    `read_raw(n)` gives the next 1 to n bytes of the file, b"" at its end. `name` is for messages.
    """

    def __init__(self, kind: str, name: str, raw: bytes, read_raw: Callable[[int], bytes]) -> None:
        self._kind = kind
        self._name = name
        self._raw = raw
        self._read_raw = read_raw
        self._new, self._errors = _library(kind)
        self._member: _Member | None = None

    @property
    def unread(self) -> int:
        """Bytes of the file that were read and not yet decompressed."""
        return len(self._raw)

    def read(self, size: int) -> bytes:
        """The next 1 to `size` bytes of text; b"" at the end.

        Raises SourceError for damaged data, and CutOffError for data that end within a member once all text of it was
        handed out; where the file has grown since, the next call goes on.
        """
        while True:
            member = self._member or self._next_member()
            if member is None:
                return b""
            text = self._decompress(member, size)
            if text:
                return text

    def _next_member(self) -> _Member | None:
        while True:
            if self._kind in _PADDED:
                self._raw = self._raw.lstrip(b"\0")
            if self._raw:
                self._member = self._new()
                return self._member
            self._raw = self._read_raw(_INPUT)
            if not self._raw:
                return None

    def _decompress(self, member: _Member, size: int) -> bytes:
        data, self._raw = self._raw, b""
        at_end = False
        if not data and member.needs_input:
            data = self._read_raw(_INPUT)
            at_end = not data
        try:
            text = member.decompress(data, size)
        except self._errors as error:
            reason = " ".join(str(error).split())
            raise SourceError(
                f"{self._name}: the {self._kind} data are damaged ({reason}); get the file again"
            ) from error
        if member.eof:
            self._raw = member.unused_data
            self._member = None
        elif at_end and not text:
            raise CutOffError(
                f"{self._name}: cut off within its {self._kind} data; the lines before the cut were read,"
                " get the whole file for the rest"
            )
        return text


class _Member(Protocol):
    """One member, as the libraries' decompressor objects are."""

    def decompress(self, data: bytes, max_length: int) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class _GzipMember:
    """zlib's object with the interface of the others; zlib checks the member's CRC and length."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _library(kind: str) -> tuple[Callable[[], _Member], tuple[type[Exception], ...]]:
    """What makes the decompressor of one member, and what that raises for damaged data."""
    if kind == "gzip":
        return _GzipMember, (zlib.error,)
    if kind == "bzip2":
        from bz2 import BZ2Decompressor

        return BZ2Decompressor, (OSError, ValueError)
    if kind == "xz":
        from lzma import FORMAT_XZ, LZMADecompressor, LZMAError

        return lambda: LZMADecompressor(FORMAT_XZ), (LZMAError,)
    if kind == "zstd":
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdDecompressor, ZstdError
        else:
            from backports.zstd import ZstdDecompressor, ZstdError
        return ZstdDecompressor, (ZstdError,)
    raise ValueError(f"no such compression: {kind!r}")
