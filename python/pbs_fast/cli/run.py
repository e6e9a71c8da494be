"""`pbs-fast run`: the daemon, with every option of the old program."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.config import Config, Settings
from pbs_fast.util import early_signals
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.log.handlers import OwnLog

Version = Annotated[bool, typer.Option("--version", help="Print the version and exit.")]
Dumpconfig = Annotated[bool, typer.Option("--dumpconfig", help="Print the configuration in force and exit.")]
List = Annotated[bool, typer.Option("--list", help="Print the addresses in the table and exit.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "run", panel=panels.WORK)
    def run(settings: Settings, version: Version = False, dumpconfig: Dumpconfig = False, list_: List = False) -> int:
        """Follow the mail log and keep the table of addresses that may relay.

        Stays in the foreground unless --daemon is given. SIGTERM and SIGINT stop it and leave the rows in the table.
        SIGHUP reopens its own log and reloads mynetworks, guards, caps, the deny list and share.from.
        """
        return act(settings, version, dumpconfig, list_)


def act(settings: Settings, version: bool, dumpconfig: bool, list_: bool, program: str = "") -> int:
    """Show what was asked for, else run the daemon; the exit status.

    `program` is the name under which the old program's users know us: in syslog, in errors, and in that a table that is
    not there yet holds no addresses.
    """
    if version or dumpconfig or list_:
        early_signals.release()
        return _show(settings, version, dumpconfig, list_, program)
    return _serve(settings, program)


def _show(settings: Settings, version: bool, dumpconfig: bool, list_: bool, program: str) -> int:
    from pbs_fast import __version__
    from pbs_fast.cli.table import chosen, listing

    if version:
        typer.echo(f"version: {__version__}")
    if dumpconfig:
        from pbs_fast.config.show import dump

        typer.echo(dump(settings, [str(spec) for spec in chosen(settings.config)]), nl=False)
    if list_:
        from pbs_fast.cli.table import account_of
        from pbs_fast.daemon.privileges import apart
        from pbs_fast.tables import list_rows

        spec = chosen(settings.config)[0]

        absent = bool(program) and spec.file is not None and not spec.file.exists()

        def show() -> int:
            rows = [] if absent else list_rows(spec, flock=settings.config.flock)
            typer.echo(listing([key for key, _ in rows]), nl=False)
            return 0

        return apart(account_of(settings.config, spec) if os.geteuid() == 0 else None, show)
    return 0


def _serve(settings: Settings, program: str) -> int:
    from logging import getLogger

    from pbs_fast.daemon.assemble import run
    from pbs_fast.daemon.background import into_background
    from pbs_fast.daemon.paths import absolute, rooted, started_in
    from pbs_fast.daemon.privileges import drop_to, prepare_directory, prepare_log
    from pbs_fast.errors import PbsError
    from pbs_fast.log.handlers import STDOUT, is_file, own_log
    from pbs_fast.log.targets import IDENT
    from pbs_fast.sources.watched import refuse_inherited
    from pbs_fast.tables.owner import OwnedError

    log = getLogger(__name__)
    name = program or "pbs-fast run"
    directory = started_in()
    config = absolute(settings.config, directory)
    settings = replace(settings, config=config, file=settings.file and rooted(directory)(settings.file))
    if config.daemon is not None:
        refuse_inherited(config)
    user = config.user if os.geteuid() != 0 or config.user is not None else _account(config)
    if user is not None and os.geteuid() == 0 and is_file(config.logto):
        prepare_log(config.logto, user)
    if user is not None and os.geteuid() == 0 and config.write:
        prepare_directory(config.control.directory, user)
    if user is not None and config.daemon is not None and _is_theirs(config.daemon):
        drop_to(user)
    own: OwnLog | None = None
    background = into_background(config.daemon) if config.daemon is not None else None
    with ExitStack() as stack:
        if background is not None:
            stack.callback(background.end)
        try:
            # Before our own log, the tables and the mail log are opened: that account may control their names.
            if user is not None:
                drop_to(user)
            tee = background is not None and config.logto in (None, STDOUT)
            own = stack.enter_context(
                own_log(config.logto, debug=config.debug, waits=config.once, ident=program or IDENT, tee=tee)
            )
            if is_file(config.logto):
                own.hold()
            if user != config.user:
                log.info(f"started by root; running as {user}, who controls the tables' directory")
            return run(settings, own, directory, background, program=name)
        except PbsError as error:
            if own is not None and isinstance(error, OwnedError):
                # Its log may be the same file, and nothing of this start belongs there.
                own.discard()
            line = printable(f"{name}: {error}")
            if background is None:
                raise
            # The parent has the terminal and prints it; after the parent has exited, only our own log is left.
            if not background.failed(line):
                log.warning(line)
            return error.exit_status


def _account(config: Config) -> str | None:
    """The account that controls all tables; a daemon that root started without `user` continues as it. None: root.

    Otherwise root would create files that the service, started as that account, cannot write. Raises PbsError.
    """
    from pbs_fast.cli.table import account_of, chosen

    specs = chosen(config) if config.write else []
    found = {account_of(config, spec) for spec in specs if spec.file is not None}
    return found.pop() if len(found) == 1 else None


def _is_theirs(pid_file: str) -> bool:
    """Whether an account may replace the pid file, which root then must not open."""
    from pbs_fast.util.accounts import controllers

    return os.geteuid() == 0 and bool(controllers(pid_file).uids)
