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
                help="Replay this log under the imported configuration instead, and say what it would have granted;"
                " where the old program is installed, also which addresses only one of the two granted.",
                show_default=False,
            ),
        ] = None,
    ) -> int:
        """Write the configuration that means the same as an old one of pop-before-smtp to standard output.

        The old configuration is a Perl program: perl evaluates it, so its code runs, as it did when the old daemon
        started. What cannot be carried over is said on standard error, with its line and what to do.
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
