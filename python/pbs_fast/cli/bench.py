"""`pbs-fast bench`: logs through the whole pipeline as fast as this machine can."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pbs_fast.cli.replays import ConfigFile, LogTime, LogTimezone, Now, Site, make_matcher, parse_now, read_site

if TYPE_CHECKING:
    from pbs_fast.bench.replay import Replay
    from pbs_fast.matching import Core
    from pbs_fast.tables import Table

#: (file's index, bytes of it on the disk that were used, lines so far)
_OnPosition = Callable[[int, int, int], object]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("bench")
    def bench(
        logs: Annotated[
            list[str],
            typer.Argument(metavar="LOG...", help="Logs, plain or compressed, read as one; - is standard input."),
        ],
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        core: Annotated[
            str | None,
            typer.Option(
                metavar="auto|rust|python|both",
                help="Which twin of the matcher; both runs one after the other and fails if they disagree.",
                show_default=False,
            ),
        ] = None,
        threads: Annotated[
            int | None,
            typer.Option(
                min=1,
                metavar="N",
                help="Threads that read and scan; by default one a processor, and one for the Python twin, which cannot"
                " use more.",
                show_default=False,
            ),
        ] = None,
        grace: Annotated[int, typer.Option(min=1, metavar="SECONDS", help="How long a grant lasts.")] = 1800,
        table: Annotated[
            str | None,
            typer.Option(
                metavar="TYPE:PATH",
                help="Write this table too. It must hold no rows, and is empty afterwards: rows of an old log are no"
                " grants of today.",
                show_default=False,
            ),
        ] = None,
        config: ConfigFile = None,
        now: Now = None,
        log_timezone: LogTimezone = None,
        logtime: LogTime = None,
    ) -> int:
        """Replay logs through the whole pipeline as fast as this machine can, and say what was counted and how fast.

        The clock of grants is the log's own: a login is a new grant when it is later than the end of the address's
        grant before; ended are the grants whose end lies at or before the log's last readable stamp. The digest is
        SHA-256 over the lines "ADDRESS EPOCH", sorted, with each address's latest login; it must not depend on twin,
        threads or machine.
        """
        from pbs_fast.bench.feed import default_threads
        from pbs_fast.bench.report import as_json, as_table, differences, record
        from pbs_fast.errors import CoreError

        twins = _twins(core)
        site = read_site(config, "bench", twins[0], log_timezone, logtime)
        reference = parse_now(now, site.log_timezone)
        records: list[dict[str, Any]] = []
        with _scratch(table) as scratch:
            for twin in twins:
                with _progress(logs, twin, not json) as on_position:
                    replay = _make(twin, site, grace, scratch)
                    result = replay(
                        logs, now=reference, threads=threads or default_threads(twin), on_position=on_position
                    )
                    records.append(record(result))
        if differing := differences(records):
            raise CoreError(f"the twins disagree about these logs: {'; '.join(differing)}; please report it")
        typer.echo(as_json(records) + "\n" if json else as_table(records), nl=False)
        return 0


def _twins(choice: str | None) -> list[Core]:
    from pbs_fast.cli.errors import nearest
    from pbs_fast.errors import UsageError
    from pbs_fast.matching import load_core
    from pbs_fast.matching.choose import CHOICES

    if choice == "both":
        return [load_core("rust"), load_core("python")]
    if choice is not None and choice not in CHOICES and nearest(choice, (*CHOICES, "both")) == "both":
        raise UsageError(f"--core={choice}: no such core; did you mean both?")
    return [load_core(choice)]


def _make(twin: Core, site: Site, grace: int, table: Table | None) -> Replay:
    from pbs_fast.bench.replay import Replay
    from pbs_fast.matching import rewrite

    if table is not None:
        table.rebuild({})
    stamps = None if site.logtime is None else rewrite.read_logtime(site.logtime)
    return Replay(twin, make_matcher(twin, site.formats, site.log_timezone), grace=grace, table=table, logtime=stamps)


@contextmanager
def _scratch(spec: str | None) -> Iterator[Table | None]:
    """The table to write, empty before and after. Raises UsageError when it holds rows: it may be one in use."""
    if spec is None:
        yield None
        return
    from pbs_fast.errors import UsageError
    from pbs_fast.tables import open_table

    table = open_table(spec)
    try:
        if rows := len(table.load()):
            raise UsageError(f"--table={spec}: holds {rows} rows, so it may be in use; name a table of the bench's own")
        try:
            yield table
        finally:
            table.rebuild({})
    finally:
        table.close()


@contextmanager
def _progress(logs: list[str], twin: Core, wanted: bool) -> Iterator[_OnPosition]:
    """A bar on standard error, where that is a terminal: share of bytes, lines a second, time left."""
    if not wanted or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _index, _position, _lines: None
        return
    import os
    import time

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    sizes = [os.stat(log).st_size if os.path.isfile(log) else 0 for log in logs]  # noqa: PTH113, PTH116 - `-` is no path
    columns = (
        TextColumn(twin.name),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]} lines/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        started = time.perf_counter()
        task = bar.add_task("", total=sum(sizes) or None, rate="-")

        def on_position(index: int, position: int, lines: int) -> None:
            rate = lines / max(time.perf_counter() - started, 1e-6)
            bar.update(task, completed=sum(sizes[:index]) + position, rate=f"{rate:,.0f}")

        yield on_position
