"""`pbs-fast config`: the configuration in force, with where each value comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.config import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "config", panel=panels.SETUP)
    def config(
        settings: Settings,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Show the configuration in force.

        Takes the options of `run` and prints the resulting configuration as a complete file. A comment after each value
        says whether it is the default, or which line or option set it.
        """
        from pbs_fast.config.show import as_json, as_toml

        typer.echo(as_json(settings) if json else as_toml(settings), nl=False)
