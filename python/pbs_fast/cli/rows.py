"""`pbs-fast list`: the addresses that may relay now, from the running daemon, else from the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pbs_fast.cli import options, panels
from pbs_fast.cli.reach import escape_output, note, socket_for
from pbs_fast.cli.table import chosen, each_account, listing
from pbs_fast.config import DEFAULT, Config, Settings
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.control.replies import Row
    from pbs_fast.tables import TableSpec

_DEFAULT = "address"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @options.command(app, "list", keys=("dbfile", "table", "flock"), panel=panels.DAEMON)
    def list_(
        settings: Settings,
        json: Annotated[
            bool,
            typer.Option(
                "--json",
                help="Print one JSON object per row; if it reads the tables, one per table, with table and rows.",
            ),
        ] = False,
        sort: Annotated[
            str,
            typer.Option(**options.one_of("address", "user", "since", "until", "format"), help="Order of the rows."),
        ] = _DEFAULT,
    ) -> int:
        """Show the addresses that may relay now, with user, login, end and format.

        Asks the running daemon, which also knows tables that are only in memory (socketmap, policy). If none runs, or
        with --dbfile or --table, it reads the tables themselves, which hold addresses only. Reads only: it keeps no
        lock and creates no file.
        """
        from pbs_fast.cli.render.replies import ORDERS

        if sort not in ORDERS:
            from pbs_fast.cli.errors import nearest
            from pbs_fast.errors import UsageError

            near = nearest(sort, ORDERS) or ", ".join(ORDERS)
            raise UsageError(f"--sort={sort}: no such order; nearest: {near}")
        specs = chosen(settings.config)
        named = any(settings.origin(key).startswith("--") for key in ("dbfile", "table"))
        if not named or all(spec.file is None for spec in specs):
            rows = _asked(settings, specs)
            if rows is not None:
                _show(sorted(rows, key=ORDERS[sort]), json)
                return 0
        return each_account(
            "list", settings.config, specs, [], lambda some, _: _read(settings.config, some, len(specs), json)
        )


def _asked(settings: Settings, specs: Sequence[TableSpec]) -> list[Row] | None:
    """The daemon's rows; None if there is none, or one that does not write the first table. Raises PbsError."""
    from pbs_fast.control.client import AnsweredError, ControlError, stream
    from pbs_fast.control.protocol import List

    # Daemons that share the default directory are told apart by their tables, as far as these are configured.
    shared = settings.origin("control.directory") == DEFAULT
    named = any(settings.origin(key) != DEFAULT for key in ("dbfile", "table"))
    request = List(table=str(specs[0]) if shared and named else None)
    try:
        return [row for page in stream(socket_for(settings, request), request) for row in page["rows"]]
    except ControlError as error:
        if all(spec.file is None for spec in specs) or (isinstance(error, AnsweredError) and error.code != "unknown"):
            raise
        note("list", f"{error}; reading the tables, which hold addresses only")
    return None


def _show(rows: Sequence[Row], json: bool) -> None:
    escape_output()
    if json:
        from json import dumps

        for row in rows:
            typer.echo(dumps(row))
        return
    from datetime import UTC, datetime

    from pbs_fast.cli.render.layout import look
    from pbs_fast.cli.render.replies import rows as as_text

    typer.echo(as_text(rows, datetime.now(UTC).isoformat(), look()), nl=False)


def _read(config: Config, specs: Sequence[TableSpec], count: int, json: bool) -> Iterable[Callable[[], None]]:
    """Steps that print what tables hold."""
    from pbs_fast.tables import list_rows

    def show(spec: TableSpec) -> None:
        rows = list_rows(spec, flock=config.flock)
        if json:
            from json import dumps

            typer.echo(dumps({"table": str(spec), "rows": dict(rows)}))
            return
        if count > 1:
            typer.echo(printable(str(spec)))
        typer.echo(listing([key for key, _ in rows]), nl=False)

    return [lambda spec=spec: show(spec) for spec in specs]  # type: ignore[misc]
