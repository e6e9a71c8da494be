"""The options that are keys of the configuration, once for all commands that read it, in the order they were given.

    @options.command(app, "run")
    def run(settings: Settings, ...further options of this command...) -> None: ...

The parser keeps only the last value of an option and no order between options, and `--debug --logto=F` differs from
`--logto=F --debug`; so the arguments are walked once more. Help texts come from the configuration's model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from typer.core import TyperCommand

from pbs_fast.cli import panels
from pbs_fast.cli.values import PlainValues
from pbs_fast.config import KEYS, Config, Given, Settings, load, merge
from pbs_fast.util.durations import allowed, read_duration

P = ParamSpec("P")

CORES = ("auto", "rust", "python")
_ARGUMENTS = "pbs_fast.arguments"
#: The one parameter that is no key.
_FILE = "config_file"


def _help(key: str) -> str:
    doc = KEYS[key].doc
    return f"{doc[0].upper()}{doc[1:]}."


def _switch(key: str) -> Any:
    return typer.Option(f"--{key}/--no{key}", help=_help(key), show_default=False, rich_help_panel=panels.KEYS)


def _flag(key: str) -> Any:
    return typer.Option(f"--{key}", help=_help(key), show_default=False, rich_help_panel=panels.KEYS)


def one_of(*words: str) -> dict[str, Any]:
    """What `typer.Option` gets for a value that is one of these words: a shell completes them."""
    return {"metavar": "|".join(words), "autocompletion": lambda incomplete: starting(words, incomplete)}


def starting(words: Iterable[str], incomplete: str) -> list[str]:
    """What a shell offers of these words for one that was begun."""
    return [each for each in words if each.startswith(incomplete)]


def _text(key: str, metavar: str, *aliases: str) -> Any:
    return typer.Option(
        f"--{key}", *aliases, metavar=metavar, help=_help(key), show_default=False, rich_help_panel=panels.KEYS
    )


def _duration(key: str) -> Any:
    text = f"{_help(key)[:-1]}: {KEYS[key].kind.allowed}."
    return typer.Option(f"--{key}", metavar="DURATION", help=text, show_default=False, rich_help_panel=panels.KEYS)


def duration(low: int, high: int) -> Callable[[object], int]:
    """The parser of an option that is a duration, for `typer.Option(parser=duration(1, 60), metavar="DURATION")`."""

    def parse(value: object) -> int:
        try:
            return read_duration(value, low, high)
        except ValueError:
            raise typer.BadParameter(f"must be {allowed(low, high)}, not {value!r}") from None

    return parse


Write = Annotated[bool | None, _switch("write")]
Debug = Annotated[bool | None, _switch("debug")]
Flock = Annotated[bool | None, _switch("flock")]
Reprocess = Annotated[bool | None, _flag("reprocess")]
Once = Annotated[bool | None, _flag("once")]
Watchlog = Annotated[list[str] | None, _text("watchlog", "LOG", "--logfile")]
Dbfile = Annotated[str | None, _text("dbfile", "TABLE")]
Table = Annotated[list[str] | None, _text("table", "TYPE:PATH")]
Logto = Annotated[str | None, _text("logto", "FILE")]
Grace = Annotated[str | None, _duration("grace")]
Daemon = Annotated[str | None, _text("daemon", "PIDFILE")]
Backend = Annotated[
    str | None,
    typer.Option("--core", **one_of(*CORES), help=_help("core"), show_default=False, rich_help_panel=panels.KEYS),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration file; by default /etc/pbs-fast/pbs-fast.toml, if it exists.",
        show_default=False,
        rich_help_panel=panels.KEYS,
    ),
]

#: Parameter name (the key, but for the file's) -> its option, in the order of the help text.
_PARAMETERS: dict[str, Any] = {
    _FILE: ConfigFile,
    "watchlog": Watchlog,
    "dbfile": Dbfile,
    "table": Table,
    "grace": Grace,
    "write": Write,
    "flock": Flock,
    "debug": Debug,
    "logto": Logto,
    "daemon": Daemon,
    "reprocess": Reprocess,
    "once": Once,
    "core": Backend,
}


#: Stands for a hyphen while help is wrapped, which would break `pbs-fast` in two.
_HYPHEN = "\ue000"


class WholeWords:
    """A command whose help is wrapped between words only."""

    def get_help(self, ctx: Any) -> str:
        formatter = ctx.make_formatter()
        write_text, write_dl = formatter.write_text, formatter.write_dl
        formatter.write_text = lambda text: write_text(_glued(text))
        formatter.write_dl = lambda rows, *more: write_dl([(term, _glued(text)) for term, text in rows], *more)
        self.format_help(ctx, formatter)  # type: ignore[attr-defined]  # of the parser's class that this is mixed into
        return str(formatter.getvalue()).rstrip("\n").replace(_HYPHEN, "-")


def _glued(text: str) -> str:
    return re.sub(r"(?<=\S)-(?=\S)", _HYPHEN, text)


class Grouped(PlainValues, WholeWords, TyperCommand):
    """A command whose help groups its options by their `rich_help_panel`, without rich."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            title = "Arguments" if param.param_type_name == "argument" else _panel(param)
            if (record := param.get_help_record(ctx)) is not None:
                # An argument's type says nothing that its name does not.
                groups.setdefault(title, []).append(
                    (record[0].partition(" <")[0] if title == "Arguments" else record[0], record[1])
                )
        for title in sorted(groups, key=["Arguments", "Options", panels.KEYS].index):
            with formatter.section(title):
                formatter.write_dl(groups[title])


