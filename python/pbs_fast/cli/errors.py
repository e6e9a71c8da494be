"""Bad use of the command line as ONE line: what, where, the nearest valid name. No usage text, no boxes.

Uses only the attributes of the parser's exceptions, so it works with every supported version of typer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pbs_fast.util.text import printable

_QUOTED = re.compile(r"'([^']*)'")


def nearest(word: str, names: Iterable[str]) -> str | None:
    """The name most similar to the word, None if none is similar."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(names), n=1, cutoff=0.6)), None)


def bad_use(error: Any, command: str) -> str:
    """The line for a usage error of typer (or of click below it), with the command's name in front.

    `command` is used where the error does not say which command it is about.
    """
    context = error.ctx
    command = context.command_path if context else command
    return printable(f"{command}: {_what(error, context, command)}")


def no_such_command(word: str, names: Iterable[str]) -> str:
    """What is wrong with a command's name."""
    near = nearest(word, names)
    return f"no such command {word}; " + (f"nearest: {near}" if near else "the commands are listed by: pbs-fast --help")


def _what(error: Any, context: Any, command: str) -> str:
    kind = type(error).__name__
    if kind == "NoSuchOption":
        near = nearest(error.option_name, _options(context))
        return f"no such option {error.option_name}; " + (f"nearest: {near}" if near else f"see: {command} --help")
    if kind == "MissingParameter":
        return f"{_name(error.param, context)} is missing; see: {command} --help"
    if kind == "BadParameter":
        return f"{_name(error.param, context)}: {_with_nearest(error.message)}"
    if kind == "BadOptionUsage":
        needs = "needs a value" if "requires" in error.message else "takes no value"
        return f"{error.option_name} {needs}"
    if extra := re.search(r"unexpected extra argument(?:s|\(s\))? \((.*)\)$", error.message, re.DOTALL):
        return f"unexpected argument {extra[1]}; see: {command} --help"
    return _plain(error.message)


def _options(context: Any) -> list[str]:
    if context is None:
        return []
    return [name for param in context.command.get_params(context) for name in (*param.opts, *param.secondary_opts)]


def _name(param: Any, context: Any) -> str:
    """`--grace` for an option, `FILE` for an argument."""
    if param is None:
        return "argument"
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.make_metavar(context) if param.metavar is None else param.metavar).strip("[].")


def _with_nearest(message: str) -> str:
    """`'rst' is not one of 'auto', 'rust', 'python'` with the nearest of them."""
    words = _QUOTED.findall(message)
    if "is not one of" in message and (near := nearest(words[0], words[1:])):
        return f"{_plain(message)}; nearest: {near}"
    return _plain(message)


def _plain(message: str) -> str:
    if "valid integer" in message:
        return "must be a whole number, like 30000"
    if least := re.search(r"greater than or equal to ([0-9]+)", message):
        return f"must be at least {least[1]}"
    text = message.strip().removesuffix(".")
    return text[:1].lower() + text[1:]
