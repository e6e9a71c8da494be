"""`pbs-fast share forget`: a node that is gone for good."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from pbs_fast.cli import options, panels
from pbs_fast.cli.reach import answer, note
from pbs_fast.config import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "share", keys=(), panel=panels.DAEMON)
    def share(
        settings: Settings,
        action: Annotated[Literal["forget"], typer.Argument(metavar="forget", help="The word forget.")],  # noqa: ARG001
        node: Annotated[str, typer.Argument(metavar="NODE", help="The node's name.")],
    ) -> int:
        """Forget a node that is gone for good: pbs-fast share forget NODE.

        The daemon no longer waits for it, and drops its messages from the hubs. Where a hub does not let this
        node do that, the commands for its administrator are printed. The node's rows end by themselves; take it out of
        share.from on all nodes. The exit status is 1 if a hub still holds messages of it.
        """
        from pbs_fast.control.client import ControlError
        from pbs_fast.control.protocol import LONGEST_NODE, Forget
        from pbs_fast.daemon.open_share import node_name
        from pbs_fast.errors import UsageError
        from pbs_fast.share.forget import by_hand, drop
        from pbs_fast.share.link import require_library
        from pbs_fast.share.spec import parse_hub, read_secrets

        keys = settings.config.share
        if not keys.hubs:
            raise UsageError("share.hubs is empty, so there are no other nodes; name the configuration with --config")
        if not node or len(node) > LONGEST_NODE or node == node_name(keys):
            raise UsageError(f"{node[:LONGEST_NODE]!r}: name another node, as pbs-fast status shows it")
        require_library()
        secrets = read_secrets(keys.secret, settings.file)
        left: list[str] = []
        for url in map(parse_hub, keys.hubs):
            why = drop(url, secrets.password, keys.ca, keys.site, node)
            typer.echo(f"{url.text}: {f'not dropped: {why}' if why else f'holds nothing of {node} any more'}")
            left += [url.place] if why else []
        if left:
            typer.echo(f"the administrator of {' and '.join(left)} must run there:")
            typer.echo("".join(f"  {line}\n" for line in by_hand(keys.site, node)), nl=False)
        try:
            answer(settings, Forget(node))
        except ControlError as error:
            note("share", f"the daemon was not told: {error}")
        return 1 if left else 0