def _panel(param: Any) -> str:
    # `--help` itself is of another class.
    return getattr(param, "rich_help_panel", None) or "Options"


class _Remembering(Grouped):
    """A command that keeps its arguments as they were given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)


def command(
    app: typer.Typer, name: str, keys: Sequence[str] = tuple(KEYS), base: Config | None = None, panel: str | None = None
) -> Callable[[Callable[Concatenate[Settings, P], object]], Callable[Concatenate[Settings, P], object]]:
    """Register a function as a command with `--config` and the options of the configuration's `keys`, by default all.

    The function's first parameter gets the Settings they make, from the defaults of `base`; its others are options and
    arguments of its own. `panel` is the group of commands in the program's help.
    """

    def register(function: Callable[Concatenate[Settings, P], object]) -> Callable[Concatenate[Settings, P], object]:
        call: Callable[..., object] = function
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        options = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for key, annotation in _PARAMETERS.items()
            if key in keys or key == _FILE
        ]
        parameters = [context, *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *options]

        def run(**values: Any) -> object:
            ctx = values["ctx"]
            settings = merge(load(values[_FILE]), given(ctx.command.params, ctx.meta[_ARGUMENTS]), base)
            return call(settings, **{each.name: values[each.name] for each in own})

        run.__doc__ = function.__doc__
        run.__name__ = function.__name__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name, cls=_Remembering, rich_help_panel=panel)(run)
        return function

    return register


def given(params: Sequence[Any], args: Sequence[str]) -> list[Given]:
    """The configuration's options among arguments that the parser has accepted, each time they occur, in order."""
    return [each for each in _walk(params, args) if each.key in KEYS]


def _walk(params: Sequence[Any], args: Sequence[str]) -> Iterator[Given]:
    known = {name: (param, True) for param in params for name in param.opts if param.param_type_name == "option"}
    known |= {name: (param, False) for param in params for name in param.secondary_opts}
    rest = iter(args)
    for argument in rest:
        if argument == "--":
            return
        option, equals, value = argument.partition("=")
        if option not in known:
            continue
        param, on = known[option]
        if param.is_flag:
            yield Given(option, param.name, on)
        else:
            yield Given(option, param.name, value if equals else next(rest))
