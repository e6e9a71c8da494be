"""Whole-line patterns, as in the old program's configuration, converted to patterns with named groups.

The old program searched a pattern in the whole line; `[LOGTIME]` meant the timestamp, the first capture was the
timestamp and the second the address. Here each becomes a group of that name (docs/MATCHING.md, 4).
"""

from __future__ import annotations

import re
from typing import Final

from pbs_fast.errors import FormatError
from pbs_fast.formats.timestamps import BSD, ISO

LOGTIME: Final = "[LOGTIME]"
#: The meaning of unnamed captures, in order, unless named groups already have it.
_CAPTURES: Final = ("timestamp", "ip")

#: An escape, `[LOGTIME]`, a class, the opening of a group that is named or captures nothing, or of a capture.
_UNIT = re.compile(r"\\.|\[LOGTIME\]|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P<(?P<name>\w+)>|\(\?|(?P<capture>\()", re.DOTALL)


def named(pattern: str) -> str:
    """The pattern with groups `timestamp` and `ip` for `[LOGTIME]` and its first captures; further ones are plain
    groups.

    Raises FormatError when nothing in it is the timestamp.
    """
    units = list(_UNIT.finditer(pattern))
    told = {unit["name"] for unit in units if unit["name"]}
    if any(unit[0] == LOGTIME for unit in units):
        told.add("timestamp")
    wanted = [name for name in _CAPTURES if name not in told]
    if "timestamp" in wanted and not any(unit["capture"] for unit in units):
        raise FormatError(f"'{pattern}' says nowhere what the timestamp is; write {LOGTIME} for it")

    def replace(unit: re.Match[str]) -> str:
        if unit[0] == LOGTIME:
            return f"(?P<timestamp>{BSD}|{ISO})"
        if unit["capture"]:
            return f"(?P<{wanted.pop(0)}>" if wanted else "(?:"
        return unit[0]

    return _UNIT.sub(replace, pattern)
