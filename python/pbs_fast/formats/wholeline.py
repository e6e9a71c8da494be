"""Whole-line patterns, as in the old program's configuration, converted to patterns with named groups.

The old program searched a pattern in the whole line; `[LOGTIME]` meant the timestamp, the first capture was the
timestamp and the second the address. Here each becomes a group of that name (docs/MATCHING.md, 4).
"""

from __future__ import annotations

from typing import Final

from pbs_fast.errors import FormatError
from pbs_fast.formats.lexer import TOKEN, Token, tokens
from pbs_fast.formats.timestamps import BSD, ISO

LOGTIME: Final = "[LOGTIME]"
#: The meaning of unnamed captures, in order, unless named groups already have it.
_CAPTURES: Final = ("timestamp", "ip")


def named(pattern: str) -> str:
    """The pattern with groups `timestamp` and `ip` for `[LOGTIME]` and its first captures; further ones are plain
    groups.

    Raises FormatError when nothing in it is the timestamp.
    """
    found = tokens(pattern)
    told = {token["name"] for token in found if token["name"]}
    if any(token[0] == LOGTIME for token in found):
        told.add("timestamp")
    wanted = [name for name in _CAPTURES if name not in told]
    if "timestamp" in wanted and not any(token["open"] == "(" for token in found):
        raise FormatError(f"'{pattern}' says nowhere what the timestamp is; write {LOGTIME} for it")

    def replace(token: Token) -> str:
        if token[0] == LOGTIME:
            return f"(?P<timestamp>{BSD}|{ISO})"
        if token["open"] == "(":
            return f"(?P<{wanted.pop(0)}>" if wanted else "(?:"
        return token[0]

    return TOKEN.sub(replace, pattern)
