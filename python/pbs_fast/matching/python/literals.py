"""Which lines have one of a few texts where a mail server's message begins: the cheap check before the patterns of
`postfix` (docs/MATCHING.md, 9)."""

from __future__ import annotations

from collections.abc import Sequence

from pbs_fast.sources.lines import MAX_LINE

#: How far behind the line's first `: ` the second is looked for.
_NEAR = 64


class Literals:
    """Some texts to look for. Immutable."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._texts = [b": " + text for text in texts]

    def lines(self, data: bytes, start: int, stop: int) -> list[tuple[int, int, int, int]]:
        """The lines of data[start:stop] that have one right behind their first or second `: `, in order.

        Which text, where the line starts, where the text starts, where the line ends without its line end. Raises
        ValueError for bounds outside data.
        """
        if not 0 <= start <= stop <= len(data):
            raise ValueError(f"lines: {start}..{stop} is not within the data")
        # Each text is searched in all lines: a pass of C for each of five texts takes a third of a look at each line.
        found: dict[int, tuple[int, int, int, int]] = {}
        for which, text in enumerate(self._texts):
            at = data.find(text, start, stop)
            while at >= 0:
                line = data.rfind(b"\n", start, at) + 1 or start
                newline = data.find(b"\n", at, stop)
                end = stop if newline < 0 else newline
                first = data.find(b": ", line, end)
                # Also where it is farther on: another place of the line may be the first or second.
                if at == first or at == data.find(b": ", first + 2, min(end, first + 2 + _NEAR)):
                    if newline > line and data[newline - 1] == 0x0D:
                        end -= 1
                    known = found.get(line)
                    is_whole = at + len(text) <= end and end - line <= MAX_LINE
                    if is_whole and (known is None or at + 2 < known[2]):
                        found[line] = which, line, at + 2, end
                    at = data.find(text, at + 2, stop)
                else:
                    at = data.find(text, max(at + 2, min(end, first + 2 + _NEAR)), stop)
        return [found[line] for line in sorted(found)]
