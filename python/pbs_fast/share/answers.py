"""Bounds the memory that one answer of a hub takes, which valkey-py does not.

Whoever may write to a stream may put strings of 512 MB into it (proto-max-bulk-len), 200 of which come in one answer.
What is longer than any message of ours is read and dropped but for its beginning, so it is refused as too long, and
the stream is read on. Uses the parser's inner classes: `pyproject.toml` bounds the library's version.
"""

from __future__ import annotations

from typing import Any, Final

from valkey._parsers import _RESP2Parser
from valkey._parsers.socket import SocketBuffer
from valkey.exceptions import InvalidResponse

from pbs_fast.share.message import MOST_BYTES

#: Bytes of a string, or of a line, that are kept.
MOST_STRING: Final = 2 * MOST_BYTES
#: Bytes of all strings of an answer, each with what Python needs for it.
MOST_ANSWER: Final = 256 << 20
_EACH: Final = 64
_PIECE: Final = 64 << 10


class BoundedBuffer(SocketBuffer):
    """Reads lines and strings, and keeps only so much of an answer."""

    kept = 0

    def read(self, length: int) -> bytes:
        """The string of this length; of a longer one than MOST_STRING, as much of its beginning. Raises what the
        library raises, and InvalidResponse for an answer that is too long."""
        if length <= MOST_STRING:
            self._keep(length)
            return super().read(length)
        start = b""
        left = length + 2  # with its line end
        while left:
            piece = self._buffer.read(min(left, _PIECE))
            if not piece:
                self._buffer.seek(0)
                self._buffer.truncate()
                self._read_from_socket()
                continue
            left -= len(piece)
            start += piece[: MOST_STRING - len(start)]
        self._keep(len(start))
        return start

    def readline(self) -> bytes:
        """The next line without its end. Raises as `read`."""
        self._keep(_EACH)
        line = self._buffer.readline()
        while not line.endswith(b"\r\n"):
            if len(line) > MOST_STRING:
                raise InvalidResponse("a line without end")
            self._read_from_socket()
            line += self._buffer.readline()
        return line[:-2]

    def purge(self) -> None:
        """An answer was read."""
        self.kept = 0
        super().purge()

    def _keep(self, length: int) -> None:
        self.kept += length
        if self.kept > MOST_ANSWER:
            raise InvalidResponse(f"an answer of more than {MOST_ANSWER >> 20} MiB")


class BoundedParser(_RESP2Parser):
    """The library's parser, with a bounded buffer."""

    def on_connect(self, connection: Any) -> None:
        """Read from this connection."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        self._buffer = BoundedBuffer(connection._sock, self.socket_read_size, connection.socket_timeout)
