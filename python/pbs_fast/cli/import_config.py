"""`pbs-fast import-config`: the old Perl configuration as TOML."""

from __future__ import annotations

from typing import Annotated

import typer

from pbs_fast.cli import panels
from pbs_fast.cli.options import Grouped
from pbs_fast.util.text import printable


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("import-config", cls=Grouped, rich_help_panel=panels.SETUP)
    def import_config(
        file: Annotated[
            str,
            typer.Argument(metavar="FILE", help="pop-before-smtp.conf or pop-before-smtp-conf.pl.", show_default=False),
        ],
        check: Annotated[
            str | None,
            typer.Option(
                "--check",
                metavar="LOG",
                help="Instead of writing the configuration, ask the old file's own code and the imported configuration"
                " about each line of this log, and show the lines that only one of the two grants.",
                show_default=False,
            ),
        ] = None,
        keep_patterns: Annotated[
            bool,
            typer.Option(
                "--keep-patterns",
                help="Keep all patterns as they were, also those that a built-in format reads, which may grant more.",
            ),
        ] = False,
    ) -> int:
        """Convert a configuration of pop-before-smtp and write it to standard output.

        The old configuration is a Perl program: perl evaluates it, so its code runs, as it did when the old daemon
        started, but never as root: as nobody, or as the file's owner. Standard error reports what cannot be carried
        over, with its line and what to do. The exit status is 3 when something was left out that decides about grants,
        table, log or networks, or when --check finds a difference.
        """
        from pbs_fast.formats.loader import load_catalogue
        from pbs_fast.legacy import perl
        from pbs_fast.legacy.convert import convert
        from pbs_fast.legacy.evaluate import evaluate
        from pbs_fast.legacy.patterns import Recognizer
        from pbs_fast.matching import load_backend

        old = evaluate(file)
        if (account := perl.account_for(file)) is not None:
            typer.echo(f"note: {file} is a program; its code runs as {account.name}, not as root", err=True)
        found = convert(old, None if keep_patterns else Recognizer(load_backend(None), load_catalogue()))
        for note in found.notes:
            if note not in found.left_out:
                typer.echo(printable(f"note: {note}"), err=True)
        for each in found.left_out:
            typer.echo(printable(f"not carried over: {each}"), err=True)
        if check is not None:
            from pbs_fast.legacy.check import compare

            return max(compare(old, found, check, typer.echo), 3 if found.left_out else 0)
        typer.echo(found.toml, nl=False)
        return 3 if found.left_out else 0
