"""The journal source: follows systemd's journal through journalctl, entry by entry, from cursor to cursor.

`journalctl.py` runs journalctl and explains why; `export.py` parses its output, `trust.py` decides which entries are
accepted, `render.py` makes lines of them. Invariants:

- a cursor names the last entry read. journalctl is restarted from it whenever it ends, and starts with that very entry,
  so none is read twice; if it starts with another one, the journal was vacuumed in between, which is logged;
- following begins after the newest existing entry, before the past is read up to exactly that entry;
- rejected entries are counted by reason, and logged once if they claim to be a mail server's.

journald notifies readers by a timer of 0.25 s that may be as late again: lines come 0.25 to 0.5 s after they were
written (60 entries: median 0.39 s, maximum 0.50 s).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.position import Identity
from pbs_fast.sources.journal.export import Entry, ExportError, ExportParser
from pbs_fast.sources.journal.files import identities, machine_id, missing, options
from pbs_fast.sources.journal.journalctl import FOLLOW, PROGRAM, Child, command, require_program
from pbs_fast.sources.journal.parts import Parts
from pbs_fast.sources.journal.past import JournalPast, read_all
from pbs_fast.sources.journal.render import CURSOR, same_entry
from pbs_fast.sources.journal.take import DROPPED, WANTED, Take
from pbs_fast.sources.journal.trust import Trust, accepted_units
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.protocol import BUDGET, Before, NoPast, Notice, SourceOptions
from pbs_fast.sources.wakeup import LONGEST_ABSENT

if TYPE_CHECKING:
    from pbs_fast.sources.journal.spec import JournalSpec
    from pbs_fast.sources.protocol import Past, TimestampOf

#: First and longest pause before journalctl is restarted, in seconds.
SHORTEST, LONGEST = 0.1, 30.0
#: A run of this many seconds resets the pause.
GOOD = 60.0
#: Seconds between two checks that paths still name the same files; journalctl follows those of its start.
CHECK = 1.0
#: Entries read before the first that is followed, in case it continues a cut record.
_BEFORE = 32


class JournalSource:
    """Follows the journal that a spec names. Not for several threads at once."""

    modified = None
    ended = False
    uncovered: str | None = None

    def __init__(
        self, spec: JournalSpec, source_options: SourceOptions, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.of_containers = bool(spec.container)
        self.name = f"journal in {(*spec.directory, *spec.file)[0]}" if spec.given_files else "journal"
        self.counters: Counter[str] = Counter()
        """`entries` (read), `refused_...`, `too_long`, `notes` (journald's of what it dropped),
        `dropped_by_journald` (messages), `restarts` (of journalctl), `lost` (cursors that were vacuumed away).
        """
        self.behind = False
        self.trouble: Notice | None = None
        self.matches = selected(accepted_units(spec), source_options.tags)
        self._trust = Trust(spec, machine_id(), self._on_account, clock)
        self._before = b""
        self.take = Take(self.name, self._trust, self.counters, source_options.tags, source_options.on_notice)
        self.spec = spec
        self._say = source_options.on_notice
        self._clock = clock
        self._reading_past = source_options.start == "begin"
        self._cursor: bytes | None = None
        """Of the last entry read; None before the first."""
        self._newest: Entry | None = None
        """The entry after which following began."""
        self._awaited: bytes | None = None
        """The cursor that journalctl starts with after a restart."""
        self._child: Child | None = None
        self._parser = ExportParser(WANTED)
        self._parts = Parts()
        self._started = self._retry_at = 0.0
        self._pause = SHORTEST
        self._failing = False
        self._files: frozenset[Identity] = frozenset()
        self._check_at = 0.0
        self._offset = 0

    def _on_account(self, uid: str, units: str) -> None:
        text = f"{self.name}: a mail server's account has been made, uid {uid}; its entries in {units} are accepted now"
        self._say(Notice("found", self.name, text))

    # -- start ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start after the newest entry. Raises SourceError if journalctl is missing or fails."""
        require_program()
        self._check_files()
        if self.trouble is None:
            # Run in any case: a journalctl that fails now must be reported at the start, not retried.
            newest = read_all(command(options(self.spec), WANTED, f"--lines={_BEFORE}", matches=self.matches))
            if newest and not self._reading_past:
                self._newest = newest[-1]
                self._cursor = self._newest.fields.get(CURSOR)
                # Not counted: the past has them.
                uncounted = Take(self.name, self._trust, Counter(), (), lambda _: None)
                self._before = b"".join(uncounted.lines(newest, self._parts))

    def _check_files(self) -> None:
        reason = missing(self.spec)
        if reason is None:
            if self.trouble is not None:
                self._say(Notice("found", self.name, f"{self.name} is there; following it"))
            self.trouble = None
        elif self.trouble is None:
            self.trouble = Notice("missing", self.name, reason)
            self._say(self.trouble)

    @property
    def pending(self) -> bool:
        """True while the entries that existed at the start are read (`start="begin"`)."""
        return self._reading_past and self.trouble is None

    def before(self) -> Before | None:
        """The newest entries when following began: a server may have cut a record there (docs/MATCHING.md, 4)."""
        return Before(self._before, 0, int(time.time())) if self._before else None

    @property
    def behind_bytes(self) -> None:
        """None: the journal counts no bytes."""

    def position(self) -> None:
        """None: a later run finds its place by time."""

    def replay(self, since: float, timestamp_of: TimestampOf, now: float) -> Past:  # noqa: ARG002 - the protocol's signature
        if self.trouble is not None:
            return NoPast(self.trouble.cause)
        return JournalPast(self, self._newest, since, now)

    # -- following --------------------------------------------------------------------------------------------------

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """The lines of journalctl's new output, about `budget` bytes of it at most."""
        self.behind = False
        if self._child is None and not self._start():
            return []
        lines: list[bytes] = []
        while self._child is not None and (data := self._child.read()) is not None:
            if not data:
                self._ended()
                break
            try:
                entries = self._parser.feed(data)
            except ExportError as error:
                self._failed(f"what {PROGRAM} writes is damaged ({error})")
                break
            lines += self.take.lines(self._fresh(entries), self._parts)
            budget -= len(data)
            if budget <= 0:
                self.behind = True
                break
        else:
            self._renamed()
        return self.pieces(lines)

    def pieces(self, lines: list[bytes]) -> list[Piece]:
        """Lines as a piece, with their offset among all lines of this source."""
        if not lines:
            return []
        data = b"".join(lines)
        begin = self._offset
        self._offset += len(data)
        return [Piece(data, 0, len(data), begin, self._offset)]

    def filenos(self) -> list[int]:
        return [] if self._child is None else [self._child.fileno()]

    def timeout(self) -> float:
        if self.behind:
            return 0.0
        if self._child is None:
            return max(0.0, self._retry_at - self._clock())
        return CHECK

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _start(self) -> bool:
        if self._clock() < self._retry_at:
            return False
        try:
            self._check_files()
            if self.trouble is not None:
                self._later(LONGEST_ABSENT)
                return False
            more = [] if self._reading_past else [*FOLLOW]
            if self._cursor is not None:
                more.append(f"--cursor={self._cursor.decode()}")
            self._child = Child(command(options(self.spec), WANTED, *more, matches=self.matches))
        except SourceError as error:
            self._failed(str(error))
            return False
        self._parser = ExportParser(WANTED)
        self._awaited = self._cursor
        self._started = self._clock()
        self._files = identities(self.spec)
        return True

    def _fresh(self, entries: list[Entry]) -> list[Entry]:
        """The entries after the cursor, which moves to the last of them."""
        if not entries:
            return entries
        if self._failing:
            self._failing = False
            self._say(Notice("found", self.name, f"{self.name} is read again"))
        if self._awaited is not None:
            if same_entry(entries[0].fields.get(CURSOR), self._awaited):
                entries = entries[1:]
            else:
                self.counters["lost"] += 1
                text = f"{self.name}: the entry where reading stopped was removed; later ones may be lost too"
                self._say(Notice("lost", self.name, text))
            self._awaited = None
        if entries:
            self._cursor = entries[-1].fields.get(CURSOR, self._cursor)
        return entries

    def _ended(self) -> None:
        """journalctl closed its output."""
        child, self._child = self._child, None
        if child is None:
            return
        said, status = child.said, child.close()
        if self._reading_past and status == 0:
            self._reading_past = False
            self._retry_at = 0.0
            return
        self._failed(f"{PROGRAM} ended (status {status}{', ' + said if said else ''})")

    def _failed(self, reason: str) -> None:
        """Restart it after a pause; log the first of several failures."""
        self.close()
        self.counters["restarts"] += 1
        if self._clock() - self._started >= GOOD:
            self._pause = SHORTEST
        if not self._failing:
            self._failing = True
            self._say(Notice("read-error", self.name, f"{self.name}: {reason}; starting it again"))
        self._later()

    def _later(self, longest: float = LONGEST) -> None:
        self._retry_at = self._clock() + self._pause
        self._pause = min(self._pause * 2, longest)

    def _renamed(self) -> None:
        """Restart journalctl if the paths name other files now; the old ones were read to their end."""
        if self._clock() < self._check_at:
            return
        self._check_at = self._clock() + CHECK
        if self._child is not None and self._files != identities(self.spec):
            self.close()


def selected(units: Sequence[str], tags: Sequence[str]) -> list[str]:
    """What journalctl selects by its index: entries of the units, entries with their tags, notes of dropped messages.

    It does not decide what is accepted. Empty, so all entries, if a unit is a pattern. Of a tag `*/NAME`, which the
    index cannot find, Debian's spelling is asked for: cyrus/NAME.
    """
    names = list(dict.fromkeys(f"cyrus{tag[1:]}" if tag.startswith("*/") else tag for tag in tags))
    if any("*" in unit for unit in units):
        return []
    groups = [[f"_SYSTEMD_UNIT={unit}" for unit in units], [f"SYSLOG_IDENTIFIER={tag}" for tag in names]]
    groups.append([f"MESSAGE_ID={DROPPED}", "_TRANSPORT=driver"])
    found: list[str] = []
    for group in filter(None, groups):
        found += ["+", *group] if found else group
    return found
