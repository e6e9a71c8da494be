"""`pbs-fast run`: the daemon, with every option of the old program."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from pbs_fast.cli import options
from pbs_fast.config import JOURNAL, STDOUT, Config, Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "run")
    def run(
        settings: Settings,
        version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
        dumpconfig: Annotated[
            bool, typer.Option("--dumpconfig", help="Print the configuration in force and exit.")
        ] = False,
        list_: Annotated[bool, typer.Option("--list", help="Print the addresses in the table and exit.")] = False,
    ) -> int:
        """Follow the mail log and keep the table of addresses that may relay.

        Stays in the foreground unless --daemon is given. SIGTERM and SIGINT stop it, its rows staying in the table;
        SIGHUP opens its own log anew and reads mynetworks, guards and the deny list again.
        """
        if version or dumpconfig or list_:
            _show(settings, version, dumpconfig, list_)
            return 0
        return _serve(settings)


def _show(settings: Settings, version: bool, dumpconfig: bool, list_: bool) -> None:
    from pbs_fast import __version__
    from pbs_fast.cli.table import chosen, listing

    if version:
        typer.echo(f"version: {__version__}")
    if dumpconfig:
        from pbs_fast.config.show import dump

        typer.echo(dump(settings, [str(spec) for spec in chosen(settings.config)]), nl=False)
    if list_:
        from pbs_fast.tables import list_rows

        rows = list_rows(chosen(settings.config)[0], flock=settings.config.flock)
        typer.echo(listing([key for key, _ in rows]), nl=False)


def _serve(settings: Settings) -> int:
    from pbs_fast.daemon.assemble import run
    from pbs_fast.daemon.background import into_background
    from pbs_fast.daemon.privileges import drop_to
    from pbs_fast.errors import PbsError
    from pbs_fast.logs import Log

    config = settings.config
    background = None
    if config.daemon is not None:
        settings = replace(settings, config=_absolute(config))
        config = settings.config
        background = into_background(config.daemon or "")
    try:
        log = Log(config.logto, debug=config.debug)
        if config.user is not None:
            drop_to(config.user)
        return run(settings, log, background)
    except PbsError as error:
        if background is not None:
            background.failed(f"pbs-fast run: {error}")
        raise
    finally:
        if background is not None:
            background.end()


def _absolute(config: Config) -> Config:
    """The same files, named so that a process in another directory finds them."""

    path = os.path.abspath

    def table(text: str) -> str:
        kind, colon, rest = text.partition(":")
        typed = colon and "/" not in kind
        return (f"{kind}:{path(rest)}" if rest else text) if typed else path(text)

    def log(text: str) -> str:
        return text if text == STDOUT or text.startswith(JOURNAL) else path(text)

    return replace(
        config,
        watchlog=tuple(map(log, config.watchlog)),
        dbfile=table(config.dbfile),
        table=tuple(map(table, config.table)),
        logto=None if config.logto is None else log(config.logto),
        daemon=None if config.daemon is None else path(config.daemon),
        deny=path(config.deny),
    )
