"""Reads the logs of the window again, for the lines about some addresses or one login.

The same sources, reader and formats as the daemon's, so that `why` sees what the daemon saw: rotated and compressed
files, the journal, containers' entries. Lines that cannot matter are passed over by `needles`. Nothing is written, no
lock is taken; the daemon need not run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pbs_fast.control.why.findings import Findings, Line, LogPart, Message, Missed
from pbs_fast.control.why.needles import CONTEXT, Needles, line_at
from pbs_fast.errors import PbsError
from pbs_fast.matching.distrust import Distrust
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.open import LogReader, open_log
from pbs_fast.sources.protocol import Past, Replayed, SourceOptions
from pbs_fast.sources.registry import find_scheme, make_source
from pbs_fast.sources.wakeup import Hints
from pbs_fast.util.text import fold_user

if TYPE_CHECKING:
    from pbs_fast.events import Event
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.rewrite.logtime import LogTime

#: Missed lines that are kept; more of them are a fault of a format, which `match --missed` shows.
MOST_MISSED = 100

#: Postfix's smtpd names the client once a message (smtpd.c); with sasl_method the client authenticated.
_CLIENT = re.compile(
    rb"smtpd\b[^\n]* ([0-9A-Za-z]{6,}): client=[^ ]*\[([0-9A-Fa-f:.]+)\](?::[0-9]+)?(?=[,\r\n]|\Z)(?!.*sasl_)"
)


@dataclass(frozen=True)
class About:
    """Whom lines must be about. Exactly one of the two is set."""

    addresses: frozenset[str] = frozenset()
    """Canonical."""
    user: str | None = None
    """As `guards.deny.fold_user` makes it."""

    def takes(self, event: Event) -> bool:
        if self.user is not None:
            return event.user is not None and fold_user(event.user) == self.user
        return event.ip in self.addresses


@dataclass(frozen=True)
class Reading:
    """How this site's logs are read."""

    core: Backend
    matcher: Matcher
    logtime: LogTime | None
    tags: Sequence[str]
    """Those of the formats, which a source needs."""
    raw_tags: Callable[[str], Collection[str]] = lambda _: ()
    """The tags by whose lines the rest of a log counts for nothing."""


def search(
    about: About,
    logs: Sequence[str],
    reading: Reading,
    needles: Callable[[], Needles | None],
    on_event: Callable[[Event, Line, int], object],
    found: Findings,
) -> None:
    """Read the window of `found` in each log. Its logins go to `on_event`, with their line and the second that their
    year was judged from; all else goes into `found`. `needles` makes those of one log."""
    for spec in logs:
        wanted = needles()
        events, missed, messages, part = _log(about, spec, reading, wanted, found)
        if wanted is not None and wanted.incomplete:
            events, missed, messages, part = _log(about, spec, reading, None, found)
        found.logs.append(part)
        found.missed += missed[: MOST_MISSED - len(found.missed)]
        found.messages += messages
        for event, line, reference in events:
            on_event(event, line, reference)


_Found = tuple[list[tuple["Event", Line, int]], list[Missed], list[Message], LogPart]


def _log(about: About, spec: str, reading: Reading, needles: Needles | None, window: Findings) -> _Found:
    events: list[tuple[Event, Line, int]] = []
    missed: list[Missed] = []
    messages: list[Message] = []
    hints = Hints(enabled=False)
    source = make_source(spec, SourceOptions("replay", hints, tags=reading.tags))
    try:
        source.open()
        raw = reading.raw_tags(spec) if find_scheme(spec) is None else ()
        reader = Reader(
            reading.core,
            reading.matcher,
            source=source.name,
            gap=0,
            live=False,
            fold=False,
            logtime=reading.logtime,
            distrust=Distrust(raw) if raw else None,
        )
        past = source.replay(window.since, reader.timestamp, window.now)
        try:
            for data, start, stop, offset, one in _parts(past, reader, None if raw else needles):
                for event in reader.events(data, start, stop, offset=offset, reference=one.reference):
                    at = event.offset - offset + start
                    begin, end = line_at(data, at, start, stop)
                    text = data[begin:end]
                    if event.kind == "missed":
                        if event.reason and _names(about, text) and _within(reader, text, one.reference, window):
                            missed.append(Missed(event.reason, _line(one.path, event.offset, text)))
                    elif event.kind == "login" and about.takes(event):
                        events.append((event, _line(one.path, event.offset, text), one.reference))
                messages += _messages(about, data, start, stop, reader, one.reference)
            coverage = past.coverage
        finally:
            past.close()
        trouble = source.trouble
        reason = coverage.reason
        if trouble is not None:  # in words for a daemon, which waits
            reason = trouble.text.removesuffix("; waiting for it").removesuffix("; waiting for one")
        part = LogPart(source.name, coverage.complete, reason)
    except PbsError as error:
        part = LogPart(source.name, False, str(error))
    finally:
        source.close()
        hints.close()
    return events, missed, messages, part


