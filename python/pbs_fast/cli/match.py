"""`pbs-fast match`: the event in each line of a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import panels
from pbs_fast.cli.options import CORES, Grouped, one_of
from pbs_fast.cli.reach import escape_output
from pbs_fast.cli.render.layout import look, paragraph, plural, table
from pbs_fast.cli.replays import (
    NOT_UNDERSTOOD,
    ConfigFile,
    LogTime,
    LogTimezone,
    Now,
    make_matcher,
    parse_now,
    read_site,
    show_unread,
)

if TYPE_CHECKING:
    from pbs_fast.match.lines import Summary


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("match", cls=Grouped, rich_help_panel=panels.LOGS)
    def match(
        files: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="FILE",
                help="Logs, plain or compressed; - or no FILE is standard input, journal: is systemd's journal.",
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event.")] = False,
        missed: Annotated[
            bool,
            typer.Option(
                "--missed",
                help=(
                    "Also show the lines that look like a login but match no pattern (the exit status is then 3), and"
                    " how many belong to no known log or server."
                ),
            ),
        ] = False,
        follow: Annotated[
            bool,
            typer.Option(
                "--follow",
                help="Continue as the logs grow, through rotation, until Ctrl-C; missed lines are in their place.",
            ),
        ] = False,
        core: Annotated[
            str | None,
            typer.Option(**one_of(*CORES), help="Backend that reads the log.", show_default=False),
        ] = None,
        config: ConfigFile = None,
        now: Now = None,
        log_timezone: LogTimezone = None,
        logtime: LogTime = None,
    ) -> int:
        """Show the logins and session ends in a log, with address, time, format and user.

        Use it to test patterns. It does not apply mynetworks, guards or the deny list.

        If few or no lines are understood, standard error says why, with a sample and what to do, and the exit status
        is 3: there is no login and no session end; or more lines look like a login but match no pattern than there are
        events; or most lines of a file begin like those of no known log and fewer than 1 in 100 is an event.
        """
        from pbs_fast.match.lines import Run
        from pbs_fast.match.render import AsJson, AsText
        from pbs_fast.matching import load_backend, rewrite
        from pbs_fast.util.text import printable

        backend = load_backend(core)
        site = read_site(config, "match", backend, log_timezone, logtime)
        matcher = make_matcher(backend, site.formats, site.log_timezone)
        seen = look()
        names = files or ["-"]
        chatty = sys.stderr is not None and sys.stderr.isatty()
        if chatty and "-" in names and sys.stdin is not None and sys.stdin.isatty():
            typer.echo("reading standard input", err=True)

        escape_output()

        def write(text: str) -> None:
            if sys.stdout is not None:
                sys.stdout.write(text)
                # Immediately, because the log may be a pipe that is still being written.
                sys.stdout.flush()

        run = Run(
            backend,
            matcher,
            formats=site.formats,
            now=parse_now(now, site.log_timezone),
            render=AsJson() if json else AsText(seen.paint_or_none, site.formats, seen.width),
            write=write,
            complain=lambda error: typer.echo(printable(f"pbs-fast match: {error}"), err=True),
            show_missed=missed,
            logtime=None if site.logtime is None else rewrite.read_logtime(site.logtime, site.logtime_from),
            shape=site.shape,
        )
        if follow:
            run.follow(names)
            return 0
        summary = run(names)
        if chatty:
            typer.echo(_summary(summary, shown=missed), err=True)
        if missed and summary.left:
            typer.echo(paragraph(f"pbs-fast match: {summary.left}", look(sys.stderr), indent="  "), nl=False, err=True)
        show_unread("match", summary.unread)
        if summary.faults:
            return 1
        return NOT_UNDERSTOOD if summary.unread or (missed and summary.missed) else 0


def _summary(summary: Summary, *, shown: bool) -> str:
    """What was seen: lines, then a row for each format that had any."""
    rows: list[list[str]] = []
    for name, kinds in sorted(summary.formats.items()):
        rows.append([name, *(f"{kinds[kind]:,}" for kind in ("login", "logout", "missed"))])
    rows.append(["all", f"{summary.logins:,}", f"{summary.logouts:,}", f"{summary.missed:,}"])
    text = (
        plural(summary.lines, "line") + "\n" + table(("FORMAT", "LOGINS", "LOGOUTS", "MISSED"), rows, right=(1, 2, 3))
    )
    return text + ("--missed shows the missed lines" if summary.missed and not shown else "")
