"""`pbs-fast import-config`: the old Perl configuration as TOML."""

from __future__ import annotations

from typing import Annotated

import typer

from pbs_fast.util.text import printable


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("import-config")
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
                help="Instead, replay this log with the imported configuration and show what it would have granted; if"
                " the old program is installed, also which addresses only one of the two granted.",
                show_default=False,
            ),
        ] = None,
    ) -> int:
        """Convert a configuration of pop-before-smtp and write it to standard output.

        The old configuration is a Perl program: perl evaluates it, so its code runs, as it did when the old daemon
        started. Settings that cannot be converted are reported on standard error, with their line and what to do.
        """
        from pbs_fast.formats.loader import load_catalogue
        from pbs_fast.legacy.convert import convert
        from pbs_fast.legacy.evaluate import evaluate
        from pbs_fast.legacy.patterns import Recognizer
        from pbs_fast.matching import load_core

        old = evaluate(file)
        found = convert(old, Recognizer(load_core(None), load_catalogue()))
        for note in found.notes:
            typer.echo(printable(f"note: {note}"), err=True)
        if check is not None:
            from pbs_fast.legacy.check import compare

            return compare(old, found, check, typer.echo)
        typer.echo(found.toml, nl=False)
        return 0
