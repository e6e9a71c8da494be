"""One report: the logs merged, joined and counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from pbs_fast.matching.reader import Reader
from pbs_fast.report.days import Days
from pbs_fast.report.findings import Findings, findings
from pbs_fast.report.grants import Grants
from pbs_fast.report.join import Join
from pbs_fast.report.logins import with_tried
from pbs_fast.report.merge import Merged
from pbs_fast.report.mta_lines import MtaLines
from pbs_fast.report.pseudonyms import Names
from pbs_fast.util.gc import collector_aside

if TYPE_CHECKING:
    from pbs_fast.caps.windows import Rate
    from pbs_fast.guards.netblocks import Netblocks
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.rewrite.logtime import LogTime


def report(
    files: Sequence[str],
    backend: Backend,
    matcher: Matcher,
    mynetworks: Netblocks,
    *,
    grace: int,
    since: float,
    zone: str | None,
    now: int | None,
    threads: int,
    pseudonyms: bool = False,
    logtime: LogTime | None = None,
    rates: Sequence[Rate] = (),
    on_position: Callable[[int, int, int], object] = lambda _file, _position, _lines: None,
) -> Findings:
    """What the files say from the second `since` on (-inf: all). `now` is what years are judged from (`feed.scans`).

    `rates` are caps of a login's recipients that are tried besides the usual ones. Logins of the last `grace` seconds
    before `since` grant and are not counted. Raises SourceError when a file cannot be read to its end.
    """

    def reader() -> Reader:
        return Reader(backend, matcher, source="report", gap=None, live=False, fold=True, logtime=logtime)

    begin = since - grace
    grants = Grants(grace)
    lines = MtaLines(backend, matcher, grants.addresses, mynetworks)
    join = Join(grants, lines.is_local, Days(zone), since=since, tried=with_tried(rates))
    merged = Merged(files, reader, lines, now=now, threads=threads, since=begin, on_position=on_position)
    with collector_aside(), closing(grants):
        for piece in merged:
            join.take(piece)
        return findings(
            join,
            Names(pseudonyms=pseudonyms),
            grace=grace,
            granted=grants.granted,
            lines=merged.lines,
            skipped=merged.skipped,
            pseudonyms=pseudonyms,
        )
