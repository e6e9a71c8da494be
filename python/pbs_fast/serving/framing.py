"""What the server expects of a decoder."""

from __future__ import annotations

from typing import Protocol


class FramingError(Exception):
    """The stream breaks its framing; the rest of it cannot be used."""


class Decoder(Protocol):
    """Cuts one stream into requests. At most one request is buffered, of bounded length."""

    @property
    def partial(self) -> bool:
        """Whether a request has begun and not ended."""

    def feed(self, data: bytes) -> list[bytes]:
        """The requests that these bytes complete, in order. Raises FramingError at the first fault."""
