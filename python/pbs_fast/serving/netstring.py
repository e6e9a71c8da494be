"""Encoding and decoding of netstrings (`16:pbs 198.51.100.7,`, cr.yp.to/proto/netstrings.txt); no socket, no clock.

Invariants: the result does not depend on how the stream was cut; at most one netstring of `limit` bytes is buffered;
after a fault nothing more is read from the stream.
"""

from __future__ import annotations

from pbs_fast.serving.framing import FramingError


class NetstringError(FramingError):
    """Not a netstring, or one longer than the limit; the rest of the stream cannot be used."""


class Decoder:
    """Decodes one stream. Call `feed` with the bytes that arrive."""

    __slots__ = ("_buffer", "_digits", "_limit")

    def __init__(self, limit: int) -> None:
        """`limit`: the maximum length of a netstring's content, in bytes."""
        self._limit = limit
        self._digits = len(str(limit))
        self._buffer = b""

    @property
    def partial(self) -> bool:
        """Whether a netstring has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The contents that these bytes complete, in order.

        Raises NetstringError at the first fault; the netstrings before it in the same call are lost. Close the stream.
        """
        buffer = self._buffer + data if self._buffer else data
        found: list[bytes] = []
        at = 0
        while at < len(buffer):
            colon = buffer.find(b":", at, at + self._digits + 1)
            digits = buffer[at:colon] if colon >= 0 else buffer[at : at + self._digits + 1]
            if not digits.isdigit() or (len(digits) > 1 and digits.startswith(b"0")) or len(digits) > self._digits:
                raise NetstringError
            if colon < 0:
                break
            size = int(digits)
            if size > self._limit:
                raise NetstringError
            end = colon + 1 + size
            if end >= len(buffer):
                break
            if buffer[end : end + 1] != b",":
                raise NetstringError
            found.append(buffer[colon + 1 : end])
            at = end + 1
        self._buffer = buffer[at:]
        return found


def encode(content: bytes) -> bytes:
    """The netstring of this content."""
    return b"%d:%b," % (len(content), content)
