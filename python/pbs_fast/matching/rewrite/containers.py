"""What container runtimes put around a line: Docker's json-file and CRI's log entries.

An entry of either may be a part of a line. A stranger's text decides where a runtime cuts, so neither the parts nor the
entry that ends them is passed on. A stream counts as being at the start of a line only after an entry of it has ended
one. Runtimes also rotate between two parts, so this holds for a file's first entry too.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

from pbs_fast.formats.timestamps import ISO_WITH_ZONE

DOCKER: Final = "docker"
CRI: Final = "cri"
MAX_LINE: Final = 16_384
"""docs/MATCHING.md, 1."""

_TIME = re.compile(ISO_WITH_ZONE.encode())
_CRI = re.compile(rb"(" + ISO_WITH_ZONE.encode() + rb") (stdout|stderr) ([FP])(?::[^ ]+)? (.*)", re.DOTALL)
_HEAD = re.compile(rb"(?:\A|\n)(?:\{\"|" + ISO_WITH_ZONE.encode() + rb" std(?:out|err) [FP][ :])")
#: C0 and DEL, which a line of text does not hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Entry(NamedTuple):
    """One entry of a runtime's log."""

    timestamp: bytes
    stream: str
    text: bytes
    """What was written, without its line end."""
    is_part: bool
    """Its line goes on in the stream's next entry."""


class Found(NamedTuple):
    """A line that is an entry."""

    wrapper: str
    start: int


class Streams:
    """Which streams of a source are at the start of a line."""

    def __init__(self) -> None:
        self._within: dict[str, bool] = {}

    def lose(self) -> None:
        """An entry that cannot be read: any stream may be within a line."""
        self._within.clear()

    def is_whole(self, entry: Entry) -> bool:
        """Whether this entry is a whole line; keeps the books of the next."""
        within = self._within.get(entry.stream, True)
        self._within[entry.stream] = entry.is_part
        return not within and not entry.is_part


def find_entry(data: bytes, start: int, stop: int) -> Found | None:
    """The first line of data[start:stop] that is an entry."""
    text = data[start:stop]
    for head in _HEAD.finditer(text):
        at = head.start() + (text[head.start()] == 0x0A)
        newline = text.find(b"\n", at)
        line = text[at : len(text) if newline < 0 else newline].removesuffix(b"\r")
        for name, read in READERS.items():
            if read(line) is not None:
                return Found(name, start + at)
    return None


def _docker(line: bytes) -> Entry | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    log, time, stream = record.get("log"), record.get("time"), record.get("stream", "")
    if not (isinstance(log, str) and isinstance(time, str) and isinstance(stream, str)):
        return None
    timestamp = time.encode("utf-8", "surrogatepass")
    if not _TIME.fullmatch(timestamp):
        return None
    text = log.removesuffix("\n")
    is_part = len(text) == len(log)
    if not is_part:
        text = text.removesuffix("\r")
    # As rsyslog writes them, so that nothing in a line can end it.
    text = _CONTROL.sub(lambda control: f"#{ord(control[0]):03o}", text)
    return Entry(timestamp, stream, text.encode("utf-8", "surrogatepass"), is_part)


def _cri(line: bytes) -> Entry | None:
    m = _CRI.fullmatch(line)
    return None if m is None else Entry(m[1], m[2].decode(), m[4], m[3] == b"P")


READERS: Final = {DOCKER: _docker, CRI: _cri}
"""Reads one line without its end, for each wrapper; None when it is no entry."""
