"""`pbs-fast revoke`, `grant` and `queue`: what an administrator does by hand about an address or a login."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.cli.reach import answer, look_for, note, socket_for, target
from pbs_fast.config import Settings
from pbs_fast.config.model import LONGEST

if TYPE_CHECKING:
    from pbs_fast.control.replies import Node, Revoked

Reason = Annotated[
    str, typer.Option(metavar="TEXT", help="Why; for the daemon's log, and shown by why.", show_default=False)
]
#: Seconds for which other nodes may confirm a revocation; one that is heard does it at once.
CONFIRMED = 3.0
_Duration = options.duration(1, LONGEST)


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @options.command(app, "revoke", keys=(), panel=panels.DAEMON)
    def revoke(
        settings: Settings,
        whom: Annotated[
            str | None,
            typer.Argument(
                metavar="ADDRESS|NETWORK|USER", help="An address, a network, or a login name.", show_default=False
            ),
        ] = None,
        node: Annotated[
            str | None,
            typer.Option(
                metavar="NODE",
                help="Another node: remove its rows, and accept no more grants from it.",
                show_default=False,
            ),
        ] = None,
        for_: Annotated[
            int | None,
            typer.Option(
                "--for",
                parser=_Duration,
                metavar="DURATION",
                help="How long no new grant is made, like 24h or 7d; at most 30d. By default one grace period, so that"
                " an older login does not bring the row back; of a node 30d.",
                show_default=False,
            ),
        ] = None,
        reason: Reason = "",
        undo: Annotated[
            bool, typer.Option("--undo", help="End an earlier revoke, or a manual grant, before its time.")
        ] = False,
    ) -> int:
        """Take the right to relay from an address, a network or a user, now.

        The rows are removed from the tables, and no login brings them back for a time. The denial survives a restart of
        the daemon, and holds on all nodes if grants are shared. Permanent denials belong in deny.toml. Needs root or
        the daemon's account.
        """
        from pbs_fast.cli.render import replies
        from pbs_fast.control.protocol import Revoke, Target, Undo
        from pbs_fast.errors import UsageError

        if whom is None:
            if node is None:
                raise UsageError("needs an address, a network, a login name, or --node=NODE")
            whom_ = Target(node=node)
        elif node is None:
            whom_ = target(whom)
        else:
            raise UsageError(f"{whom} and --node do not go together; leave out one of them")
        if undo:
            if for_ is not None:
                raise UsageError("--undo and --for do not go together; leave out --for")
            undone = answer(settings, Undo(whom_.ip, whom_.network, whom_.user, whom_.node, reason=reason))
            typer.echo(replies.undone(undone, look_for(settings)), nl=False)
            return 0
        request = Revoke(whom_.ip, whom_.network, whom_.user, whom_.node, for_s=for_, reason=reason)
        reply = answer(settings, request)
        still = _still_queued(settings, whom_.user) if whom_.user is not None and reply.get("messages") else None
        others = _confirmed(settings, reply)
        config = settings.config
        longest = max(config.share.longest, config.max_session if config.count_sessions else 0)
        typer.echo(replies.revoked(reply, _now(), look_for(settings), others, longest, queued=still), nl=False)
        if warning := reply.get("warning"):
            note("revoke", warning)
        if whom_.user is not None and not reply["revoked"]:
            _warn_of_unknown(settings, whom_.user)
        return 0

    @options.command(app, "grant", keys=(), panel=panels.DAEMON)
    def grant(
        settings: Settings,
        address: Annotated[str, typer.Argument(metavar="ADDRESS", help="An IP address.")],
        for_: Annotated[
            int,
            typer.Option("--for", parser=_Duration, metavar="DURATION", help="How long, like 2h; at most 30d."),
        ],
        reason: Reason = "",
    ) -> int:
        """Let an address relay for a time without a login.

        The guards hold for it too. It survives a restart of the daemon; pbs-fast revoke ends it. Needs root or the
        daemon's account.
        """
        from pbs_fast.cli.render import replies
        from pbs_fast.control.protocol import Grant
        from pbs_fast.errors import UsageError

        ip = target(address).ip
        if ip is None:
            raise UsageError(f"{address}: is not an IP address; only a single address can be granted")
        reply = answer(settings, Grant(ip, for_, reason))
        typer.echo(replies.granted(reply, _now(), look_for(settings)), nl=False)
        return 0

    @options.command(app, "queue", keys=("watchlog", "core"), panel=panels.DAEMON)
    def queue(
        settings: Settings,
        whom: Annotated[str, typer.Argument(metavar="USER|ADDRESS", help="A login name, or an IP address.")],
        since: Annotated[
            int,
            typer.Option(
                parser=_Duration,
                metavar="DURATION",
                help="How far back the logs are read, like 2h or 7d; by default 24h.",
                show_default=False,
            ),
        ] = 86_400,
    ) -> int:
        """Print the ids of queued messages that a user sent by POP before SMTP.

        Asks the daemon, which knows the messages of the last day where a table policy: counts them. Reads the logs for
        the addresses of the user's logins and for the messages that Postfix took from them within a grace period. Then
        asks postqueue which of these are still queued. The exit status is 1 if postqueue fails, or
        if no message is found and a log does not reach back far enough; else 0, even if none is queued. Prints one id a
        line, for example for: pbs-fast queue USER | postsuper -h -
        """
        from time import time

        from pbs_fast.cli.render.layout import plural
        from pbs_fast.control.why.judge import Investigation
        from pbs_fast.control.why.queue import queued, sent_by
        from pbs_fast.errors import PbsError, UsageError

        whom_ = target(whom)
        if whom_.network is not None:
            raise UsageError(f"{whom}: is a network; name a login name or one address")
        now = int(time())
        known = _known_mail(settings, whom_.user, whom_.ip, now - since)
        gaps: list[str] = []
        try:
            found, gaps = sent_by(Investigation(settings), whom_.user, whom_.ip, since=now - since, now=now)
        except PbsError as error:
            if not known:
                raise
            found, gaps = [], [f"the logs: {error}"]
        sent = list(dict.fromkeys([*found, *known]))
        waiting = queued(sent, settings.config.postconf)
        typer.echo("".join(f"{each}\n" for each in waiting), nl=False)
        for gap in gaps:
            note("queue", gap)
        note("queue", f"{plural(len(sent), 'message')} of {whom_.what}, {len(waiting):,} of them still queued")
        return 1 if gaps and not sent else 0


def _known_mail(settings: Settings, user: str | None, ip: str | None, since: float) -> list[str]:
    """The queue ids that the daemon knows of a user or an address; none if it cannot be asked."""
    from pbs_fast.cli.render.layout import parse_time
    from pbs_fast.control.client import ControlError
    from pbs_fast.control.protocol import Why

    try:
        mail = answer(settings, Why(ip=ip, user=user)).get("mail", [])
    except ControlError:
        return []  # the logs know nearly all of it
    return [each["queue_id"] for each in mail if each["queue_id"] and parse_time(each["at"]).timestamp() >= since]


def _still_queued(settings: Settings, user: str) -> int | None:
    """How many of a user's messages of the last hour Postfix still has; None if it cannot be asked."""
    from time import time

    from pbs_fast.control.why.queue import queued
    from pbs_fast.errors import PbsError

    try:
        return len(queued(_known_mail(settings, user, None, time() - 3_600), settings.config.postconf))
    except PbsError:
        return None


