"""The past of the journal: from the window's start up to the entry after which following began.

The coverage is judged by the journal's oldest entry: rotation and vacuum remove the oldest first. It is denied if
journald dropped messages, or if the entry where following began was removed before the past was read up to it.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Protocol

from pbs_fast.errors import SourceError
from pbs_fast.sources.journal.export import Entry, ExportError, ExportParser
from pbs_fast.sources.journal.files import options
from pbs_fast.sources.journal.journalctl import Child, command
from pbs_fast.sources.journal.parts import Parts
from pbs_fast.sources.journal.render import CURSOR, STORED, same_entry
from pbs_fast.sources.journal.take import WANTED
from pbs_fast.sources.protocol import Coverage, Replayed, not_covering
from pbs_fast.util.text import utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pbs_fast.sources.journal.spec import JournalSpec
    from pbs_fast.sources.journal.take import Take
    from pbs_fast.sources.lines import Piece

#: Seconds before the window's start from which entries are read too: they are sent before they are stored, and a clock
#: step puts them out of order.
SLACK = 300
#: Most bytes of journalctl's output per step, and most seconds, for which live lines wait.
_STEP, _WAIT = 1_048_576, 0.02
#: Timeout in seconds for a query that takes milliseconds.
_PATIENCE = 60.0


class FollowedJournal(Protocol):
    """What the past needs from its source."""

    spec: JournalSpec
    matches: list[str]
    take: Take

    @property
    def name(self) -> str: ...
    def pieces(self, lines: list[bytes]) -> list[Piece]: ...


class JournalPast:
    """The past of one JournalSource. `last` is the last entry that belongs to it, if any."""

    def __init__(self, source: FollowedJournal, last: Entry | None, since: float, now: float) -> None:
        self.done = False
        self._source = source
        self._since = since
        self._now = int(now)
        self._last = last.fields.get(CURSOR) if last else None
        self._fault: str | None = None
        self._parser = ExportParser(WANTED)
        self._parts = Parts()
        self._child: Child | None = None
        self._oldest: int | None = None
        try:
            self._oldest = _oldest(source)
            begin = max(0, int(since) - SLACK)
            if last is None or _stored(last, begin) < begin:
                self.done = True
            else:
                self._child = Child(command(options(source.spec), WANTED, f"--since=@{begin}", matches=source.matches))
        except SourceError as error:
            self._end(str(error))

    def step(self) -> list[Replayed]:
        """The lines of the next entries; waits some milliseconds for journalctl."""
        lines: list[bytes] = []
        read = 0
        end = time.monotonic() + _WAIT
        while self._child is not None and read < _STEP and (left := end - time.monotonic()) > 0:
            data = self._child.read()
            if data is None:
                _readable(self._child.fileno(), left)
                continue
            if not data:
                self._ended(self._child)
                break
            read += len(data)
            try:
                entries = self._parser.feed(data)
            except ExportError as error:
                self._end(f"its output was damaged ({error})")
                break
            lines += self._source.take.lines(self._upto_last(entries), self._parts)
        return [Replayed(piece, self._now, self._source.name) for piece in self._source.pieces(lines)]

    @property
    def coverage(self) -> Coverage:
        name = self._source.name
        if not self.done:
            return Coverage(False, f"the replay of the {name} has not ended")
        if self._fault is not None:
            return Coverage(False, f"{name}: {self._fault}")
        if self._oldest is None:
            return Coverage(False, f"{name} holds no entry")
        if self._oldest > self._since:
            return Coverage(False, not_covering(name, self._oldest, self._since, self._now))
        begins = utc(self._oldest)
        if self._source.take.dropped:
            return Coverage(False, f"{name}: journald dropped messages of a mail server within the window")
        since = utc(self._since)
        return Coverage(True, f"{name} was read back to {since}, and starts at {begins}")

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _upto_last(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        for index, entry in enumerate(entries):
            if same_entry(entry.fields.get(CURSOR), self._last):
                self._end(None)
                return entries[: index + 1]
        return entries

    def _ended(self, child: Child) -> None:
        said, status = child.said, child.close()
        self._child = None
        if status != 0:
            self._end(f"journalctl ended with status {status} {said}".rstrip())
        elif self._parser.unfinished:
            self._end("journalctl ended within an entry")
        else:
            self._end("its newest entry was removed while it was read")

    def _end(self, fault: str | None) -> None:
        self.done = True
        self._fault = fault
        self.close()


def read_all(arguments: Sequence[str], most: int | None = None) -> list[Entry]:
    """The entries of one run of journalctl, at most `most` (about). Raises SourceError when it fails."""
    child = Child(arguments)
    parser = ExportParser(WANTED)
    found: list[Entry] = []
    end = time.monotonic() + _PATIENCE
    try:
        while most is None or len(found) < most:
            data = child.read()
            if data is None:
                if time.monotonic() > end:
                    raise SourceError(f"journalctl did not answer within {_PATIENCE:.0f} s")
                _readable(child.fileno(), 1.0)
                continue
            if not data:
                said, status = child.said, child.close()
                if status != 0:
                    raise SourceError(f"journalctl failed with status {status}: {said or 'no error message'}")
                break
            found += parser.feed(data)
    except ExportError as error:
        raise SourceError(f"journalctl: its output is damaged ({error})") from error
    finally:
        child.close()
    return found


def _oldest(source: FollowedJournal) -> int | None:
    """When the oldest entry in the files was stored, in seconds since the epoch."""
    # Journals of single users are separate files and kept longer; given files are read as they are.
    more = [] if source.spec.given_files else ["--system"]
    found = read_all(command(options(source.spec), WANTED, *more), most=1)
    return _stored(found[0], 0) if found else None


def _stored(entry: Entry, otherwise: int) -> int:
    """When an entry was stored, in seconds since the epoch."""
    stored = entry.fields.get(STORED, b"")
    return int(stored) // 1_000_000 if stored.isdigit() else otherwise


def _readable(fd: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(int(seconds * 1000 + 0.999)))
