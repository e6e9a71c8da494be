"""Records that a writer cuts, and the records that continue them (docs/MATCHING.md, 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbs_fast.matching.python.record import Key
    from pbs_fast.matching.python.tags import Cutting

REMEMBERED: Final = 4_096
"""A cut record is forgotten when so many later ones were met, so forged hosts cannot fill the memory."""


class Cuts:
    """The writers whose last record was a cut one. Not for several threads at once."""

    __slots__ = ("met", "open")

    def __init__(self, start: Cuts | None = None) -> None:
        """Go on from `start`, which stays as it is."""
        self.open: dict[tuple[Key, bytes], int] = {} if start is None else dict(start.open)
        """By writer (host, tag, and what it repeats), the number of its cut record."""
        self.met: int = 0 if start is None else start.met
        """Cut records met."""

    def take(self, key: Key, message: bytes, cutting: Cutting, *, too_long: bool = False) -> str | None:
        """Take the next record; the reason why it makes no event: `cut-record`, `continuation`, or None."""
        prefix = cutting.prefix(message)
        writers = ((key, prefix), (key, b"")) if prefix else ((key, b""),)
        continues = False
        if self.open:
            # Both are ended, whichever was there.
            numbers = [self.open.pop(writer, None) for writer in writers]
            continues = any(number is not None and self.met - number < REMEMBERED for number in numbers)
        if not too_long and len(message) < (min(cutting.any, cutting.repeated) if prefix else cutting.any):
            return "continuation" if continues else None
        self.met += 1
        self.open.update(dict.fromkeys(writers, self.met))
        self._forget()
        return "cut-record"

    def go_on(self, later: Cuts) -> None:
        """Go on where `later` ended, which began empty where these end. Only when none is open here."""
        self.open = {writer: self.met + number for writer, number in later.open.items()}
        self.met += later.met

    def _forget(self) -> None:
        # A record has two writers at most, and a pass over all of them must be rare.
        if len(self.open) > 4 * REMEMBERED:
            self.open = {writer: number for writer, number in self.open.items() if self.met - number < REMEMBERED}
