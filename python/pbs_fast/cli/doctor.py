"""`pbs-fast doctor`: what keeps logins from opening the relay, or opens it to others."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.config import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "doctor", keys=("watchlog", "dbfile", "table", "grace", "core"), panel=panels.DAEMON)
    def doctor(
        settings: Settings,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> int:
        """Check logs, tables, MTA and service, and say what to do.

        It only reads: it sends no mail, opens no SMTP session and writes nothing. Run it as root, so that it looks as
        the accounts of the service and of the MTA do. The exit status is 0 if all is well, 3 with a warning and 1 with
        a failure.
        """
        from dataclasses import replace

        from pbs_fast.cli.table import account_of, chosen
        from pbs_fast.daemon.paths import absolute
        from pbs_fast.doctor.registry import examine
        from pbs_fast.doctor.report import as_json, as_text, status
        from pbs_fast.doctor.site import Site
        from pbs_fast.errors import PbsError

        config = absolute(settings.config, os.getcwd())  # noqa: PTH109 - any bytes
        specs = chosen(config)
        account, trouble = config.user, ""
        if os.geteuid() == 0:
            try:
                accounts = [account_of(config, spec) for spec in specs]
                account = account or next(filter(None, accounts), None)
            except PbsError as error:
                trouble = str(error)
        found = examine(Site(replace(settings, config=config), specs, account, trouble))
        if json:
            from json import dumps

            typer.echo(dumps(as_json(found)))
        else:
            typer.echo(as_text(found), nl=False)
        return status(found)
