"""Which lines have one of a few texts where a mail server's message begins (docs/MATCHING.md, 9)."""

from __future__ import annotations

from collections.abc import Sequence

from pbs_fast.sources.lines import MAX_LINE

#: How far behind the line's first `: ` the second is looked for.
_NEAR = 64


class Literals:
    """`protocol.Literals`."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = tuple(texts)

    def lines(self, data: bytes, start: int, stop: int) -> list[tuple[int, int, int, int]]:
        if not 0 <= start <= stop <= len(data):
            raise ValueError(f"lines: {start}..{stop} is not within the data")
        texts, found = self._texts, []
        line = start
        while line < stop:
            newline = data.find(b"\n", line, stop)
            end, after = (stop, stop) if newline < 0 else (newline, newline + 1)
            if newline > line and data[newline - 1] == 0x0D:
                end -= 1
            at = data.find(b": ", line, end) + 2
            if at > 1 and end - line <= MAX_LINE:
                # `startswith` takes all texts at once, and nearly no line has one.
                if not data.startswith(texts, at, end):
                    second = data.find(b": ", at, min(end, at + _NEAR))
                    at = second + 2 if second >= 0 and data.startswith(texts, second + 2, end) else 0
                if at:
                    which = next(number for number, text in enumerate(texts) if data.startswith(text, at, end))
                    found.append((which, line, at, end))
            line = after
        return found
