"""What container runtimes put around a line: Docker's json-file and CRI's log entries, and the journal's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from pbs_fast.formats.timestamps import ISO_WITH_ZONE
from pbs_fast.matching.rewrite.wrapper import Entry

_TIME = re.compile(ISO_WITH_ZONE.encode())
_CRI = re.compile(rb"(" + ISO_WITH_ZONE.encode() + rb") (stdout|stderr) ([FP])(?::[^ ]+)? (.*)", re.DOTALL)
#: What `sources.journal.render` makes of an entry.
_JOURNAL = re.compile(rb"([^ ]+) ([^ ]+) ([^ :]+): (.*)", re.DOTALL)
#: C0 and DEL, which a line of text does not hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Runtime:
    """The log of a runtime that marks parts of lines."""

    proves_starts = True
    escapes = True
    keeps_others = False

    def __init__(self, name: str, read: Callable[[bytes], Entry | None]) -> None:
        self.name = name
        self.read = read


class Journal:
    """The journal's entries of containers: their text may have a header of its own, or none but the journal's.

    Parts of lines were taken out by the source.
    """

    name = "journal of containers"
    proves_starts = False
    escapes = True
    keeps_others = False

    def read(self, line: bytes) -> Entry | None:
        """See `Wrapper.read`."""
        m = _JOURNAL.fullmatch(line)
        if m is None:
            return None
        # Entries are whole lines, but a program in the container may cut what it writes.
        return Entry(m[1], m[4], host=m[2], tag=m[3], stream=(m[2] + b" " + m[3]).decode("latin-1"))


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
    return Entry(timestamp, text.encode("utf-8", "surrogatepass"), stream=stream, is_part=is_part)


def _cri(line: bytes) -> Entry | None:
    m = _CRI.fullmatch(line)
    return None if m is None else Entry(m[1], m[4], stream=m[2].decode(), is_part=m[3] == b"P")


RUNTIMES: Final = (Runtime("docker", _docker), Runtime("cri", _cri))
"""Any entry shows these beyond doubt."""
