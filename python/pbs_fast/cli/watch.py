"""`pbs-fast watch`: what the daemon does, as it happens; and a program that is told of alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.cli.reach import escape_output, note, socket_for
from pbs_fast.config import Settings

if TYPE_CHECKING:
    from pbs_fast.control.replies import Event


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "watch", keys=(), panel=panels.DAEMON)
    def watch(
        settings: Settings,
        kinds: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="KIND",
                autocompletion=lambda incomplete: options.starting(_sent(), incomplete),
                help="Kinds of events, such as granted or refused; by default all.",
            ),
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object per event.")] = False,
        alarms: Annotated[bool, typer.Option("--alarms", help="Show only problems.")] = False,
        run: Annotated[
            str | None,
            typer.Option(
                metavar="PROGRAM",
                help="Instead of printing events, run this program for each, with the event as JSON on its standard"
                " input: one at a time, and at most once a minute for each kind.",
                show_default=False,
            ),
        ] = None,
    ) -> int:
        """Show what the running daemon does, as it happens.

        Ends with exit status 1 when the daemon ends, or on Ctrl-C. Use --alarms with --run to be notified
        (pbs-fast-alarms.service is an example).
        """
        from pbs_fast.cli.alarms import Runner, command_of
        from pbs_fast.cli.render import replies as render
        from pbs_fast.cli.render.layout import look
        from pbs_fast.control.client import Lost
        from pbs_fast.control.client import watch as watch_events
        from pbs_fast.control.protocol import Watch

        wanted = Watch(kinds=_kinds(kinds or [], alarms))
        runner = None if run is None else Runner(command_of(run), lambda text: note("watch", text))
        style = look()
        escape_output()

        def take(event: Event) -> None:
            if runner is not None:
                runner.take(event)
            elif json:
                from json import dumps

                typer.echo(dumps(event))
            else:
                typer.echo(render.event(event, style), nl=False)

        for found in watch_events(socket_for(settings, wanted), wanted):
            if isinstance(found, Lost):
                note("watch", render.lost(found.count).rstrip())
            else:
                take(found)
        note("watch", "the daemon has ended")
        return 1


def _sent() -> list[str]:
    from pbs_fast.control.protocol import EVENTS, UNUSED

    return [kind for kind in EVENTS if kind not in UNUSED]


def _kinds(named: list[str], alarms: bool) -> tuple[str, ...]:
    """The kinds to ask for. Raises UsageError for one that does not exist."""
    from pbs_fast.cli.errors import nearest
    from pbs_fast.control.protocol import EVENTS, IN_ORDER
    from pbs_fast.errors import UsageError

    for name in named:
        if name not in EVENTS:
            sent = _sent()
            near = nearest(name, sent)
            known = f"nearest: {near}" if near else f"known are {', '.join(sent)}"
            raise UsageError(f"{name}: no such kind of event; {known}")
    kinds = tuple(named) or EVENTS
    kinds = tuple(kind for kind in kinds if not (alarms and kind in IN_ORDER))
    if not kinds:
        raise UsageError("--alarms leaves out all the kinds that were named; leave out --alarms")
    return kinds
