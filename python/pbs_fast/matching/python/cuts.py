"""Records that a writer cuts, and the records that continue them (docs/MATCHING.md, 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pbs_fast.matching.python.record import Key
    from pbs_fast.matching.python.tags import Cutting

REMEMBERED: Final = 4_096
"""A cut record is forgotten when so many later ones were met, so forged hosts cannot fill the memory."""
NAMED: Final = 255
"""Bytes of a host and of a tag that tell a writer from others; writers that begin alike are one, so more is refused."""
REMEMBERED_PARTS: Final = 16 * REMEMBERED
"""A whole part likewise: 30 MB of cut records at least, so that a flood of them does not end it before its time."""
LASTS: Final = 60
"""How long after a whole part its writer's records are refused, in seconds: the other parts wait for room in a pipe
that the writer's processes share, for as long as what reads it is held up."""


class Part(NamedTuple):
    """What is known of a writer that wrote a whole part."""

    last: int | None
    """The latest timestamp of its whole parts and of the records right after one, in UTC seconds."""
    is_next: bool
    """Whether no record with a timestamp came after the last of them."""
    number: int
    """The number of its last whole part among the cut records."""


class Refusal(NamedTuple):
    """Why a record makes no event: `cut-record`, `continuation`, or None where it makes one."""

    of_any: str | None
    of_logout: str | None


class Cuts:
    """The writers whose last record was a cut one, and those whose records are in doubt for a while.

    Not for several threads at once.
    """

    __slots__ = ("is_open", "met", "open", "parts")

    def __init__(self, start: Cuts | None = None) -> None:
        """Go on from `start`, which stays as it is."""
        self.open: dict[tuple[Key, bytes], int] = {} if start is None else dict(start.open)
        """By writer (host, tag, and what it repeats), the number of its cut record."""
        self.parts: dict[tuple[Key, bytes], Part] = {} if start is None else dict(start.parts)
        """By writer."""
        self.met: int = 0 if start is None else start.met
        """Cut records met."""
        self.is_open: bool = start is not None and start.is_open
        """Whether there is any writer."""

    def take(
        self, key: Key, message: bytes, cutting: Cutting, second: int | None, *, too_long: bool = False
    ) -> Refusal | None:
        """Take the next record; why it makes no event, or None where nothing speaks against it.

        `second` is its timestamp in UTC seconds, None where it cannot be read.
        """
        prefix = cutting.prefix(message)
        key = named(*key)
        writer = (key, prefix)
        writers = (writer, (key, b"")) if prefix else (writer,)
        continues = bool(self.parts) and self._lasts(writer, second)
        if self.open:
            # Both are ended, whichever was there.
            numbers = [self.open.pop(writer, None) for writer in writers]
            continues |= any(number is not None and self.met - number < REMEMBERED for number in numbers)
        most = cutting.repeated if prefix else len(message) + 1
        is_cut = too_long or len(message) >= min(cutting.any, most)
        leaves_rest = too_long or len(message) >= min(cutting.rest, most)
        if leaves_rest:
            self.met += 1
            self.open.update(dict.fromkeys(writers, self.met))
            if cutting.is_whole(prefix, len(message)):
                known = self.parts.get(writer)
                last = second if known is None else _later(known.last, second)
                self.parts[writer] = Part(last, is_next=True, number=self.met)
            self._forget()
        self.is_open = bool(self.open or self.parts)
        if not is_cut and not continues:
            return None
        other = "continuation" if continues else None
        # A logout that is no longer than an honest one may be makes an event: it grants nothing.
        return Refusal("cut-record" if is_cut else other, "cut-record" if leaves_rest else other)

    def go_on(self, later: Cuts) -> None:
        """Go on where `later` ended, which began empty where these end. Only when nothing is open here."""
        self.open = {writer: self.met + number for writer, number in later.open.items()}
        self.parts = {writer: part._replace(number=self.met + part.number) for writer, part in later.parts.items()}
        self.met += later.met
        self.is_open = later.is_open

    def _lasts(self, writer: tuple[Key, bytes], second: int | None) -> bool:
        """Whether the record may be the rest of a whole part of before."""
        part = self.parts.get(writer)
        if part is None:
            return False
        lasts = self.met - part.number < REMEMBERED_PARTS
        if second is not None:
            if part.is_next:
                self.parts[writer] = part._replace(last=_later(part.last, second), is_next=False)
            elif part.last is not None:
                lasts = lasts and second <= part.last + LASTS
        if not lasts:
            del self.parts[writer]
        return lasts

    def _forget(self) -> None:
        # A record has two writers at most, and a pass over all of them must be rare.
        if len(self.open) > 4 * REMEMBERED:
            self.open = {writer: number for writer, number in self.open.items() if self.met - number < REMEMBERED}
        if len(self.parts) > 2 * REMEMBERED_PARTS:
            self.parts = {w: part for w, part in self.parts.items() if self.met - part.number < REMEMBERED_PARTS}


def named(host: bytes, tag: bytes) -> Key:
    """What a writer is remembered by."""
    return host[:NAMED], tag[:NAMED]


def _later(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