def _confirmed(settings: Settings, reply: Revoked) -> Sequence[Node]:
    """The other nodes, once all of them have the revocation in force, or after CONFIRMED seconds."""
    from time import monotonic, sleep

    from pbs_fast.control.client import ControlError
    from pbs_fast.control.protocol import Status

    number = reply.get("revocation")
    if number is None:
        return ()
    end = monotonic() + CONFIRMED
    nodes: Sequence[Node] = ()
    while True:
        try:
            nodes = answer(settings, Status())["nodes"]
        except ControlError as error:
            note("revoke", f"it is in force here, and whether the other nodes have it is not known: {error}")
            return nodes
        if all(node["confirmed"] >= number for node in nodes if not node["silent"]) or monotonic() >= end:
            return nodes
        sleep(0.1)


def _warn_of_unknown(settings: Settings, user: str) -> None:
    """Say so if the daemon knows no login of this user, whose name may be misspelt: the denial holds all the same."""
    from pbs_fast.cli.errors import nearest
    from pbs_fast.control.client import ControlError, stream
    from pbs_fast.control.protocol import List, Refusals
    from pbs_fast.util.text import fold_user

    rows, refusals = List(), Refusals()
    known: dict[str, str] = {}
    try:
        for page in stream(socket_for(settings, rows), rows):
            known |= {fold_user(row["user"]): row["user"] for row in page["rows"] if row["user"]}
        for part in stream(socket_for(settings, refusals), refusals):
            known |= {fold_user(each["user"]): each["user"] for each in part["refusals"] if each["user"]}
    except ControlError as error:
        note("revoke", f"whether {user} is a known login is not checked: {error}")
        return
    name = fold_user(user)
    if name in known:
        return
    # A login is often given without its domain.
    near = next((each for each in sorted(known) if each.partition("@")[0] == name), None) or nearest(name, known)
    text = f"the daemon knows no login of {user}; the denial holds all the same"
    note("revoke", text if near is None else f"{text}; nearest: {known[near]}")


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat()
