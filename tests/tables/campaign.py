"""kill -9 inside `apply`, system call by system call: what the campaign does and what it must find.

One round is one kill: a daemon's table code starts over what the kill before left (open, load, reconcile with the log,
rebuild), the table must then be what the log implies; a change is published and killed at one system call of it; what
stands there now must be the table of before or of after the change (`hash`: rows of either), with no row missing that
is valid in both. Postfix's own code reads each time. Readers look keys up all the while that are valid throughout,
across kills and restarts, and must never miss one nor meet an error.

The log here is the sum of all changes, the killed one included: its lines stand in the log before the table is touched.
What is found wrong is a line in `Result.faults`; nothing is asserted here, so that broken writers can be shown to be
noticed. The full campaign is benches/kills.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pbs_fast.errors import TableError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables import Table, list_rows, open_table, parse
from pbs_fast.tables.locks import TableBusyError
from pbs_fast.tables.queue import Pending
from tables.stepper import TELLING, WHENS, Call, Kind, Point, When, WorkError, step

#: Rows valid throughout; the readers ask for some of them.
STEADY = {f"192.0.{i >> 8}.{i & 255}" for i in range(2000)}
ASKED = sorted(STEADY)[::10]
BATCH = 300
#: More rows than a hash has room for, so that it is rebuilt; for the others a file of half a megabyte and more.
GROWTH = {"hash": 45_000, "btree": 15_000, "lmdb": 15_000, "cdb": 15_000, "text": 15_000}
#: Which share of the kills falls into each change.
SHARES = {"one row": 0.3, "in and out": 0.3, "300 in, 300 out": 0.3, "growth": 0.05, "shrinking": 0.05}
#: Which share of a change's kills falls on these system calls; the rest on all others.
AIM: tuple[tuple[tuple[Kind, ...], float], ...] = ((("write",), 0.45), (("rename", "sync", "lock"), 0.35))

#: How often a change is tried that comes to its end before the call at which it is to be killed.
_ATTEMPTS = 5

ROW = Grant(4_000_000_000, None, "campaign", "new")


class Kill(NamedTuple):
    """One kill and what stood there after it."""

    change: str
    call: str
    kind: Kind
    when: When
    stands: str
    """`old`, `new`, or `half`: rows of both."""
    litter: bool
    """Whether half a new file lay beside."""


@dataclass
class Result:
    """What a campaign of one table type found."""

    table: str
    kills: list[Kill] = field(default_factory=list)
    start_kills: list[Kill] = field(default_factory=list)
    """Kills inside the restart, counted apart."""
    completed: int = 0
    """Changes that came to their end before the call at which they were to be killed, however often tried."""
    readers: dict[str, int] = field(default_factory=dict)
    """Reader -> rounds of look-ups."""
    faults: list[str] = field(default_factory=list)

    @property
    def telling(self) -> int:
        """Kills that fell on a write, rename, sync or lock."""
        return sum(kill.kind in TELLING for kill in self.kills)

    @property
    def under_way(self) -> int:
        """Kills that left something half: a new file beside, or the change itself."""
        return sum(kill.litter or kill.stands == "half" for kill in self.kills)

    def by_kind(self) -> Counter[str]:
        return Counter(kill.kind for kill in self.kills)


class Changes:
    """The changes, one after the other, and the rows they lead to."""

    def __init__(self, kind: str) -> None:
        self.rows = set(STEADY)
        self._growth = GROWTH[kind]
        self._made = 0
        self._old: deque[str] = deque()
        self._grown: list[str] = []

    def next(self, name: str) -> Delta:
        """The change of this name; `rows` holds it from now on."""
        put, gone = self._of(name)
        self.rows |= set(put)
        self.rows -= set(gone)
        return Delta(dict.fromkeys(put, ROW), tuple(gone))

    def _of(self, name: str) -> tuple[list[str], list[str]]:
        if name == "growth":
            # A growth that was killed is in the log; the next one comes after it was taken back.
            gone, self._grown = self._grown, list(islice(self._addresses(), self._growth))
            return self._grown, gone
        if name == "shrinking":
            gone, self._grown = self._grown or list(islice(self._addresses(), self._growth)), []
            return [], gone
        many = BATCH if name == "300 in, 300 out" else 1
        put = list(islice(self._addresses(), many))
        gone = [] if name == "one row" else [self._old.popleft() for _ in range(min(many, len(self._old)))]
        self._old += put
        return put, gone

    def _addresses(self) -> Iterator[str]:
        while True:
            self._made += 1
            yield f"10.{self._made >> 16 & 255}.{self._made >> 8 & 255}.{self._made & 255}"


class Campaign:
    """Kills for one table type in one directory."""

    def __init__(self, kind: str, place: Path, opener: Callable[[str], Table] = open_table) -> None:
        """`opener` opens the table; another one than ours is a broken writer that must be noticed."""
        self.spec = f"{kind}:{place}/relay"
        self.result = Result(kind)
        self._kind = kind
        self._open = opener
        self._changes = Changes(kind)
        self._file = parse(self.spec).file or place
        self._says_postfix = kind != "text"
        table = opener(self.spec)
        table.rebuild(dict.fromkeys(STEADY, ROW))
        table.close()

    def run(self, kills: int, *, start_kills: int = 0, shares: Mapping[str, float] = SHARES) -> Result:
        """`kills` kills inside changes, shared out as `shares` says, and `start_kills` inside restarts."""
        with ExitStack() as stack:
            readers = [stack.enter_context(watching(name, file)) for name, file in self._readers()]
            self._readers_now = readers
            for name, share in shares.items():
                self._prepare_for(name)
                calls = self._trace(name)
                for point in aimed(calls, round(kills * share)):
                    self._round(name, point, self.result.kills)
            if start_kills:
                calls = step(lambda: self._restart, None).calls
                for point in aimed(calls, start_kills):
                    self._round_of_start(point)
            self._restarted_well()
            for reader in readers:
                self._judge(reader)
        return self.result

    def _readers(self) -> Iterator[tuple[str, str]]:
        if self._kind != "cdb":
            yield self._kind, str(self._file)
        if self._says_postfix:
            yield "postmap", self.spec

    # -- rounds -------------------------------------------------------------------------------------------------------

    def _prepare_for(self, name: str) -> None:
        if name == "shrinking":
            self._changes.next("growth")

    def _trace(self, name: str) -> list[Call]:
        """All system calls of such a change, none of them cut."""
        before = set(self._changes.rows)
        delta = self._changes.next(name)
        return step(lambda: self._publish(before, delta), None).calls

    def _round(self, name: str, point: Point, kills: list[Kill]) -> None:
        for attempt in range(_ATTEMPTS):
            if name == "shrinking":  # what is to shrink was published, whole, by the restart
                self._changes.next("growth")
            before = set(self._changes.rows)
            delta = self._changes.next(name)
            after = set(self._changes.rows)
            try:
                fate = step(
                    partial(self._publish, before, delta),
                    point,
                    prepared=partial(self._look, before, "after the restart"),
                )
            except WorkError as error:
                self.result.faults.append(f"{name}, {point}: {error}")
                return
            if fate.killed is not None or attempt == _ATTEMPTS - 1:
                break
            # How often a lock is tried depends on the readers, and which pages are touched on Berkeley DB.
            point = point._replace(nth=sum(call.kind == point.kind for call in fate.calls) - 1)
        self.result.completed += fate.killed is None
        self._record(name, fate.last, point.when, before, after, kills)

    def _round_of_start(self, point: Point) -> None:
        """A change, published and killed at its end; then the restart after it is killed as well."""
        self._changes.next("300 in, 300 out")
        stood, after = self._rows_there(), set(self._changes.rows)
        fate = step(lambda: self._restart, point)
        self._record("start", fate.last, point.when, stood, after, self.result.start_kills)

    def _record(self, name: str, last: Call, when: When, before: set[str], after: set[str], kills: list[Kill]) -> None:
        where = f"{name}, {when} {last.name}"
        there = self._look(None, where)
        stands = "old" if there == before else "new" if there == after else "half"
        if missing := (before & after) - there:
            self.result.faults.append(f"{where}: {len(missing)} rows valid before and after are not there")
        if too_many := there - (before | after):
            self.result.faults.append(f"{where}: {len(too_many)} rows that never were, or had gone before")
        if stands == "half" and self._kind != "hash":
            self.result.faults.append(f"{where}: neither the table of before the change nor that of after it")
        litter = any(path.name not in (self._file.name, f"{self._file.name}.owner") for path in self._beside())
        kills.append(Kill(name, last.name, last.kind, when, stands, litter))
        for reader in self._readers_now:
            reader.look()

    def _beside(self) -> list[Path]:
        return list(self._file.parent.iterdir())

    def _restart(self) -> Table:
        """As the daemon starts: what the log implies, in a new file renamed into place."""
        return self._started(self._changes.rows)

    def _started(self, rows: set[str]) -> Table:
        table = self._open(self.spec)
        table.load()
        table.rebuild(dict.fromkeys(rows, ROW))
        return table

    def _publish(self, rows: set[str], delta: Delta) -> Callable[[], object]:
        """Start with these rows; then what publishes the change, as the daemon does: locks are tried again."""
        pending = Pending(self._started(rows))
        pending.add(delta)

        def work() -> None:
            while not pending.flush(now=True):
                if "lock" not in str(pending.failing):
                    raise TableError(str(pending.failing))

        return work

    def _restarted_well(self) -> None:
        step(lambda: self._restart, None)
        self._look(set(self._changes.rows), "after the last restart")
        if litter := [path.name for path in self._beside() if path.name not in self._allowed()]:
            self.result.faults.append(f"after the last restart: {', '.join(litter)} is left over")

    def _allowed(self) -> tuple[str, str]:
        return self._file.name, f"{self._file.name}.owner"

    # -- readings -----------------------------------------------------------------------------------------------------

    def _look(self, expected: set[str] | None, where: str) -> set[str]:
        """The rows by our reading; a fault where they are not those expected, or Postfix reads others."""
        ours = self._rows_there(where)
        if expected is not None and ours != expected:
            self.result.faults.append(f"{where}: {len(ours ^ expected)} rows differ from what the log implies")
        if self._says_postfix:
            questions = "".join(f"{key}\n" for key in (*ours, "203.0.113.250"))
            if expected is None or self._kind == "cdb":  # which Postfix cannot list
                self._compare(where, ours, "-q", "-", question=questions)
            else:
                self._compare(where, ours, "-s")
        return ours

    def _compare(self, where: str, ours: set[str], *option: str, question: str = "") -> None:
        done = subprocess.run(
            ["postmap", *option, self.spec], input=question, capture_output=True, text=True, check=False
        )
        theirs = {line.split("\t")[0] for line in done.stdout.splitlines()}
        if done.stderr or theirs != ours:
            self.result.faults.append(
                f"{where}: postmap {option[0]} reads {len(theirs)} rows, we {len(ours)} {done.stderr.strip()}".rstrip()
            )

    def _rows_there(self, where: str = "") -> set[str]:
        try:
            while True:
                try:
                    return {key for key, _ in list_rows(self.spec)}
                except TableBusyError:
                    continue
        except TableError as error:
            self.result.faults.append(f"{where}: {error}")
            return set()

    def _judge(self, reader: Watcher) -> None:
        seen = reader.result()
        self.result.readers[reader.name] = seen["rounds"]
        for what in ("missing", "errors"):
            if seen[what]:
                self.result.faults.append(f"reader {reader.name}: {what} {dict(list(seen[what].items())[:3])}")


def aimed(calls: Sequence[Call], kills: int) -> list[Point]:
    """Points all over a change: so many at its writes, so many at its renames, syncs and locks, the rest elsewhere."""
    counted: Counter[Kind] = Counter()
    every = []
    for call in calls:
        every += [Point(call.kind, counted[call.kind], when) for when in WHENS]
        counted[call.kind] += 1
    points: list[Point] = []
    for kinds, share in AIM:
        points += spread([point for point in every if point.kind in kinds], round(kills * share))
    named = {kind for kinds, _ in AIM for kind in kinds}
    return points + spread([point for point in every if point.kind not in named], kills - len(points))


def spread(points: Sequence[Point], number: int) -> list[Point]:
    """So many of the points, evenly from the first to the last; all of them again and again where there are fewer."""
    if not points or number <= 0:
        return []
    rounds, rest = divmod(number, len(points))
    if rest == 1:
        return [*points] * rounds + [points[len(points) // 2]]
    return [*points] * rounds + [points[i * (len(points) - 1) // (rest - 1)] for i in range(rest)]


class Watcher:
    """A reading process (daemon/watcher.py)."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process

    def look(self) -> None:
        """Wait for one whole round of look-ups from now on."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("look\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "looked\n":
            raise AssertionError(f"the reader {self.name} died")

    def result(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=60)
        found: dict[str, Any] = json.loads(out)
        return found


@contextmanager
def watching(kind: str, file: str, keys: Sequence[str] = ASKED) -> Iterator[Watcher]:
    """A process that looks these keys up all the time."""
    script = Path(__file__).parents[1] / "daemon" / "watcher.py"
    process = subprocess.Popen(
        [sys.executable, script, kind, file, *keys], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "watching\n":
            raise AssertionError(f"the reader {kind} did not begin")
        yield Watcher(kind, process)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def postmap_alone(place: Path) -> Iterator[None]:
    """Let `postmap` read an empty configuration instead of this machine's."""
    config = place / "postfix"
    config.mkdir()
    (config / "main.cf").write_text("compatibility_level = 3.6\n")
    os.utime(config / "main.cf", (0, 0))  # postmap waits for a main.cf that is younger than two seconds
    before = os.environ.get("MAIL_CONFIG")
    os.environ["MAIL_CONFIG"] = str(config)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MAIL_CONFIG"]
        else:
            os.environ["MAIL_CONFIG"] = before
