"""One log of the daemon: its past through the replay, and what is appended to it, as Batches.

The past and the present are two sequences of lines, read in turns, so a login of now does not wait for those of half an
hour ago. Imports matching and sources; knows no ledger and no tables.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, compress
from typing import TYPE_CHECKING

from pbs_fast.daemon.headers import HeaderWatch
from pbs_fast.errors import SourceError
from pbs_fast.health.log_health import LogHealth
from pbs_fast.log.records import event
from pbs_fast.matching.distrust import Distrust
from pbs_fast.matching.protocol import SYSLOG
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.file.position import Position
from pbs_fast.sources.protocol import BUDGET, Coverage, Past, SourceOptions, Start
from pbs_fast.sources.registry import make_source

if TYPE_CHECKING:
    from pbs_fast.events import Batch
    from pbs_fast.formats import Format
    from pbs_fast.log.records import Kind
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.rewrite import Shape
    from pbs_fast.matching.rewrite.logtime import LogTime
    from pbs_fast.sources.lines import Piece
    from pbs_fast.sources.protocol import Notice
    from pbs_fast.sources.wakeup import Hints

log = logging.getLogger(__name__)

#: The events that a source's notices are; the others are warnings.
_EVENTS: dict[str, Kind] = {
    "missing": "log_gone",
    "unreadable": "log_gone",
    "not-a-log": "log_gone",
    "found": "log_back",
    "rotated": "log_rotated",
}
#: Characters of a name from a line that the daemon keeps: those of the longest host name (RFC 1035, 2.3.4).
LONGEST = 255


class Follower:
    """One log. Not for several threads at once."""

    def __init__(
        self,
        spec: str,
        core: Backend,
        matcher: Matcher,
        *,
        grace: int,
        start: Start | Position,
        hints: Hints,
        tags: Sequence[str] = (),
        fold_past: bool = True,
        sessions: bool = True,
        logtime: LogTime | None = None,
        shape: Shape | None = None,
        raw_tags: Sequence[str] = (),
        formats: Sequence[Format] = (),
    ) -> None:
        """`start`: "replay" (what comes from now on; `begin_replay` gives the past), "begin" (all that there is) or the
        place to which an earlier run read (`resume` gives what came since).

        `spec` is a path or what `sources.scheme` knows; UsageError for one that is not understood. `tags` are those of
        the formats: a source that refuses lines says so of those that carry one.
        `fold_past` false gives the past event by event, as the present always is: its batches are small. `sessions`
        false leaves out what only matters where sessions are counted: of a hub's events, logouts are four in ten.
        `logtime` is how this site writes its timestamps, where the matcher does not know it, `shape` that of its JSON
        records. `raw_tags` are given for a
        file into which the logging daemon writes line feeds as they are: from the first line of these programs on, no
        login in it counts. `formats` are the matcher's, to tell whether the log is understood.
        """
        self._opening = False
        self._layout: str | None = None

        self.covered: Coverage | None = None
        """Set by who read the past without `begin_replay`."""
        self.busy = False
        """The last poll found lines."""
        self.health = LogHealth(formats)
        self.refused = self.lost = ""
        """What the source last said about entries that it rejected, and about lines that are lost; "" for nothing."""
        self.last_line: int | None = None
        """When a line last came, in seconds since the epoch; None: none since the start."""
        self.last_login: int | None = None
        """The latest timestamp of a login, in seconds since the epoch."""
        self.logins: Counter[str] = Counter()
        """Logins by format."""
        self.source = make_source(spec, SourceOptions(start, hints, self._on_notice, tags))
        self.path = self.source.name
        """What messages call the log."""
        self._headers = HeaderWatch(self.path, core.unusual_begins)
        self._distrust = Distrust(raw_tags, self._on_raw_name) if raw_tags else None

        def new_reader(*, live: bool, fold: bool) -> Reader:
            return Reader(
                core,
                matcher,
                source=self.path,
                gap=grace,
                live=live,
                fold=fold,
                sessions=sessions,
                logtime=logtime,
                shape=shape,
                of_containers=self.source.of_containers,
                on_layout=self._on_layout,
                distrust=self._distrust,
            )

        self._new_reader = new_reader
        self._past = new_reader(live=False, fold=fold_past)
        self._present = new_reader(live=start != "begin", fold=False)
        self._live = start != "begin"
        self._resumed_at: int | None = None
        self._replay: Past | None = None
        self._absent = False
        """There was nothing to read when the replay began."""

    def open(self, *, waits: bool = True) -> None:
        """Look at the log for the first time. One that is not there yet is waited for, unless `waits` is false.

        Raises SourceError for one that cannot be read or is no log: then something is to be mended first.
        """
        self._opening = True
        self.source.open()
        self._opening = False
        trouble = self.source.trouble
        if trouble is None:
            return
        if trouble.kind != "missing":
            raise SourceError(trouble.cause)
        if not waits:
            raise SourceError(f"{trouble.cause}; name a log that exists, or leave out --once to wait for it")
        self._on_notice(trouble)

    # -- the past ---------------------------------------------------------------------------------------------------

    def begin_replay(self, since: float, now: float) -> None:
        """Plan to read what was logged since `since`; both in seconds since the epoch."""
        self._replay = self.source.replay(since, self._past.timestamp, now)
        self._absent = self.source.trouble is not None
        self._prime()

    def resume(self, coverage: Coverage, now: float) -> None:
        """Plan to read what was logged since the Position that the follower was made with; `now` since the epoch."""
        self.covered = coverage
        self._resumed_at = int(now)
        self._prime()

    @property
    def position(self) -> Position | None:
        """How far the log was read, for the start of a later run; None where nothing can be come back to."""
        return self.source.position()

    @property
    def replaying(self) -> bool:
        """True while there is more of the past to read."""
        return self._resumed_at is not None or (self._replay is not None and not self._replay.done)

    @property
    def coverage(self) -> Coverage:
        """Whether all that was logged since the window's start was seen, and the reason in words."""
        if self.covered is not None:
            return self.covered
        if self._replay is None:
            return Coverage(False, f"{self.path} was not replayed")
        found = self._replay.coverage
        if self._absent and self.source.trouble is None:
            return found._replace(reason=f"when the daemon started: {found.reason.split('; waiting for ')[0]}")
        return found

    def step(self) -> Batch:
        """The logins in the next part of the past."""
        if self._resumed_at is not None:
            batch = self.read(self.source.poll(), self._resumed_at)
            if not self.source.behind:
                self._resumed_at = None
            return batch
        if self._replay is not None:
            for piece, reference, _ in self._replay.step():
                self._feed(self._past, piece, reference)
        return self._taken(self._past)

    # -- the present ------------------------------------------------------------------------------------------------

    def poll(self, reference: int, budget: int = BUDGET) -> Batch:
        """The logins in what was appended since the last call, in about `budget` bytes at most; `reference` is now, in
        seconds since the epoch."""
        if self._resumed_at is not None:
            return self._taken(self._present)
        pieces = self.source.poll(budget)
        self.busy = bool(pieces)
        return self.read(pieces, reference)

    @property
    def modified(self) -> int | None:
        """When what is followed was last written, in seconds since the epoch; None when there is no such time."""
        return self.source.modified

    def go_live(self) -> None:
        """From here on the lines are those of now, not of a log that is read from its beginning."""
        self._past, self._present = self._present, self._new_reader(live=True, fold=False)
        self._live = True
        self._prime()

    def read(self, pieces: Iterable[Piece], reference: int) -> Batch:
        """The logins in pieces of the source."""
        for piece in pieces:
            self.last_line = reference
            self._feed(self._present, piece, reference)
        return self._taken(self._present)

    def timestamp(self, line: bytes, reference: int) -> int | None:
        """The timestamp of one line in this log's layout."""
        return self._present.timestamp(line, reference)

    @property
    def counters(self) -> dict[str, int]:
        """Lines and events of past and present (docs/MATCHING.md, 7), and what the source counted (`log_...`)."""
        total: dict[str, int] = {f"log_{name}": n for name, n in self.source.counters.items()}
        total["log_headerless"] = self._headers.count
        total["log_distrusted"] = self._distrust.lines if self._distrust is not None else 0
        for reader in (self._past, self._present):
            for name, n in reader.counters.items():
                total[name] = total.get(name, 0) + n
        return total

    def close(self) -> None:
        """Let the log go."""
        if self._replay is not None:
            self._replay.close()
        self.source.close()

    def _feed(self, reader: Reader, piece: Piece, reference: int) -> None:
        if piece.offset == 0:
            reader.begin_file()
            self.health.begin_file()
        arrived = self._live and reader is self._present and self._resumed_at is None
        reader.feed(piece.data, piece.start, piece.stop, offset=piece.offset, reference=reference, arrived=arrived)
        self._headers.saw(piece, reader, reference)
        if self.health.wants_lines:
            self.health.look(reader, piece, reference)

    def _taken(self, reader: Reader) -> Batch:
        """The rows that the reader has, counted by format, without those of logging daemons that dropped lines."""
        batch = self.health.lost.taken(clipped(reader.take()))
        if not batch:
            return batch
        formats, n, last = batch.format, batch.n, batch.last
        if (logins := batch.kind.count("login")) < len(batch):
            is_login = [kind == "login" for kind in batch.kind]
            formats, n, last = [*compress(formats, is_login)], [*compress(n, is_login)], [*compress(last, is_login)]
        if logins:
            self.last_login = max(last) if self.last_login is None else max(self.last_login, *last)
        if sum(n) == logins:
            self.logins.update(formats)
        else:
            for format_, number in zip(formats, n, strict=True):
                self.logins[format_] += number
        return batch

    def _prime(self) -> None:
        """Show the live reader the lines before its first, and forget their events: the replay has them."""
        if (before := self.source.before()) is not None:
            self._present.prime(before.data, before.start, reference=before.reference)

    def _on_layout(self, layout: str) -> None:
        if self._layout not in (None, layout):
            log.warning(f"{self.path}: the layout of the lines changed from {self._layout} to {layout}")
        elif self._layout is None and layout != SYSLOG:
            log.info(f"{self.path}: the layout of the lines is {layout}")
        self._layout = layout

    def _on_raw_name(self, tag: str) -> None:
        log.warning(
            f"{self.path}: {tag} logs user names unescaped and the logging daemon writes line feeds, so strangers can "
            "forge logins here: no further login in this log counts; correct the logging daemon's configuration "
            '(SECURITY.md) and restart, or set raw_line_feeds = "accept"'
        )

    def _on_notice(self, notice: Notice) -> None:
        if notice.kind == "refused":
            self.refused = notice.text
        elif notice.kind == "lost":
            self.lost = notice.text
        if not self._opening:
            level = logging.INFO if notice.kind == "rotated" else logging.WARNING
            log.log(level, notice.text, extra=event(_EVENTS.get(notice.kind, "warning"), [self.path]))


def clipped(batch: Batch) -> Batch:
    """The batch, its texts from lines cut to LONGEST characters.

    A name in a forged line may be 16 KiB long, and rows, sessions and counts of users keep names. A cut one ends in an
    ellipsis, so that it is the name of no host that is allowed and of no session that is known.
    """
    columns: tuple[list[str | None], ...] = (
        batch.host,  # type: ignore[assignment]  # it holds no None, nor does `process`
        batch.user_first,
        batch.user_last,
        batch.session,
        batch.process,
    )
    if max(map(len, filter(None, chain.from_iterable(columns))), default=0) > LONGEST:
        for texts in columns:
            texts[:] = [text if text is None or len(text) <= LONGEST else f"{text[:LONGEST]}…" for text in texts]
    return batch