def _parts(past: Past, reader: Reader, needles: Needles | None) -> Iterator[tuple[bytes, int, int, int, Replayed]]:
    """The parts of the past that must be scanned: data, start, stop, offset of start, and where they are from."""
    before: Replayed | None = None
    scanned = 0
    """Index in the data of the piece before, up to which it was scanned."""
    while not past.done:
        for one in past.step():
            piece = one.piece
            if piece.offset == 0:
                reader.begin_file()
                before = None
            windows = [] if needles is None else needles.windows(piece.data, piece.start, piece.stop)
            if needles is None or (reader.layout is None and not reader.rewrites):
                yield piece.data, piece.start, piece.stop, piece.offset, one
                before, scanned = one, piece.stop
                continue
            if windows and before is not None and windows[0][0] == piece.start and scanned < before.piece.stop:
                tail = before.piece
                begin = max(tail.start, scanned, tail.data.find(b"\n", tail.stop - CONTEXT, tail.stop) + 1)
                yield tail.data, begin, tail.stop, tail.offset + begin - tail.start, before
            for begin, end in windows:
                yield piece.data, begin, end, piece.offset + begin - piece.start, one
            before, scanned = one, windows[-1][1] if windows else piece.start


def _names(about: About, line: bytes) -> bool:
    """Whether a line holds the user's name, or one of the addresses as a word."""
    if about.user is not None:
        return about.user in fold_user(line.decode("utf-8", "replace"))
    return any(
        re.search(rb"(?<![0-9A-Fa-f:.])" + re.escape(address.encode()) + rb"(?![0-9A-Fa-f:]|\.[0-9])", line)
        for address in about.addresses
    )


def _messages(about: About, data: bytes, start: int, stop: int, reader: Reader, reference: int) -> list[Message]:
    if about.user is not None:
        return []
    found = []
    place = data.find(b": client=", start, stop)
    while place >= 0:
        begin, end = line_at(data, place, start, stop)
        client = _CLIENT.search(data, begin, end)
        if client is not None and (ip := _canonical(client[2])) in about.addresses:
            when = reader.timestamp(data[begin:end].rstrip(b"\r\n"), reference)
            found.append(Message(when, ip, client[1].decode()))
        place = data.find(b": client=", end, stop)
    return found


def _canonical(text: bytes) -> str:
    from pbs_fast.util.addresses import canonical

    return canonical(text.decode("ascii")) or ""


def _within(reader: Reader, line: bytes, reference: int, window: Findings) -> bool:
    when = reader.timestamp(line.rstrip(b"\r\n"), reference)
    return when is None or when >= window.since


def _line(path: str, offset: int, text: bytes) -> Line:
    return Line(path, offset, text.rstrip(b"\r\n").decode("utf-8", "replace"))


def numbered(lines: Iterable[Line]) -> dict[Line, Line]:
    """The lines with their numbers, as far as their files still hold them there; each file is read once."""
    files: dict[str, set[Line]] = {}
    for line in lines:
        files.setdefault(line.path, set()).add(line)
    found = {}
    for path, here in files.items():
        if os.path.isfile(path):  # noqa: PTH113 - any bytes
            with suppress(PbsError), open_log(path) as log:
                for line, number in _counted(log, sorted(here, key=lambda line: line.offset)):
                    found[line] = line._replace(number=number)
    return found


def _counted(log: LogReader, lines: Sequence[Line]) -> Iterator[tuple[Line, int]]:
    """Each line that is at its offset, in ascending order, with its number. Counts 2 GB a second. Raises PbsError."""
    place, count, rest = 0, 1, b""
    for line in lines:
        while place + len(rest) <= line.offset:
            count += rest.count(b"\n")
            place += len(rest)
            if not (rest := log.read(1 << 20)):
                return
        skipped = line.offset - place
        count += rest.count(b"\n", 0, skipped)
        place, rest = line.offset, rest[skipped:]
        while b"\n" not in rest and (more := log.read(1 << 20)):
            rest += more
        if rest.partition(b"\n")[0].rstrip(b"\r").decode("utf-8", "replace") == line.text:
            yield line, count
