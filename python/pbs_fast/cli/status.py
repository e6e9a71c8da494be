"""`pbs-fast status`, `metrics` and `reload`: the running daemon's state, and to have it reread its configuration."""

from __future__ import annotations

from typing import Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.cli.reach import answer, look_for, note, socket_for
from pbs_fast.config import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @options.command(app, "status", keys=(), panel=panels.DAEMON)
    def status(
        settings: Settings,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object (docs/status.schema.json).")] = False,
    ) -> int:
        """Show the daemon's state.

        Shows its logs, tables, refusals and current problems. The exit status suits monitoring: 0 all is well, 1 the
        daemon is not running or may not be asked, 3 it runs with a fault, such as a log that cannot be read or a table
        that cannot be written, 4 it hangs.
        """
        from json import dumps

        from pbs_fast.cli.render import status as render
        from pbs_fast.control.client import SilentError
        from pbs_fast.control.protocol import Status

        try:
            reply = answer(settings, Status())
        except SilentError as error:
            note("status", _hangs(settings, str(error)))
            return render.HANGS
        typer.echo(dumps(reply, indent=2) + "\n" if json else render.as_text(reply, look_for(settings)), nl=False)
        return render.exit_status(reply)

    @options.command(app, "metrics", keys=(), panel=panels.DAEMON)
    def metrics(settings: Settings) -> int:
        """Print the running daemon's metrics in Prometheus' text format.

        They are up to two seconds old. docs/MONITORING.md describes them, and how Prometheus gets them by itself.
        """
        from pbs_fast.control.protocol import Metrics

        typer.echo(answer(settings, Metrics())["text"], nl=False)
        return 0

    @options.command(app, "reload", keys=(), panel=panels.DAEMON)
    def reload(settings: Settings) -> int:
        """Have the running daemon reload mynetworks, guards, caps, deny list and share.from.

        Like SIGHUP, but prints the result. The exit status is 1 if the previous settings stay in force.
        Needs root or the daemon's account.
        """
        from pbs_fast.cli.render.replies import reloaded
        from pbs_fast.control.protocol import Reload

        reply = answer(settings, Reload())
        typer.echo(reloaded(reply, look_for(settings)), nl=False)
        return 0 if reply["reloaded"] else 1


def _hangs(settings: Settings, otherwise: str) -> str:
    """Why there is no answer: the thread that answers `ping` lives even while the loop hangs."""
    from pbs_fast.control.client import ControlError, ask
    from pbs_fast.control.protocol import Ping
    from pbs_fast.util.durations import exact

    try:
        reply = ask(socket_for(settings, Ping()), Ping(), patience=3.0)
    except ControlError:
        return f"{otherwise}; the whole process is stopped or hangs"
    return f"the loop of the daemon (pid {reply['pid']}) hangs: it last turned {exact(reply['turned_s'])} ago"
