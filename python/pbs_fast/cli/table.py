"""`pbs-fast list`, `reap` and `clear`: look at the tables, empty them when nobody keeps them, empty them now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import options
from pbs_fast.config import Config, Settings
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.tables import TableOptions, TableSpec


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @options.command(app, "list", keys=("dbfile", "table", "flock"))
    def list_(
        settings: Settings,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object a table instead.")] = False,
    ) -> None:
        """Show the addresses that may relay now.

        Only reads: no lock is kept, no file is made.
        """
        from pbs_fast.tables import list_rows

        specs = chosen(settings.config)
        for spec in specs:
            rows = list_rows(spec, flock=settings.config.flock)
            if json:
                from json import dumps

                typer.echo(dumps({"table": str(spec), "rows": dict(rows)}))
                continue
            if len(specs) > 1:
                typer.echo(printable(str(spec)))
            typer.echo(listing([key for key, _ in rows]), nl=False)

    @options.command(app, "reap", keys=("dbfile", "table", "grace", "flock"))
    def reap_(settings: Settings) -> None:
        """Empty each table that no daemon has owned for as long as the grace time.

        For a timer, so that rows do not outlive a daemon that was stopped for good.
        """
        from pbs_fast.tables.reap import reap

        for spec in chosen(settings.config):
            done = reap(spec, table_options(settings.config), grace=settings.config.grace)
            typer.echo(
                {
                    "absent": f"{spec}: there is no such table",
                    "owned": f"{spec}: a daemon owns it",
                    "waiting": f"{spec}: without an owner; to be emptied in {done.wait:.0f} s",
                    "emptied": f"{spec}: emptied, {done.removed} rows removed",
                }[done.state]
            )

    @options.command(app, "clear", keys=("dbfile", "table", "flock"))
    def clear_(settings: Settings) -> None:
        """Empty the tables now. The daemon must be stopped first."""
        from pbs_fast.tables.reap import clear

        for spec in chosen(settings.config):
            typer.echo(f"{spec}: emptied, {clear(spec, table_options(settings.config))} rows removed")


def chosen(config: Config) -> list[TableSpec]:
    """The tables of a configuration, those without a type resolved. Raises UsageError."""
    from pbs_fast.tables.untyped import choose

    return [choose(text, config.postconf).spec for text in config.tables]


def table_options(config: Config) -> TableOptions:
    """How the configuration wants tables written."""
    from pbs_fast.tables import TableOptions

    return TableOptions(value=config.value, flock=config.flock, adopt=config.adopt)


def listing(addresses: list[str]) -> str:
    """The old program's words: `The database holds 2 IPs:` and an address a line."""
    count = len(addresses)
    if not count:
        return "The database holds 0 IPs.\n"
    return f"The database holds {count} IP{'s' if count > 1 else ''}:\n" + "".join(
        f"\t{printable(each)}\n" for each in addresses
    )
