"""Cutting a stream into the lines of JSON requests; no socket, no clock, no JSON.

Invariants: the result does not depend on how the stream was cut; at most one line of `limit` bytes is buffered; after a
fault nothing more is read from the stream.
"""

from __future__ import annotations

from pbs_fast.serving.framing import FramingError


class JsonLinesError(FramingError):
    """A line longer than the limit; the rest of the stream cannot be used."""


class Decoder:
    """Decodes one stream. Call `feed` with the bytes that arrive."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int) -> None:
        """`limit`: the maximum length of a line in bytes, its line feed included."""
        self._limit = limit
        self._buffer = b""

    @property
    def partial(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, in order, without their line feeds; empty ones are left out.

        Raises JsonLinesError at the first fault; the lines before it in the same call are lost. Close the stream.
        """
        *lines, rest = (self._buffer + data).split(b"\n")
        if any(len(line) >= self._limit for line in lines) or len(rest) >= self._limit:
            raise JsonLinesError
        self._buffer = rest
        return [line for line in lines if line.strip()]
