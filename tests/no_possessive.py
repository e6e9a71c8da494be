"""Refuses every pattern with a possessive repetition that is compiled in a process of the tests.

CPython before 3.11.5 matches them wrongly (gh-106052, gh-100061), and Debian 12 has 3.11.2. Patterns are also put
together at run time, so it is the engine's own parser that is asked, for every pattern that a test brings about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

SEEN: set[str | bytes] = set()
"""Every pattern compiled since this was imported."""

_MAYBE = re.compile(r"[*+?}]\+")


class PossessiveError(AssertionError):
    """A pattern holds a possessive repetition."""


def _operations(parsed: Any) -> Iterator[Any]:
    if isinstance(parsed, _parser.SubPattern):
        for operation, argument in parsed.data:
            yield operation
            yield from _operations(argument)
    elif isinstance(parsed, list | tuple):
        for each in parsed:
            yield from _operations(each)


def is_possessive(pattern: str | bytes, flags: int = 0) -> bool:
    """Whether a possessive repetition is in it, as `re` itself reads it."""
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    return bool(_MAYBE.search(text)) and _constants.POSSESSIVE_REPEAT in _operations(_parser.parse(pattern, flags))


def _watched(compile_: Callable[[Any, int], re.Pattern[Any]]) -> Callable[[Any, int], re.Pattern[Any]]:
    def compile_watched(pattern: Any, flags: int = 0) -> re.Pattern[Any]:
        compiled = compile_(pattern, flags)
        if isinstance(pattern, str | bytes):
            SEEN.add(pattern)
            if is_possessive(pattern, int(flags)):
                raise PossessiveError(f"Debian 12's Python gets this wrong: write (?>...) for {pattern!r}")
        return compiled

    return compile_watched


_compiler.compile = _watched(_compiler.compile)
