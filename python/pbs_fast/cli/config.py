"""`pbs-fast config`: the configuration in force, with where each value comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.config import Config, Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "config", panel=panels.SETUP)
    def config(
        settings: Settings,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Show the configuration in force.

        Takes the options of `run` and prints the resulting configuration as a complete file. A comment after each value
        says whether it is the default, or which line or option set it. The first lines say which logs would be followed
        and which tables written, also where the daemon chooses them.
        """
        from pbs_fast.config.show import as_json, as_toml

        if json:
            text = as_json(settings, [spec for spec, _ in _tables(settings.config)])
        else:
            text = as_toml(settings, [f"{spec} ({why})" if why else spec for spec, why in _tables(settings.config)])
        typer.echo(text, nl=False)


def _tables(config: Config) -> Iterator[tuple[str, str]]:
    """Each table that would be written, with why it is of its type, or why it is not written."""
    from pbs_fast.errors import PbsError
    from pbs_fast.tables.untyped import choose

    for text in config.tables:
        try:
            spec, why = choose(text, config.postconf)
        except PbsError as error:
            yield text, str(error)
            continue
        yield str(spec), why if config.write else "not with --nowrite"
