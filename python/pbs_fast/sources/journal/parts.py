"""Which journal entries are parts of a line, by the fields that those who cut it add.

journald cuts what a service writes to its stdout at LineMax= (48 KiB), at a NUL and where another process goes on
(`_LINE_BREAK`, systemd.journal-fields(7)). Docker and Podman cut at 16 KiB (`CONTAINER_PARTIAL_MESSAGE`, Docker's
journald driver). Text from a client decides where, so neither a part nor the entry that ends it is a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbs_fast.sources.journal.export import Entry

_BREAK, _STREAM, _PID = b"_LINE_BREAK", b"_STREAM_ID", b"_PID"
_PARTIAL, _PARTIAL_ID, _PRIORITY = b"CONTAINER_PARTIAL_MESSAGE", b"CONTAINER_PARTIAL_ID", b"PRIORITY"
_CONTAINER = b"CONTAINER_ID"
#: Fields that the decision depends on.
PARTS = (_BREAK, _STREAM, _PID, _PARTIAL, _PARTIAL_ID, _CONTAINER, _PRIORITY)
#: The stream ended within its line, so nothing continues it.
_LAST: Final = b"eof"
#: Streams within a line that are remembered.
REMEMBERED: Final = 4_096


class Parts:
    """Which streams are within a line, for one reading of a journal in its order."""

    def __init__(self) -> None:
        self._within: dict[tuple[bytes, ...], None] = {}

    def is_part(self, entry: Entry) -> bool:
        """Is the entry a part of a line, or does it end one? Call it for each entry, in order."""
        fields = entry.fields
        goes_on = _PARTIAL in fields or fields.get(_BREAK, _LAST) != _LAST
        if not goes_on and not self._within:
            return _BREAK in fields or _PARTIAL_ID in fields
        # A container's stdout and stderr differ by their priority; one stream's processes by their ids.
        priority = fields.get(_PRIORITY, b"") if _CONTAINER in fields else b""
        stream = (fields.get(_STREAM, b""), fields.get(_CONTAINER, b""), priority, fields.get(_PID, b""))
        ends = stream in self._within
        self._within.pop(stream, None)
        if goes_on:
            self._within[stream] = None
            if len(self._within) > REMEMBERED:
                del self._within[next(iter(self._within))]
        return ends or goes_on or _BREAK in fields or _PARTIAL_ID in fields
