"""The journal source: follows systemd's journal through journalctl, entry by entry, from cursor to cursor.

`journal_child` runs journalctl and says why it; `journal_export` parses what it writes, `journal_trust` says which
entries are believed, `journal_line` makes lines of them. Invariants:

- a cursor names the last entry taken. journalctl is started again from it whenever it ends, and begins with that very
  entry, so none is taken twice; when it begins with another one, the journal was vacuumed in between, and that is said;
- following begins behind the newest entry there is, before the past is read up to exactly that entry;
- entries that nobody believes are counted by reason, and said once where they pose as a mail server's.

journald tells readers of new entries by a timer of 0.25 s that may be as much late: lines come 0.25 to 0.5 s after they
were written (60 entries: median 0.39 s, greatest 0.50 s).
Imports of the package: errors and its neighbours.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.position import Identity
from pbs_fast.sources.file.source import BUDGET
from pbs_fast.sources.journal.export import Entry, ExportError, ExportParser
from pbs_fast.sources.journal.files import identities, machine_id, missing, options
from pbs_fast.sources.journal.journalctl import FOLLOW, PROGRAM, Child, command, require_program
from pbs_fast.sources.journal.past import JournalPast, read_all
from pbs_fast.sources.journal.render import CURSOR, same_entry
from pbs_fast.sources.journal.take import DROPPED, WANTED, Take
from pbs_fast.sources.journal.trust import Trust, believed_units
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.notices import Notice
from pbs_fast.sources.protocol import Before, NoPast, Wishes
from pbs_fast.sources.wakeup import LONGEST_ABSENT

if TYPE_CHECKING:
    from pbs_fast.sources.file.search import StampOf
    from pbs_fast.sources.journal.spec import JournalSpec
    from pbs_fast.sources.protocol import Past

#: First and greatest pause before journalctl is started again, in seconds.
SHORTEST, LONGEST = 0.1, 30.0
#: Seconds after which a run that ends was a good one.
GOOD = 60.0
#: Seconds between two looks whether names still mean the same files; journalctl follows what they meant at its start.
LOOK = 1.0


class JournalSource:
    """Follows the journal that a spec names. Not for several threads at once."""

    modified = None
    ended = False
    uncovered: str | None = None

    def __init__(self, spec: JournalSpec, wishes: Wishes, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = f"journal in {(*spec.directory, *spec.file)[0]}" if spec.given_files else "journal"
        self.counters: Counter[str] = Counter()
        """`entries` (read), `refused_...`, `too_long`, `notes` (journald's of what it dropped),
        `dropped_by_journald` (messages), `restarts` (of journalctl), `lost` (cursors that were vacuumed away).
        """
        self.behind = False
        self.trouble: Notice | None = None
        self.matches = _matches(believed_units(spec), wishes.tags)
        self.take = Take(self.name, Trust(spec, machine_id()), self.counters, wishes.tags, wishes.on_notice)
        self.spec = spec
        self._say = wishes.on_notice
        self._clock = clock
        self._reading_past = wishes.start == "begin"
        self._cursor: bytes | None = None
        """Of the last entry taken; None: before the first."""
        self._newest: Entry | None = None
        """The entry behind which following began."""
        self._awaited: bytes | None = None
        """The cursor that journalctl begins with after it was started again."""
        self._child: Child | None = None
        self._parser = ExportParser(WANTED)
        self._started = self._retry_at = 0.0
        self._pause = SHORTEST
        self._failing = False
        self._files: frozenset[Identity] = frozenset()
        self._look_at = 0.0
        self._offset = 0

    # -- start ------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the place behind the newest entry. Raises SourceError when journalctl is not there, or fails."""
        require_program()
        self._look()
        if self.trouble is None:
            # Asked in any case: a journalctl that fails now is for whoever starts us, not for trying again.
            newest = read_all(command(options(self.spec), WANTED, "--lines=1", matches=self.matches))
            if newest and not self._reading_past:
                self._newest = newest[-1]
                self._cursor = self._newest.fields.get(CURSOR)

    def _look(self) -> None:
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
        """True while what was there at the beginning is read (`start="begin"`)."""
        return self._reading_past and self.trouble is None

    def before(self) -> Before | None:
        """None: journald cuts no records."""
        return None

    def position(self) -> None:
        """None: the past of the journal is found by time."""
        return

    def replay(self, since: float, stamp_of: StampOf, now: float) -> Past:  # noqa: ARG002 - the protocol's signature
        if self.trouble is not None:
            return NoPast(self.trouble.text.removesuffix("; waiting for it"))
        return JournalPast(self, self._newest, since, now)

    # -- following --------------------------------------------------------------------------------------------------

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """The lines of what journalctl wrote since, about `budget` bytes of its output at most."""
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
            lines += self.take.lines(self._fresh(entries))
            budget -= len(data)
            if budget <= 0:
                self.behind = True
                break
        else:
            self._renamed()
        return self.pieces(lines)

    def pieces(self, lines: list[bytes]) -> list[Piece]:
        """Lines as a piece of this source, at the offset that they have among its lines."""
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
        return LOOK

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _start(self) -> bool:
        if self._clock() < self._retry_at:
            return False
        try:
            self._look()
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
        """The entries behind the cursor, which moves to the last of them."""
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
                text = f"{self.name}: the entry where reading stopped was removed; what came after it may be lost too"
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
        """Start it again after a pause; say so at the first of several times."""
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
        """Begin anew when the names mean other files than they did, and what the old ones held was read."""
        if self._clock() < self._look_at:
            return
        self._look_at = self._clock() + LOOK
        if self._child is not None and self._files != identities(self.spec):
            self.close()


def _matches(units: Sequence[str], tags: Sequence[str]) -> list[str]:
    """What journalctl is to look for in its index: entries of the units, entries that pose as such, dropped messages.

    None of it decides what is believed. Empty, so all entries, where a unit is a pattern.
    """
    names = [tag for tag in tags if "*" not in tag]
    if any("*" in unit for unit in units):
        return []
    groups = [[f"_SYSTEMD_UNIT={unit}" for unit in units], [f"SYSLOG_IDENTIFIER={tag}" for tag in names]]
    groups.append([f"MESSAGE_ID={DROPPED}", "_TRANSPORT=driver"])
    found: list[str] = []
    for group in filter(None, groups):
        found += ["+", *group] if found else group
    return found
