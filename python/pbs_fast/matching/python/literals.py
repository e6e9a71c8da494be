"""Which lines hold one of a few texts (docs/MATCHING.md, 9)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pbs_fast.sources.lines import MAX_LINE


class Literals:
    """`protocol.Literals`."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        if any(not text or b"\n" in text for text in texts):
            raise ValueError("literals: a text is empty or holds a newline; give texts within a line")
        # Texts are searched one after the other: one search for all of them would make `re` look at each byte.
        self._texts = tuple(texts)
        self._any = re.compile(b"|".join(map(re.escape, texts)))
        self._which = {text: which for which, text in reversed(list(enumerate(texts)))}

    def lines(self, data: bytes, start: int, stop: int) -> list[tuple[int, int, int, int]]:
        if not 0 <= start <= stop <= len(data):
            raise ValueError(f"lines: {start}..{stop} is not within the data")
        found = []
        candidates: set[int] = set()
        for text in self._texts:
            at = start
            while (at := data.find(text, at, stop)) >= 0:
                candidates.add(data.rfind(b"\n", start, at) + 1 or start)
                # Each line once: the next candidate is in a later one.
                at = data.find(b"\n", at, stop)
                if at < 0:
                    break
        for line in sorted(candidates):
            newline = data.find(b"\n", line, stop)
            end = stop if newline < 0 else newline
            hit = self._any.search(data, line, end)
            assert hit is not None  # noqa: S101 - it is a candidate
            if newline >= 0 and data[end - 1 : end] == b"\r" and end > hit.start():
                end -= 1
            if end - line <= MAX_LINE:
                found.append((self._which[hit[0]], line, hit.start(), end))
        return found
