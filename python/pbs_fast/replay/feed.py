"""Logs in, scans out: several threads read and scan newline-aligned pieces; the results keep the log's order.

A scan is a pure function of bytes, so its content does not depend on threads and piece sizes (tested). Memory is
bounded by the pieces in progress, for logs of any size.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from pbs_fast.matching import SYSLOG, Backend, Scan
from pbs_fast.matching.reader import Reader, Ready
from pbs_fast.sources.lines import MAX_LINE, PIECE, Piece, Range, aligned, pieces
from pbs_fast.sources.open import LogReader, open_log

#: Pieces under way beyond one a thread, so that no thread waits while the consumer folds.
_AHEAD = 2

#: Bytes of a piece where several threads scan, and for how many seconds the consumer keeps the interpreter from them: a
#: thread that is done with its piece needs it to take the next one. With Python's 5 ms, and pieces as for one thread,
#: two threads took 0.45 s where they take 0.31 s so, and one 0.43 s.
_SHARED_PIECE = 4 << 20
_SHARED_SECONDS = 0.0005

#: Bytes in which a log's first conclusive line is looked for before whole pieces are.
_HEAD = 1 << 16
#: Bytes in which a line begins, nearly always, and from one such look at a large log to the next.
_FIRST = 1 << 12
_STEP = 1 << 20


class Scanned(NamedTuple):
    """One scanned piece."""

    scan: Scan
    reference: int
    """The second that the piece's years were judged from."""
    offset: int
    """That of what was `ready`."""
    end: int
    """Where the piece ends in its log, in bytes of text."""
    last_timestamp: int | None
    """Timestamp of the piece's last line that has a readable one."""
    read_seconds: float
    also: object = None
    """What the caller's own look at these lines gave."""


class FileEnd(NamedTuple):
    """The end of a log."""

    name: str
    bytes: int
    """Of text: uncompressed."""


_Job = Callable[[], list[Scanned]]

#: A further look at lines that are ready, by the thread that scans them: (lines, reference).
Also = Callable[[Ready, int], object]


class _Look(NamedTuple):
    """How one log is scanned."""

    reader: Reader
    reference: int
    also: Also | None


def default_threads(core: Backend) -> int:
    """One per processor for Rust, which releases the interpreter lock; one for Python, which cannot."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if core.name == "python" and gil:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scans(
    files: Sequence[str],
    reader: Reader,
    *,
    now: int | None,
    threads: int,
    size: int | None = None,
    on_position: Callable[[int, int], object] = lambda _file, _position: None,
    also: Also | None = None,
) -> Iterator[Scanned | FileEnd]:
    """The files' scans in order, a FileEnd after each file's last. They are not added to the reader's stream.

    `size` is that of a piece in bytes; None means what suits the threads. `now` is the second that years are judged
    from; None means each file's time of last modification. `on_position` gets, as scans complete, the file's index
    and how many bytes of it on the disk were used. `also` is called for each piece, in any order. Raises SourceError
    when a file cannot be read to its end.
    """
    pool = ThreadPoolExecutor(threads, "scan") if threads > 1 else None
    kept = sys.getswitchinterval()
    if pool is not None:
        sys.setswitchinterval(_SHARED_SECONDS)
    size = size or (PIECE if pool is None else _SHARED_PIECE)
    try:
        for index, file in enumerate(files):
            with open_log(file) as log:
                reader.begin_file()
                look = _Look(reader, log.reference(now), also)
                for scanned in _ordered(_jobs(log, look, size), pool, threads + _AHEAD):
                    yield scanned
                    on_position(index, scanned.end if log.seekable else log.position())
                yield FileEnd(log.name, log.text_read)
    finally:
        sys.setswitchinterval(kept)
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _ordered(jobs: Iterator[_Job], pool: ThreadPoolExecutor | None, window: int) -> Iterator[Scanned]:
    """The jobs' results in the jobs' order; never more than `window` of them under way or waiting."""
    if pool is None:
        for job in jobs:
            yield from job()
        return
    waiting: deque[Future[list[Scanned]]] = deque(pool.submit(job) for job in islice(jobs, window))
    while waiting:
        scanned = waiting.popleft().result()
        waiting.extend(pool.submit(job) for job in islice(jobs, 1))
        yield from scanned


def _jobs(log: LogReader, look: _Look, size: int) -> Iterator[_Job]:
    """Jobs for a log's lines, in order."""
    if not log.seekable:
        yield from _in_turn(pieces(log, size), look)
        return
    ranges = aligned(log, size)
    # Lines that are rewritten have to be so in their order; all others are read, and scanned, by any thread.
    if _is_rewritten(log, ranges, look.reader):
        yield from _in_turn((piece for part in ranges for piece in part.read()), look)
        return
    for part in ranges:
        yield partial(_read_and_scan, part, look.reader.layout or SYSLOG, look)


def _is_rewritten(log: LogReader, ranges: Sequence[Range], reader: Reader) -> bool:
    """Whether the first conclusive line says so; its layout is the reader's then."""
    # It is nearly always among the very first lines, and a whole piece would be read twice.
    head = [part._replace(stop=min(part.stop, _HEAD)) for part in ranges[:1]]
    for part in chain(head, ranges):
        if any(reader.decide(piece.data, piece.start, piece.stop) for piece in part.read()):
            break
    # Month names of another language may begin anywhere; the lines before them are read as they are in any case.
    step = min(_STEP, max(_FIRST, log.size() >> 6))
    firsts = (Range(log, at, min(at + _FIRST, log.size())) for at in range(0, log.size(), step))
    return reader.rewrites or any(reader.finds_months(*piece[:3]) for part in firsts for piece in part.read())


def _in_turn(parts: Iterator[Piece], look: _Look) -> Iterator[_Job]:
    """Jobs for what is read in turn; to ask for the next job reads, decompresses and rewrites its piece."""
    while True:
        started = time.perf_counter()
        piece = next(parts, None)
        if piece is None:
            return
        ready = look.reader.ready(piece.data, piece.start, piece.stop, offset=piece.offset)
        yield partial(_scan, ready, piece.end, time.perf_counter() - started, look)


def _read_and_scan(part: Range, layout: str, look: _Look) -> list[Scanned]:
    started = time.perf_counter()
    found = part.read()
    seconds = time.perf_counter() - started
    scans: list[Scanned] = []
    for piece in found:
        ready = Ready(piece.data, piece.start, piece.stop, piece.offset, layout)
        scans += _scan(ready, piece.end, 0.0 if scans else seconds, look)
    return scans


def _scan(ready: Ready, end: int, read_seconds: float, look: _Look) -> list[Scanned]:
    reader, reference = look.reader, look.reference
    scan = reader.scan(ready, reference)
    last = last_timestamp_of(ready, reader, reference)
    also = None if look.also is None else look.also(ready, reference)
    return [Scanned(scan, reference, ready.offset, end, last, read_seconds, also)]


def last_timestamp_of(ready: Ready, reader: Reader, reference: int) -> int | None:
    """In a log this is the timestamp of the piece's last line; only rubbish makes it look further back."""
    data, stop = ready.data, ready.stop
    while stop > ready.start:
        end = stop - 1 if data[stop - 1] == 0x0A else stop
        start = data.rfind(b"\n", ready.start, end) + 1 or ready.start
        if end - start <= MAX_LINE:
            timestamp = reader.timestamp_of(data[start:end].removesuffix(b"\r"), ready.layout, reference)
            if timestamp is not None:
                return timestamp
        stop = start
    return None
