"""Ignores the logins of a log file in which a stranger can write whole lines.

That is a file to which the logging daemon writes line feeds unescaped (`pbs_fast.health.loggers`), after a server has
logged unescaped user names to it (`raw_names` of its format). The first line of each of its records has a genuine
header, followed by text of a stranger. Nothing marks the end of that text, because a forger can end it with a header,
so nothing after it in the file is evidence. Works on bytes before the scan, so both backends agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

#: Bytes. No record of these servers is longer: nginx cuts at 2,048 (NGX_MAX_ERROR_STR), Perdition at 1,024, Mailutils
#: at 8,192 (measured). Where reading begins in the middle of a file, it may be in the middle of one.
LONGEST_RECORD: Final = 16_384
#: All bytes but the line feed.
_BLANKS: Final = bytes(byte if byte == 10 else ord("?") for byte in range(256))


class Distrust:
    """What is known of one log file; its readers share it."""

    def __init__(self, tags: Collection[str], say: Callable[[str], object] = lambda _: None) -> None:
        """`tags` are the syslog tags of servers that log names as they were sent; `say` gets the one for which nothing
        more of the file counts, once."""
        self._tags = frozenset(tag.encode() for tag in tags)
        self._words = re.compile(b"|".join(re.escape(tag) for tag in sorted(self._tags)) or b"(?!)")
        self._say = say
        self._seen = False
        self.lines = 0
        """Lines that were blanked."""

    def screened(self, data: bytes, start: int, stop: int, unproven: int) -> bytes:
        """The whole lines data[start:stop], blanked where they count for nothing; lengths and line ends stay.

        `unproven` is the number of bytes at their beginning that may belong to a record which began before.
        """
        kept = start
        if unproven:
            # To the end of the line in which it ends.
            end = data.find(b"\n", min(start + unproven, stop) - 1, stop)
            kept = stop if end < 0 else end + 1
        # The first such line is true itself, unless it is in what is unproven.
        doubtful = start if self._seen else self._end_of_first(data, start, stop)
        if kept == start and doubtful == stop:
            return data[start:stop]
        doubtful = max(kept, doubtful)
        return self._blanked(data[start:kept]) + data[kept:doubtful] + self._blanked(data[doubtful:stop])

    def _end_of_first(self, data: bytes, start: int, stop: int) -> int:
        """Where the first line of such a server ends, `stop` where there is none."""
        # Only here, because few sites have such a file, and a start pays for compiling these patterns.
        from pbs_fast.matching.python.envelope import LINE, envelope_of

        for word in self._words.finditer(data, start, stop):
            begin = data.rfind(b"\n", start, word.start()) + 1 or start
            end = data.find(b"\n", word.end(), stop)
            end = stop if end < 0 else end
            found = LINE.match(data, begin, end)
            tag = None if found is None else envelope_of(found).tag
            if tag in self._tags:
                self._seen = True
                self._say((tag or b"").decode("ascii", "replace"))
                return min(end + 1, stop)
        return stop

    def _blanked(self, data: bytes) -> bytes:
        self.lines += data.count(b"\n") + (not data.endswith(b"\n") if data else 0)
        return data.translate(_BLANKS)
