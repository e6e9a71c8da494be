"""Values of options and arguments that need no conversion, kept from the parser's own conversion.

Of late typer (0.29) converts each value by pydantic, even a text into a text, and importing pydantic takes 40 ms. It is
imported only for what has to be converted: a number, a duration. Older versions of typer give the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


class PlainValues:
    """A command, or group of commands, that takes texts and switches as they are given."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, that of `--help` too, each with a method of the parser's public interface replaced."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]  # of the class that this is mixed into
        for param in params:
            if not isinstance(param.process_value, partial):
                param.process_value = partial(_processed, param, param.process_value)
        return params


def _processed(param: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """The value of a parameter, given or the default: `convert`'s, unless it is known without asking it."""
    is_list = param.multiple or param.nargs != 1
    if value is None or value in ([], ()):
        if param.required:
            return convert(ctx, value)  # its error
        value = () if is_list else None
    elif isinstance(value, str | list | tuple):
        if not _is_text(param, is_list):
            return convert(ctx, value)
        value = list(value) if is_list else value
    elif not isinstance(value, int):
        return convert(ctx, value)  # click 8.3 has an object of its own for a value that was not given
    # A number or a switch was not given as a text: it is the default, or a flag's.
    return value if param.callback is None else param.callback(ctx, param, value)


def _is_text(param: Any, is_list: bool) -> bool:
    """Whether a parameter is a text or a list of texts; False where this version of typer does not tell."""
    described = getattr(param, "type_descriptor", None)
    parser = getattr(getattr(described, "parameter_info", None), "parser", None)
    wanted = list[str] if is_list else str
    return parser is None and getattr(described, "annotation", None) == wanted
