"""`pbs-fast report`: who still relays by POP-before-SMTP, and what would happen without it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import panels
from pbs_fast.cli.options import CORES, Grouped, duration, one_of
from pbs_fast.cli.replays import (
    LONGEST_GRACE,
    NOT_UNDERSTOOD,
    ConfigFile,
    LogTime,
    LogTimezone,
    Now,
    Site,
    make_matcher,
    parse_now,
    read_site,
    show_unread,
)
from pbs_fast.util.durations import parse_duration

if TYPE_CHECKING:
    from pbs_fast.matching import Backend
    from pbs_fast.matching.census import Unread


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("report", cls=Grouped, rich_help_panel=panels.LOGS)
    def report(
        logs: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="LOG",
                help="Logs of Postfix and of the POP and IMAP servers, in one file or several, rotated and compressed"
                " ones too, or wildcards like 'mail.log*'; - is standard input.",
                show_default=False,
            ),
        ] = None,
        since: Annotated[
            str | None,
            typer.Option(
                metavar="TIME",
                help="Count from here on: a time like 2026-11-01T00:00:00Z, or 30d, 12h before the last change of"
                " the newest log.",
                show_default=False,
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        html: Annotated[
            str | None,
            typer.Option(
                metavar="FILE",
                help="Write a page with charts to this file; an existing file is replaced.",
                show_default=False,
            ),
        ] = None,
        files: Annotated[
            str | None,
            typer.Option(
                metavar="DIR",
                help="Write into this directory: deny.toml for a trial day, fixed.cidr and lists of logins.",
                show_default=False,
            ),
        ] = None,
        caps: Annotated[
            bool, typer.Option("--caps", help="Show what rate limits would have refused, those of [caps] too.")
        ] = False,
        pseudonyms: Annotated[
            bool,
            typer.Option(
                "--pseudonyms", help="Replace logins and addresses by pseudonyms, which are different in each run."
            ),
        ] = False,
        mynetworks: Annotated[
            str | None,
            typer.Option(
                metavar="NETWORKS",
                help="The networks that Postfix always lets relay; by default those of the configuration, which asks"
                " postconf.",
                show_default=False,
            ),
        ] = None,
        grace: Annotated[
            int | None,
            typer.Option(
                parser=duration(1, LONGEST_GRACE),
                metavar="DURATION",
                help="How long a grant lasts, like 1800 or 30m; by default as configured.",
                show_default=False,
            ),
        ] = None,
        core: Annotated[
            str | None,
            typer.Option(**one_of(*CORES), help="Backend that reads the logs.", show_default=False),
        ] = None,
        threads: Annotated[
            int | None,
            typer.Option(
                min=1, metavar="N", help="Threads that read and scan; by default as for bench.", show_default=False
            ),
        ] = None,
        config: ConfigFile = None,
        now: Now = None,
        log_timezone: LogTimezone = None,
        logtime: LogTime = None,
    ) -> int:
        """Show who still relays by POP-before-SMTP, and what would happen without it.

        Reads logs only: no daemon, no table. Each login gets a verdict: unused, can (uses SMTP AUTH elsewhere), fixed,
        device, roaming, shared or suspect. It shows what a shorter grace and rate limits would have refused, and a
        plan. If there is no login, standard error says why, and the exit status is 3.
        """
        from pbs_fast.caps.limits import caps as caps_of
        from pbs_fast.config import load, merge
        from pbs_fast.errors import PbsError, UsageError
        from pbs_fast.guards.netblocks import read_netblocks
        from pbs_fast.matching import load_backend, rewrite
        from pbs_fast.replay.feed import default_threads
        from pbs_fast.replay.inputs import expand
        from pbs_fast.replay.progress import progress
        from pbs_fast.report.run import report as run

        if not logs:
            raise UsageError("LOG is missing; see: pbs-fast report --help")
        if files is not None and pseudonyms:
            raise UsageError("--files and --pseudonyms do not go together: files of pseudonyms serve no program")
        backend = load_backend(core)
        settings = merge(load(config), ())
        site = read_site(config, "report", backend, log_timezone, logtime)
        matcher = make_matcher(backend, site.formats, site.log_timezone)
        networks = read_netblocks(
            settings.config.mynetworks if mynetworks is None else (mynetworks,), settings.config.postconf
        )
        for notice in networks.notices:
            typer.echo(f"pbs-fast report: {notice}", err=True)
        paths = expand(logs)
        reference = parse_now(now, site.log_timezone)
        with progress(backend.name, paths, not json) as on_position:
            found = run(
                paths,
                backend,
                matcher,
                networks,
                grace=settings.config.grace if grace is None else grace,
                since=_since(since, paths, reference, site.log_timezone),
                zone=site.log_timezone,
                now=reference,
                threads=threads or default_threads(backend),
                pseudonyms=pseudonyms,
                logtime=None if site.logtime is None else rewrite.read_logtime(site.logtime, site.logtime_from),
                rates=[cap.rate for cap in caps_of("user", settings.config.caps.user) if not cap.messages],
                on_position=on_position,
            )
        present = datetime.now().astimezone()
        if files is not None:
            from pbs_fast.report.plan import write_files

            write_files(found, Path(files), now=present)
        if html is not None:
            from pbs_fast.report.page import as_page

            try:
                Path(html).write_text(as_page(found, made=present), encoding="utf-8")
            except OSError as error:
                raise PbsError(f"--html={html}: {error.strerror}; name a file that you may write") from None
        if json:
            from pbs_fast.report.record import as_json

            typer.echo(as_json(found), nl=False)
        else:
            from pbs_fast.report.text import as_text

            typer.echo(as_text(found, caps=caps, files=files is not None), nl=False)
        if found.login_lines:
            return 0
        if found.lines and (since is not None or "-" in paths):
            typer.echo("pbs-fast report: no login was found; pbs-fast match LOG says why", err=True)
            return NOT_UNDERSTOOD
        show_unread("report", _unread(paths, backend, site, reference))
        return NOT_UNDERSTOOD


def _unread(paths: list[str], backend: Backend, site: Site, now: int | None) -> list[Unread]:
    """Why the lines of these logs, in which the report found no login, are not understood; reads them once more."""
    from pbs_fast.match.lines import Run
    from pbs_fast.match.render import AsJson
    from pbs_fast.matching import rewrite

    def discard(_: object) -> None:
        """The events are not shown, and the report has read these logs without an error."""

    return Run(
        backend,
        make_matcher(backend, site.formats, site.log_timezone),
        formats=site.formats,
        now=now,
        render=AsJson(),
        write=discard,
        complain=discard,
        show_missed=False,
        logtime=None if site.logtime is None else rewrite.read_logtime(site.logtime, site.logtime_from),
        shape=site.shape,
    )(paths).unread


def _since(text: str | None, paths: list[str], now: int | None, zone: str | None) -> float:
    """The second that `--since` names, -inf for none. Raises UsageError."""
    from pbs_fast.errors import UsageError

    if text is None:
        return float("-inf")
    try:
        span = parse_duration(text)
    except ValueError:
        try:
            found = parse_now(text, zone)
        except UsageError:
            raise UsageError(
                f"--since={text}: not a time; write 30d, 12h, or a time like 2026-11-01T00:00:00Z"
            ) from None
        assert found is not None  # noqa: S101 - there was a text
        return found
    if now is None:
        import time

        from pbs_fast.sources.open import open_log

        ends = []
        for path in paths:
            if path == "-":
                ends.append(int(time.time()))
                continue
            with open_log(path) as log:
                ends.append(log.reference(None))
        now = max(ends)
    return now - span
