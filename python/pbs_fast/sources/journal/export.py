"""Parses the Journal Export Format (systemd.io/JOURNAL_EXPORT_FORMATS): bytes in, entries out; no I/O.

An entry is a series of fields, ended by an empty line. A field is `NAME=value` and a newline or, for a value with
newlines or binary data, NAME, a newline, the value's length in 8 bytes (little endian), the value, a newline. So no
value can be mistaken for a field, whatever a client put into it. Memory is bounded: only LONGEST bytes of a value are
kept, and the entry lists the fields that were cut.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

#: Bytes kept of a value: more than the longest line that the backend matches, with room for escapes.
LONGEST = 65_536
#: journald accepts values up to 768 MiB (DATA_SIZE_MAX); a greater length means damage.
_POSSIBLE = 1 << 30
_NO_NAMES: frozenset[bytes] = frozenset()


class ExportError(Exception):
    """The stream is not in the export format."""


class Entry(NamedTuple):
    """One entry, with the first value of each field."""

    fields: dict[bytes, bytes]
    repeated: frozenset[bytes] = _NO_NAMES
    """Names of fields that came more than once."""
    cut: frozenset[bytes] = _NO_NAMES
    """Names of fields whose value was cut to LONGEST bytes."""


class ExportParser:
    """Parses a stream in pieces of any size. Keeps the fields named in `wanted`, perhaps also others."""

    def __init__(self, wanted: Collection[bytes]) -> None:
        self._wanted = frozenset(wanted)
        self._buffer = b""
        self._open: _OpenEntry | None = None

    @property
    def unfinished(self) -> bool:
        """The stream is within an entry."""
        return self._open is not None or bool(self._buffer.strip(b"\n"))

    def feed(self, data: bytes) -> list[Entry]:
        """The entries that end within `data`. After an ExportError the parser must not be used again."""
        buffer = self._buffer + data
        position = 0
        entries: list[Entry] = []
        while True:
            if self._open is None:
                position, other = _plain_entries(buffer, position, entries)
                if not other:
                    break
                self._open = _OpenEntry(self._wanted)
            position = self._open.take(buffer, position)
            if not self._open.ended:
                break
            entries.append(self._open.entry())
            self._open = None
        self._buffer = buffer[position:]
        return entries


def _plain_entries(buffer: bytes, position: int, entries: list[Entry]) -> tuple[int, bool]:
    """Parse the entries that are complete, short and consist of text fields without repetition.

    Nearly all are, and this is several times as fast as field by field. Returns where the next entry begins, and
    whether it is of another kind; otherwise it is incomplete.
    """
    while True:
        while buffer.startswith(b"\n", position):
            position += 1
        end = buffer.find(b"\n\n", position, position + LONGEST)
        if end < 0:
            return position, len(buffer) - position >= LONGEST
        # The length and the value of a binary field come after a line without `=`, so none is misread here.
        parts = [line.partition(b"=") for line in buffer[position:end].split(b"\n")]
        fields = {name: value for name, equals, value in parts if equals}
        if len(fields) < len(parts):
            return position, True
        entries.append(Entry(fields))
        position = end + 2


class _OpenEntry:
    """An entry that is read field by field."""

    def __init__(self, wanted: frozenset[bytes]) -> None:
        self.ended = False
        self._wanted = wanted
        self._fields: dict[bytes, bytes] = {}
        self._repeated: set[bytes] = set()
        self._cut: set[bytes] = set()
        self._any = False
        self._name = b""
        self._size = 0
        self._kept = bytearray()
        self._left = 0
        """Bytes of a binary value that are still to come, including the newline after it."""
        self._in_line = False
        """Within a text value that is too long to buffer."""

    def entry(self) -> Entry:
        return Entry(self._fields, frozenset(self._repeated), frozenset(self._cut))

    def take(self, buffer: bytes, position: int) -> int:
        """Continue at `position`; return the position of the first unused byte. Raises ExportError."""
        while not self.ended:
            if self._left:
                position = self._binary(buffer, position)
                if self._left:
                    break
                continue
            newline = buffer.find(b"\n", position)
            if self._in_line:
                if newline < 0:
                    return len(buffer)
                self._in_line = False
                position = newline + 1
                continue
            if newline < 0:
                return self._long_line(buffer, position)
            line = buffer[position:newline]
            name, equals, value = line.partition(b"=")
            if not line:
                self.ended = self._any
            elif equals:
                self._put(name, value[:LONGEST], cut=len(value) > LONGEST)
            elif len(buffer) < newline + 9:
                break
            else:
                newline += 8
                size = int.from_bytes(buffer[newline - 7 : newline + 1], "little")
                if size > _POSSIBLE:
                    raise ExportError(f"a field of {size} bytes")
                self._name, self._size, self._kept, self._left = name, size, bytearray(), size + 1
            position = newline + 1
        return position

    def _long_line(self, buffer: bytes, position: int) -> int:
        """A line without its end: wait for it, or keep its beginning."""
        if len(buffer) - position <= 2 * LONGEST:
            return position
        name, equals, value = buffer[position:].partition(b"=")
        if not equals:
            raise ExportError("a field name without end")
        self._put(name, value[:LONGEST], cut=True)
        self._in_line = True
        return len(buffer)

    def _binary(self, buffer: bytes, position: int) -> int:
        part = buffer[position : position + self._left]
        self._left -= len(part)
        ends = not self._left
        if ends and part and part[-1:] != b"\n":
            raise ExportError("a binary field without newline after it")
        if self._name in self._wanted:
            self._kept += part[: LONGEST - len(self._kept)]
        if ends:
            self._put(self._name, bytes(self._kept[: self._size]), cut=self._size > LONGEST)
        return position + len(part)

    def _put(self, name: bytes, value: bytes, *, cut: bool) -> None:
        self._any = True
        if name not in self._wanted:
            return
        if name in self._fields:
            self._repeated.add(name)
            return
        self._fields[name] = value
        if cut:
            self._cut.add(name)
