"""What a source's lines are wrapped in: the interface of all wrappers."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

UNDATED: Final = b"0000-00-00T00:00:00Z"
"""The timestamp of a line that has none: no date, so the line makes no event (`bad-stamp`)."""


class Entry(NamedTuple):
    """One wrapped line."""

    timestamp: bytes
    """In the matcher's own form; empty if the wrapper has none."""
    text: bytes
    """What was written, without its line end."""
    is_line: bool = False
    """The text is `HOST TAG: MESSAGE`; otherwise it is what a program wrote, perhaps with a header of its own."""
    host: bytes = b""
    tag: bytes = b""
    """With its process id; if the wrapper names the sender itself."""
    stream: str = ""
    """What is cut into entries by itself."""
    is_part: bool = False
    """Its line goes on in the stream's next entry."""
    is_whole: bool = False
    """It is known to be a whole line, whatever came before."""


class Wrapper(Protocol):
    """One layout, as found in a source; it may remember what it found there."""

    @property
    def name(self) -> str:
        """Its name in messages, with what an administrator should know of it."""

    @property
    def proves_starts(self) -> bool:
        """Whether an entry is only known to begin a line after one of its stream that ended one."""

    @property
    def escapes(self) -> bool:
        """Whether no line feed of a message ends a line, so that each line is an entry."""

    @property
    def keeps_others(self) -> bool:
        """Whether lines that are not wrapped are read as they are; otherwise they are nobody's."""

    def read(self, line: bytes) -> Entry | None:
        """One line without its end; None if it is not wrapped like this."""


class Shape(NamedTuple):
    """For each part of a line the keys of a JSON record that may hold it, best first; `a.b` is the key `b` in `a`."""

    name: str
    message: tuple[str, ...]
    timestamp: tuple[str, ...]
    program: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    pid: tuple[str, ...] = ()
