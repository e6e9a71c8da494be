"""How text looks on a terminal and in a pipe: columns, wrapping between words, plurals, colour, times.

Invariants: text of strangers goes through `printable` here; without a width nothing is wrapped, so that a pipe gets one
line a row; with one, no line is longer unless it is a single word. rich can do tables too, but importing it doubles the
time that a command takes to start (50 ms).
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TextIO

from pbs_fast.util.text import plural as plural
from pbs_fast.util.text import printable

#: (text, name of a colour) -> the text in that colour.
Paint = Callable[[str, str], str]

_GAP = "  "
#: The narrowest terminal that is wrapped for.
_NARROW = 30
#: The narrowest last column that is wrapped.
_SLIM = 12


class Cell(NamedTuple):
    """Text of a table in a colour."""

    text: str
    colour: str


@dataclass(frozen=True, slots=True)
class Look:
    """Where text goes: its width in characters, None for a pipe, and how it is coloured."""

    width: int | None = None
    paint: Paint = lambda text, _: text
    config: str | None = None
    """The file that --config named: what is to be typed next needs it too."""

    def command(self, name: str, *words: str) -> str:
        """A command of pbs-fast to be typed, for the same configuration."""
        named = [] if self.config is None else [f"--config={self.config}"]
        return shlex.join(["pbs-fast", name, *named, *words])

    @property
    def paint_or_none(self) -> Paint | None:
        """None where nothing is coloured."""
        return self.paint if self.paint is _styled else None


PLAIN = Look()
"""A pipe."""


def look(stream: TextIO | None = None, config: str | None = None) -> Look:
    """The Look of a stream, by default standard output. Colour only on a terminal, and not with NO_COLOR."""
    stream = sys.stdout if stream is None else stream
    if stream is None or not stream.isatty():
        return Look(config=config)
    width = max(_NARROW, shutil.get_terminal_size().columns)
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return Look(width, config=config)
    return Look(width, _styled, config)


def _styled(text: str, colour: str) -> str:
    from typer import style

    return style(text, fg=colour)


def listed(words: Sequence[str], most: int = 5) -> str:
    """`a, b and c`; of more than `most`, the first and how many others."""
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def parse_time(text: str) -> datetime:
    """A time of a reply, in the local time zone. Raises ValueError."""
    return datetime.fromisoformat(text).astimezone()


def clock(text: str, now: str) -> str:
    """`10:42:17`, with its date in front if that is not today's."""
    when, today = parse_time(text), parse_time(now)
    return when.strftime("%H:%M:%S" if when.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def between(earlier: str, later: str) -> float:
    """Seconds from one time to another."""
    return (parse_time(later) - parse_time(earlier)).total_seconds()


def table(
    header: Sequence[str], rows: Iterable[Sequence[str | Cell]], look: Look = PLAIN, *, right: Iterable[int] = ()
) -> str:
    """Rows in columns under a header; the columns `right` are aligned to their right.

    Where the terminal is too narrow for a row, its first cell gets a line of its own, and what is still too long is
    wrapped between words.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell, "") for cell in row] for row in rows]
    cells = [[Cell(printable(cell.text), cell.colour) for cell in row] for row in cells]
    grid = [[Cell(text, "") for text in header], *cells]
    widths = [
        max((_width(row[column].text) for row in grid if column < len(row)), default=0) for column in range(len(header))
    ]
    at_right = frozenset(right)
    inner = [0, *widths[1:]]
    total = sum(widths) + len(_GAP) * (len(widths) - 1)
    apart = look.width is not None and total > look.width and len(header) > 1
    out = []
    for row in grid:
        if apart:
            first, *rest = row
            out.append(look.paint(first.text, first.colour) if first.colour else first.text)
            out += _row([Cell("", ""), *rest], inner, at_right, look)
        else:
            out += _row(row, widths, at_right, look)
    return "".join(line.rstrip() + "\n" for line in out if line.strip())


def _row(row: Sequence[Cell], widths: Sequence[int], right: frozenset[int], look: Look) -> list[str]:
    """The lines of one row: only its last cell may take more than one."""
    *others, last = row
    text, place = "", 0
    for column, cell in enumerate(others):
        blanks = " " * (widths[column] - _width(cell.text))
        painted = look.paint(cell.text, cell.colour) if cell.colour else cell.text
        text += (blanks + painted if column in right else painted + blanks) + _GAP
        place += widths[column] + len(_GAP)
    number = len(others)
    if number in right:
        blank = " " * (widths[number] - _width(last.text))
        return [text + blank + (look.paint(last.text, last.colour) if last.colour else last.text)]
    lines = wrapped(last.text, None if look.width is None else max(_SLIM, look.width - place))
    painted_lines = [look.paint(line, last.colour) if last.colour else line for line in lines] or [""]
    return [text + painted_lines[0], *(" " * place + line for line in painted_lines[1:])]


def wrapped(text: str, width: int | None) -> list[str]:
    """The text in lines of at most `width` characters, broken between words only; one line without a width."""
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]


def paragraph(text: str, look: Look = PLAIN, *, indent: str = "", colour: str = "") -> str:
    """One paragraph, its further lines indented by `indent`."""
    first, *rest = wrapped(printable(text), look.width)
    if rest and look.width is not None:
        head, *_ = wrapped(printable(text), look.width)
        left = printable(text)[len(head) :].lstrip()
        rest = [indent + line for line in wrapped(left, look.width - len(indent))]
    lines = [first, *rest]
    return "".join((look.paint(line, colour) if colour else line) + "\n" for line in lines)


#: Characters of a label in front of the paragraph that it names.
_LABEL = 12


def labelled(label: str, paragraphs: Iterable[str], look: Look = PLAIN, *, colour: str = "") -> str:
    """`  because   TEXT`: paragraphs in a column, the first behind its label."""
    out: list[str] = []
    width = None if look.width is None else max(_NARROW, look.width - _LABEL)
    for text in paragraphs:
        for line in wrapped(printable(text), width):
            front = f"  {label:<{_LABEL - 2}}" if not out else " " * _LABEL
            out.append(front + (look.paint(line, colour) if colour else line))
    return "".join(line.rstrip() + "\n" for line in out)


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
