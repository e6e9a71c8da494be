"""`pbs-fast bench`: replays logs through the whole pipeline as fast as possible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from pbs_fast.cli import panels
from pbs_fast.cli.options import CORES, Grouped, duration, one_of
from pbs_fast.cli.replays import (
    LONGEST_GRACE,
    ConfigFile,
    LogTime,
    LogTimezone,
    Now,
    Site,
    make_matcher,
    parse_now,
    read_site,
)

if TYPE_CHECKING:
    from pbs_fast.bench.rate import LogRate
    from pbs_fast.bench.replay import Replay
    from pbs_fast.matching import Backend, Matcher
    from pbs_fast.matching.rewrite.logtime import LogTime as Timestamps
    from pbs_fast.tables import Table


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("bench", cls=Grouped, rich_help_panel=panels.LOGS)
    def bench(
        logs: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="LOG",
                help="Logs, plain or compressed, or wildcards like 'mail.log*', read as one log; - is standard input.",
                show_default=False,
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        core: Annotated[
            str | None,
            typer.Option(
                **one_of(*CORES, "both"),
                help="Backend that reads the logs; both runs the two in turn and fails if their results differ.",
                show_default=False,
            ),
        ] = None,
        threads: Annotated[
            int | None,
            typer.Option(
                min=1,
                metavar="N",
                help="Threads that read and scan; by default one per processor, and one for the Python backend, which"
                " cannot use more.",
                show_default=False,
            ),
        ] = None,
        grace: Annotated[
            int,
            typer.Option(
                parser=duration(1, LONGEST_GRACE), metavar="DURATION", help="How long a grant lasts, like 1800 or 30m."
            ),
        ] = 1800,
        table: Annotated[
            str | None,
            typer.Option(
                metavar="TYPE:PATH",
                help="Write this table too. It must be empty, and is emptied afterwards, because the rows of an old log"
                " are not current grants.",
                show_default=False,
            ),
        ] = None,
        repeat: Annotated[
            int,
            typer.Option(min=1, metavar="N", help="Replay N times; show the median run and the spread."),
        ] = 1,
        generate: Annotated[
            int | None,
            typer.Option(
                min=1,
                metavar="LINES",
                help="Replay a generated log of a mail hub, always the same one, and check the counts.",
                show_default=False,
            ),
        ] = None,
        keep: Annotated[
            str | None,
            typer.Option(
                metavar="FILE",
                help="Keep the generated log in this file; by default it is temporary.",
                show_default=False,
            ),
        ] = None,
        plot: Annotated[
            str | None,
            typer.Option(
                metavar="FILE.svg|FILE.png",
                help="Plot the results; needs the library matplotlib.",
                show_default=False,
            ),
        ] = None,
        config: ConfigFile = None,
        now: Now = None,
        log_timezone: LogTimezone = None,
        logtime: LogTime = None,
    ) -> int:
        """Replay logs through the whole pipeline as fast as possible; show counts and speed.

        Grants use the log's own clock: a login is a new grant if it is later than the end of the address's previous
        grant; a grant has ended if its end is at or before the log's last readable timestamp. The digest is SHA-256
        over the sorted lines "ADDRESS EPOCH" with each address's latest login; it does not depend on backend, threads
        or machine.
        """
        from pbs_fast.bench import plot as drawing
        from pbs_fast.bench.report import as_json, as_sentences, as_table
        from pbs_fast.replay.inputs import check_again, once

        if plot is not None:
            drawing.check(plot)
        backends = _backends(core)
        _check_generate(
            logs,
            generate,
            keep,
            {"--config": config, "--now": now, "--log-timezone": log_timezone, "--logtime": logtime},
        )
        check_again(logs or [], core=core, repeat=repeat)
        with _logs(logs, generate, keep, grace, not json) as (paths, totals):
            site = read_site(config, "bench", backends[0], log_timezone, logtime) if totals is None else _packaged()
            reference = parse_now(now, site.log_timezone)
            with _scratch(table) as scratch:
                matchers = {str(one.name): make_matcher(one, site.formats, site.log_timezone) for one in backends}
                plan = _Plan(paths, site, matchers, grace, reference, threads, scratch, repeat, totals, not json)
                records = _run(backends, plan)
            rate = None if json else _rate(backends[0], plan)
        typer.echo(
            as_json(records) + "\n"
            if json
            else as_table(records) + "\n" + _wrapped(as_sentences(records, rate, once=once(paths))),
            nl=False,
        )
        if plot is not None:
            drawing.plot(plot, records)
        return 0


def _wrapped(sentences: str) -> str:
    from pbs_fast.cli.render.layout import look, paragraph

    style = look()
    return "".join(paragraph(line, style, indent="  ") for line in sentences.splitlines())


class _Plan(NamedTuple):
    """What to replay, and how."""

    logs: list[str]
    site: Site
    matchers: dict[str, Matcher]
    """One for all runs of a backend, because to compile the formats takes as long as to read a small log."""
    grace: int
    now: int | None
    threads: int | None
    table: Table | None
    repeat: int
    totals: dict[str, Any] | None
    """What must be counted, where that is known."""
    progress: bool


def _check_generate(
    logs: list[str] | None, generate: int | None, keep: str | None, of_logs: dict[str, str | None]
) -> None:
    """Raises UsageError if there is nothing to replay or the options do not go together."""
    from pbs_fast.errors import UsageError

    if generate is None:
        if keep is not None:
            raise UsageError("--keep needs --generate")
        if not logs:
            raise UsageError("LOG is missing; see: pbs-fast bench --help")
    elif logs:
        raise UsageError("--generate and LOG do not go together; leave one out")
    else:
        for option, value in of_logs.items():
            if value is not None:
                raise UsageError(f"{option} and --generate do not go together; leave one out")


@contextmanager
def _logs(
    logs: list[str] | None, generate: int | None, keep: str | None, grace: int, progress: bool
) -> Iterator[tuple[list[str], dict[str, Any] | None]]:
    """The logs to replay, and what must be counted where that is known."""
    if generate is None:
        from pbs_fast.replay.inputs import expand

        yield expand(logs or []), None
        return
    from pbs_fast.bench.generated import generated_log
    from pbs_fast.replay.progress import is_terminal

    with generated_log(generate, grace=grace, keep=keep, shown=progress and is_terminal()) as (path, totals):
        yield [path], totals


def _packaged() -> Site:
    """How a generated log is read: without custom formats and `logtime`."""
    from pbs_fast.bench.generated import ZONE
    from pbs_fast.formats.loader import load_catalogue

    return Site(load_catalogue(), ZONE, None)


def _run(backends: list[Backend], plan: _Plan) -> list[dict[str, Any]]:
    """The record of each backend. Each round runs every backend once, so that a busy machine slows both equally.

    Raises CoreError if runs disagree or the counts differ from what was generated.
    """
    from pbs_fast.bench.repeats import median_record
    from pbs_fast.bench.report import differences, record
    from pbs_fast.errors import CoreError
    from pbs_fast.replay.feed import default_threads
    from pbs_fast.replay.progress import progress, title

    runs: list[list[dict[str, Any]]] = [[] for _ in backends]
    for run in range(1, plan.repeat + 1):
        for backend, records in zip(backends, runs, strict=True):
            with progress(title(backend.name, run, plan.repeat), plan.logs, plan.progress) as on_position:
                replay = _make(backend, plan)
                threads = plan.threads or default_threads(backend)
                records.append(record(replay(plan.logs, now=plan.now, threads=threads, on_position=on_position)))
            if plan.totals is not None:
                from pbs_fast.bench.generated import check

                check(records[-1], plan.totals)
    if differing := differences([each for records in runs for each in records]):
        who = "the backends disagree" if len(backends) > 1 else "runs disagree"
        raise CoreError(f"{who} about these logs: {'; '.join(differing)}; please report it")
    return [median_record(records) for records in runs]


def _rate(backend: Backend, plan: _Plan) -> LogRate | None:
    from pbs_fast.bench.rate import log_rate
    from pbs_fast.matching.reader import Reader

    site = plan.site
    reader = Reader(
        backend,
        plan.matchers[backend.name],
        source="bench",
        gap=plan.grace,
        live=False,
        fold=True,
        logtime=_timestamps(site),
        shape=site.shape,
    )
    return log_rate(plan.logs, reader, plan.now)


def _backends(choice: str | None) -> list[Backend]:
    from pbs_fast.cli.errors import nearest
    from pbs_fast.errors import UsageError
    from pbs_fast.matching import load_backend
    from pbs_fast.matching.backends import CHOICES

    if choice == "both":
        return [load_backend("rust"), load_backend("python")]
    if choice is not None and choice not in CHOICES and nearest(choice, (*CHOICES, "both")) == "both":
        raise UsageError(f"--core={choice}: no such core; did you mean both?")
    return [load_backend(choice)]


def _make(backend: Backend, plan: _Plan) -> Replay:
    from pbs_fast.bench.replay import Replay

    site, table = plan.site, plan.table
    if table is not None:
        table.rebuild({})
    matcher = plan.matchers[backend.name]
    return Replay(backend, matcher, grace=plan.grace, table=table, logtime=_timestamps(site), shape=site.shape)


def _timestamps(site: Site) -> Timestamps | None:
    from pbs_fast.matching.rewrite import read_logtime

    return None if site.logtime is None else read_logtime(site.logtime, site.logtime_from)


@contextmanager
def _scratch(spec: str | None) -> Iterator[Table | None]:
    """The table to write, empty before and after. Raises UsageError if it holds rows, because it may be in use."""
    if spec is None:
        yield None
        return
    from pbs_fast.errors import UsageError
    from pbs_fast.tables import open_table

    table = open_table(spec)
    try:
        if rows := len(table.load()):
            raise UsageError(f"--table={spec}: holds {rows} rows, so it may be in use; name a new table")
        try:
            yield table
        finally:
            table.rebuild({})
    finally:
        table.close()
