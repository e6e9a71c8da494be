"""`import-config --check LOG`: line by line, what the old file's own code grants and what the imported one grants.

perl evaluates the old file and asks its custom_match, or its $pat and $out_pat, about each line, as the old program
did; the program itself is not needed. Networks, guards and the table play no part. Imports what was converted, and the
matcher.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pbs_fast.config import load, merge
from pbs_fast.errors import ConfigError, SourceError
from pbs_fast.legacy import perl
from pbs_fast.legacy.convert import Conversion
from pbs_fast.legacy.evaluate import Old, check, read
from pbs_fast.match.lines import Run
from pbs_fast.match.render import Source
from pbs_fast.matching import load_backend
from pbs_fast.matching.rewrite import read_logtime
from pbs_fast.matching.site import site_formats
from pbs_fast.matching.zones import zone_table
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.events import Event

#: Seconds that perl is given for a log; 1.3 million lines took it 20 s with one pattern.
_PATIENCE = 600.0
#: Bytes of perl's answer: 20 million logins.
_MOST = 1 << 30
#: Lines of each kind that are shown.
_SHOWN = 1000
#: Longest part of a line that is shown.
_WIDTH = 300

#: Line number -> (login or logout, address).
Grants = dict[int, tuple[str, str]]


@dataclass
class _Theirs:
    """perl's answer."""

    grants: Grants = field(default_factory=dict)
    died: list[tuple[int, str]] = field(default_factory=list)
    last: int = 0
    """The last line that was asked about, where all were."""
    _rest: bytes = b""

    def take(self, data: bytes) -> None:
        """A piece of it."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            number, kind, text = line.decode("utf-8", "replace").split("\t", 2)
            if kind == "end":
                self.last = int(number)
            elif kind == "died":
                self.died.append((int(number), text))
            else:
                self.grants[int(number)] = (kind, text)


def compare(old: Old, found: Conversion, log: str, say: Callable[[str], object]) -> int:
    """Say which lines grant under the old file alone and under the imported one alone; 3 when there are any.

    Raises ConfigError when the log cannot be read, the old file fails, or takes too long.
    """
    if not os.path.isfile(log) or not os.access(log, os.R_OK):  # noqa: PTH113
        raise ConfigError(f"cannot read the log {log}; give a file that is there, to --check")
    if log.endswith((".gz", ".xz", ".bz2", ".zst")):
        raise ConfigError(
            f"{log} is compressed, and the old program read plain text only; give it uncompressed, to --check"
        )
    ours = _ours(found, log)
    theirs = _theirs(old, log)
    say(f"{log}: {len(_addresses(ours))} addresses would be granted under the imported configuration")
    say(f"{old.path}: {len(_addresses(theirs.grants))} addresses are granted by its own code")
    for number, said in theirs.died[:_SHOWN]:
        say(f"  line {number}: not compared, the old code fails on it: {printable(said)}")
    skipped = {number for number, _ in theirs.died}
    only_ours = _difference(ours, theirs.grants, skipped)
    only_theirs = _difference(theirs.grants, ours, skipped)
    wanted = {*only_ours[:_SHOWN], *only_theirs[:_SHOWN]}
    texts = dict(_lines(log, wanted))
    for who, numbers, grants in (("pbs-fast", only_ours, ours), ("the old file", only_theirs, theirs.grants)):
        for number in numbers[:_SHOWN]:
            say(f"  only {who}: {printable(grants[number][1])}, line {number}: {texts.get(number, '')}")
        if len(numbers) > _SHOWN:
            say(f"  only {who}: {len(numbers) - _SHOWN} lines more")
    return 3 if only_ours or only_theirs or theirs.died else 0


def _addresses(grants: Grants) -> set[str]:
    return {ip for kind, ip in grants.values() if kind == "login"}


def _difference(some: Grants, others: Grants, skipped: set[int]) -> list[int]:
    """Lines that grant in one, and not the same address in the other."""
    return [
        number
        for number, (kind, ip) in sorted(some.items())
        if kind == "login" and number not in skipped and others.get(number) != (kind, ip)
    ]


class _Keep:
    """Takes events of `match` as grants."""

    def __init__(self) -> None:
        self.grants: Grants = {}

    def prepare(self, file: str, last: int, events: Sequence[Event]) -> None:
        """Nothing: each event is taken as it comes."""

    def event(self, file: str, line: int, event: Event, source: Source) -> str:
        del file, source
        if event.ip is not None:
            self.grants[line] = (event.kind, event.ip)
        return ""

    def missed(self, file: str, line: int, reason: str, text: str) -> str:
        del file, line, reason, text
        return ""


def _ours(found: Conversion, log: str) -> Grants:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "pbs-fast.toml")
        file.write_text(found.toml)
        settings = merge(load(str(file)), ())
        site = site_formats(settings)
    core = load_backend(None)
    matcher = core.Matcher(site.formats, zone_table(settings.config.log_timezone))
    keep = _Keep()
    logtime = settings.config.logtime
    faults: list[SourceError] = []
    run = Run(
        core,
        matcher,
        now=None,
        render=keep,
        write=lambda _: None,
        complain=faults.append,
        show_missed=False,
        logtime=read_logtime(logtime) if logtime is not None else None,
    )
    run([log])
    if faults:
        raise ConfigError(str(faults[0]))
    return keep.grants


def _theirs(old: Old, log: str) -> _Theirs:
    theirs = _Theirs()
    with open(log, "rb") as lines:
        ran = perl.run("replay", old.path, read(old.path), theirs.take, stdin=lines, patience=_PATIENCE, most=_MOST)
    if ran.ended:
        last = max(theirs.grants, default=0)
        raise ConfigError(
            f"{old.path}: perl {ran.ended}; the last line of {log} that it took was {last}; try a shorter log"
        )
    check(ran, old.path, answered=bool(theirs.last or theirs.grants) or os.path.getsize(log) == 0)  # noqa: PTH202
    return theirs


def _lines(log: str, wanted: set[int]) -> Iterator[tuple[int, str]]:
    if not wanted:
        return
    with open(log, "rb") as file:
        for number, line in enumerate(file, 1):
            if number in wanted:
                yield number, printable(line[:_WIDTH].rstrip(b"\r\n").decode("utf-8", "replace"))
