"""The search for the texts that mark a message as a login, in messages that no pattern matched (docs/MATCHING.md, 4).

Nearly all such messages contain none. A format's texts are variants of each other, so their common parts are searched
first: nine texts of Dovecot cost three searches instead of nine (0.5 us a message instead of 1.9).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class _Variants(NamedTuple):
    """Texts that all hold each of `shared`."""

    shared: tuple[bytes, ...]
    texts: tuple[bytes, ...]


class Success:
    """The success texts of some formats, in order. Immutable."""

    __slots__ = ("_of_format", "hints")

    def __init__(self, of_format: Iterable[tuple[str, Sequence[str]]]) -> None:
        self._of_format = tuple((name, _grouped([text.encode() for text in texts])) for name, texts in of_format)
        hints = {hint for _, groups in self._of_format for shared, texts in groups for hint in shared[:1] or texts}
        # Without those that hold another one.
        self.hints = tuple(
            sorted(hint for hint in hints if not any(hint != other and other in hint for other in hints))
        )
        """A message that holds none of these holds no text: two or three searches, and no call."""

    def find(self, message: bytes) -> str | None:
        """The first format that has one of its texts in the message."""
        for name, groups in self._of_format:
            for shared, texts in groups:
                for text in shared:
                    if message.find(text) < 0:
                        break
                else:
                    for text in texts:
                        if message.find(text) >= 0:
                            return name
        return None


def _grouped(texts: list[bytes]) -> tuple[_Variants, ...]:
    """The texts, those together that share a piece of 4 bytes and more and are 3 and more."""
    best = max(
        ((sum(piece in text for text in texts), len(piece), piece) for text in texts for piece in _pieces(text, 4)),
        default=(0, 0, b""),
    )
    if best[0] < 3:
        return (_Variants((), tuple(texts)),) if texts else ()
    piece = best[2]
    variants = [text for text in texts if piece in text]
    shared = [piece]
    # A second piece, from what is left of them.
    rests = [text.split(piece) for text in variants]
    seconds = [
        (len(second), second)
        for part in rests[0]
        for second in _pieces(part, 3)
        if all(any(second in other for other in rest) for rest in rests)
    ]
    if seconds:
        shared.append(max(seconds)[1])
    return _Variants(tuple(shared), tuple(variants)), *_grouped([text for text in texts if piece not in text])


def _pieces(text: bytes, least: int) -> set[bytes]:
    return {text[i:j] for i in range(len(text)) for j in range(i + least, len(text) + 1)}
