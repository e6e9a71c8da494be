"""The tokens of a pattern, as Python's `re` and the `regex` crate read them: units, repetitions, groups, edges.

The one lexer of patterns: the parser, the rules and the conversion of old patterns use these tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

Token = re.Match[str]

TOKEN: Final = re.compile(
    r"(?P<repeat>[*+?]|\{(?P<least>[0-9]+)(?P<range>,(?P<most>[0-9]*))?\}|\{,(?P<upto>[0-9]+)\})"
    r"|(?P<open>\((?:\?:|\?i:|\?P<(?P<name>[A-Za-z_][A-Za-z0-9_]*)>|(?!\?)))"
    r"|(?P<flags>\(\?[A-Za-z-]+\))"
    r"|(?P<strange>\(\?(?:[A-Za-z-]+:|<?[=!]|>|.?))"
    r"|(?P<close>\))|(?P<bar>\|)"
    r"|(?P<edge>[$^]|\\[AZzbB])"
    r"|(?P<back>\\[1-9])"
    r"|(?P<unit>\\x[0-9A-Fa-f]{2}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.)",
    re.DOTALL,
)
"""`repeat` without the `?` or `+` that may follow it; `open` of a group that every rule here understands, with its
`name`; `strange`: the opening of any other group; `unit`: what matches one byte."""


def tokens(pattern: str) -> list[Token]:
    """All tokens, in order; together they are the whole pattern."""
    return list(TOKEN.finditer(pattern))


def is_class(token: Token) -> bool:
    """Whether it is a bracketed class."""
    return len(token[0]) > 1 and token[0].startswith("[")


def is_endless(token: Token | None) -> bool:
    """Whether it repeats what precedes it without an upper limit."""
    return token is not None and (token[0] in ("*", "+") or bool(token["range"] and not token["most"]))


def after(found: Sequence[Token], at: int) -> Token | None:
    """The token behind number `at`; None at the end."""
    return found[at + 1] if at + 1 < len(found) else None


def is_ended(found: Sequence[Token], at: int) -> bool:
    """Whether what follows unit number `at` and its repetition is one byte that the unit itself cannot match."""
    behind = at + 1
    while behind < len(found) and found[behind]["repeat"]:
        behind += 1
    if behind >= len(found) or not found[behind]["unit"]:
        return False
    following = after(found, behind)
    if following is not None and following["repeat"]:
        return False
    literal = re.fullmatch(r"\\([^A-Za-z0-9])|([^\[\].\\])", found[behind][0])
    return literal is not None and re.fullmatch(found[at][0].encode(), (literal[1] or literal[2]).encode()) is None
