"""The program `pbs-fast`: its commands, and how errors are reported.

Invariants: an error is ONE line on standard error; output printed before it stays valid; the exit status is 0, 1 (a run
failed), 2 (bad use), a status of the command's own, 130 after an interrupt, 141 if the reader of our output has exited.
A traceback is a bug. Of the command modules, only that of the given command is imported (`MODULES`), and these import
what they run inside their functions: a command starts in half the time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pbs_fast.cli import panels
from pbs_fast.cli.errors import bad_use, no_such_command
from pbs_fast.cli.options import WholeWords
from pbs_fast.cli.values import PlainValues
from pbs_fast.errors import PbsError, UsageError
from pbs_fast.util.text import printable

NAME = "pbs-fast"
#: The modules of this package with commands, in the order of `--help`, and the names of their commands.
MODULES: dict[str, tuple[str, ...]] = {
    "run": ("run",),
    "table": ("reap", "clear"),
    "status": ("status", "metrics", "reload"),
    "why": ("why",),
    "rows": ("list",),
    "watch": ("watch",),
    "manual": ("revoke", "grant", "queue"),
    "share": ("share",),
    "match": ("match",),
    "bench": ("bench",),
    "report": ("report",),
    "doctor": ("doctor",),
    "catalogue": ("formats", "version"),
    "config": ("config",),
    "import_config": ("import-config",),
}
#: Help that goes into a pipe or a file does not depend on the terminal it was asked from.
_PIPED_WIDTH = 80
_TERMINAL_WIDTH = 100
#: No first sentence of a command is longer.
_SENTENCE = 500
#: 128 + the signal's number, as a shell reports a program that the signal ended.
_INTERRUPTED = 130
_PIPE_CLOSED = 141


#: The parser's usage errors share this base; typer 0.26 and later bring their own, earlier ones take click's.
_ParserError: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "UsageError")


class _Commands(PlainValues, WholeWords, TyperGroup):
    """The group of our commands; an unknown name is answered with the nearest one."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the parser's signature
        """The commands in their groups, each with its whole first sentence."""
        groups: dict[str, list[tuple[str, str]]] = {title: [] for title in panels.COMMANDS}
        for name, command in self.commands.items():
            title = str(getattr(command, "rich_help_panel", None))
            groups.setdefault(title, []).append((name, command.get_short_help_str(_SENTENCE)))
        for title, lines in groups.items():
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise UsageError(no_such_command(args[0], self.commands))
        return super().resolve_command(ctx, args)


def _version(wanted: bool) -> None:
    if wanted:
        from pbs_fast import __version__

        typer.echo(f"version: {__version__}")
        raise typer.Exit


def _start(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback acts on it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """POP before SMTP: clients that logged in over POP or IMAP may relay for half an hour.

    Help for a command: pbs-fast COMMAND --help
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def blank(**settings: Any) -> typer.Typer:
    """A typer program without commands; its help does not depend on where it is printed."""
    width = None if sys.stdout is not None and sys.stdout.isatty() else _PIPED_WIDTH
    return typer.Typer(
        **settings,
        add_completion=False,
        # Plain text: the same on a terminal, in a pipe and in the manual, and half the time to print.
        rich_markup_mode=None,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "terminal_width": width,
            "max_content_width": _TERMINAL_WIDTH,
        },
    )


def application() -> typer.Typer:
    """The program `pbs-fast` with all its commands."""
    return _of_modules(MODULES)


def _of_modules(names: Iterable[str]) -> typer.Typer:
    """The program with the commands of these modules."""
    app = blank(cls=_Commands, invoke_without_command=True)
    app.callback()(_start)
    for name in names:
        import_module(f"{__name__}.{name}").register(app)
    return app


def main(args: Sequence[str] | None = None) -> int:
    """Run `pbs-fast` with `args`, by default the process's own, and return its exit status."""
    given = sys.argv[1:] if args is None else list(args)
    # Help, completion and an unknown command's nearest name need all commands.
    module = next((name for name, commands in MODULES.items() if given[:1] and given[0] in commands), None)
    if module is None or _completes(NAME):
        return execute(application, NAME, given)
    return execute(partial(_of_modules, [module]), NAME, given)


def execute(make: Callable[[], typer.Typer], name: str, args: list[str]) -> int:
    """Run the program that `make` makes under a name, and return its exit status; an error is one line."""
    try:
        status = _run(make, name, args)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return _PIPE_CLOSED
    except OSError as error:  # of our own output, such as a full disk
        _discard_output()
        return _fail(name, f"cannot write the output: {error.strerror or error}", 1)
    return status


def _run(make: Callable[[], typer.Typer], name: str, args: list[str]) -> int:
    command = typer.main.get_command(make())
    if _completes(name):
        _complete(command, name)
    where = name
    try:
        with command.make_context(name, args) as context:
            try:
                result = command.invoke(context)
            finally:
                # Known only now, after the group has parsed the command's name.
                where = f"{name} {context.invoked_subcommand}" if context.invoked_subcommand else name
    except typer.Exit as exit_:
        return exit_.exit_code
    except typer.Abort:
        return _INTERRUPTED
    except PbsError as error:
        return _fail(where, str(error), error.exit_status)
    except _ParserError as error:
        return _fail_line(bad_use(error, where), 2)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(where, f"{os.fsdecode(error.filename)}: {error.strerror}", 1)
    return result if isinstance(result, int) else 0


def _completes(name: str) -> bool:
    """Whether a shell asks what it could complete."""
    return f"_{name.upper().replace('-', '_')}_COMPLETE" in os.environ


def _complete(command: Any, name: str) -> None:
    """Answer a completion request of a shell, or print its script; ends the process."""
    from typer import completion

    completion.completion_init()  # type: ignore[attr-defined]  # in no __all__, and there is no public counterpart
    command.main([], prog_name=name)


def _fail(where: str, what: str, status: int) -> int:
    return _fail_line(printable(f"{where}: {what}"), status)


def _fail_line(line: str, status: int) -> int:
    if sys.stdout is not None:
        sys.stdout.flush()  # earlier output comes first
    if sys.stderr is not None:
        sys.stderr.write(line + "\n")
    return status


def _discard_output() -> None:
    """Discard the interpreter's last flush, which would report the same error again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
