"""`pbs-fast why`: may this address relay, until when, whose login, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.cli.reach import answer, escape_output, look_for, note, target
from pbs_fast.config import Settings

if TYPE_CHECKING:
    from pbs_fast.control.protocol import Target
    from pbs_fast.control.why.findings import Findings
    from pbs_fast.control.why_reply import Why as Reply

Whom = Annotated[str, typer.Argument(metavar="ADDRESS|USER", help="An IP address, or a login name.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "why", keys=("watchlog", "grace", "core"), panel=panels.DAEMON)
    def why(
        settings: Settings,
        whom: Whom,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object: daemon and logs.")] = False,
    ) -> int:
        """Explain why an address or a user may relay, or why not.

        Asks the running daemon, and finds the log line of the login, also in rotated and compressed logs and in the
        journal. Without the daemon it shows what the logs alone say. Needs the right to read the logs; without it only
        the daemon's part is shown. The exit status is 0 if the address (one address of the user) may relay, 3 if not, 1
        if the daemon could not be asked.
        """
        from json import dumps

        from pbs_fast.cli.render import why as render

        asked = target(whom)
        if asked.network is not None:
            from pbs_fast.errors import UsageError

            raise UsageError(f"{whom}: is a network; name one address or a login name, or see: pbs-fast list")
        reply = _reply(settings, asked)
        found = _logs(settings, asked, reply)
        if reply is not None and asked.ip is not None:
            _add_denials_of_user(settings, reply, found)
        _number(reply, found)
        escape_output()
        if json:
            typer.echo(dumps({"daemon": reply, "logs": found.as_dict()}))
        else:
            typer.echo(render.as_text(asked.what, reply, found, look_for(settings)), nl=False)
        return render.exit_status(reply, found)


def _reply(settings: Settings, asked: Target) -> Reply | None:
    """The daemon's part; None, and a line on standard error, if it cannot be asked."""
    from pbs_fast.control.client import ControlError
    from pbs_fast.control.protocol import Why

    try:
        return answer(settings, Why(ip=asked.ip, user=asked.user))
    except ControlError as error:
        note("why", str(error))
        return None


def _add_denials_of_user(settings: Settings, reply: Reply, found: Findings) -> None:
    """Where an address has no row: what denies the user of its last login, whom only the logs still name."""
    from pbs_fast.control.client import ControlError
    from pbs_fast.control.protocol import Why

    users = [login.user for login in found.logins if login.user and not login.guard]
    if reply["rows"] or reply["denials"] or not users:
        return
    try:
        reply["denials"] = answer(settings, Why(user=users[-1]))["denials"]
    except ControlError as error:
        note("why", str(error))


def _logs(settings: Settings, asked: Target, reply: Reply | None) -> Findings:
    """The logs' part; where they cannot be read at all, it says why. Raises PbsError if there is no other part."""
    import time

    from pbs_fast.control.why.findings import Findings
    from pbs_fast.control.why.judge import Investigation
    from pbs_fast.errors import PbsError

    config = settings.config
    now = int(time.time())
    window = config.max_session + config.grace if config.count_sessions else config.grace
    if reply is not None:
        window = reply["window_s"]
    try:
        investigation = Investigation(settings, _followed(settings, reply))
        addresses = [asked.ip] if asked.ip is not None else []
        return investigation.about(addresses, asked.user, since=now - window, now=now)
    except PbsError as error:
        if reply is None:
            raise
        return Findings(now - window, now, config.grace, notes=[f"the logs: {error}"])


def _followed(settings: Settings, reply: Reply | None) -> list[str] | None:
    """The logs that the daemon follows, whatever options it was started with; None: those of the configuration."""
    if reply is None or ("watchlog" in settings.origins and settings.origin("watchlog").startswith("--")):
        return None
    from pbs_fast.errors import UsageError
    from pbs_fast.sources.registry import find_scheme
    from pbs_fast.sources.watched import Watched

    try:
        known = Watched(settings.config).paths
    except UsageError:
        known = []
    # The daemon names a journal in words, which only its spec in the configuration tells how to read.
    others = [spec for spec in known if find_scheme(spec) is not None]
    return [*(name for name in reply["logs"] if name.startswith("/")), *others] or None


def _number(reply: Reply | None, found: Findings) -> None:
    from pbs_fast.cli.render.why import shown_lines
    from pbs_fast.control.why.search import numbered

    found.replace_lines(numbered(shown_lines(reply, found)))
