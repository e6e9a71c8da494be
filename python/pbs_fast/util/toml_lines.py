"""The line of each key in a TOML document, which tomllib does not report.

Works on documents that tomllib has accepted, so it does not check for errors.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

#: The way to a value: names of keys, and indexes in arrays.
Path = tuple[str | int, ...]

_BLANKS = re.compile(r"[ \t]*")
_VOID = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|(?!""")[^\\])*"{3,5}'  # up to two quotes may precede the closing three
    r"|'''(?:(?!''').)*'{3,5}"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
#: Most names and indexes in the way to a value: our deepest is 5, and time grows with the square of the depth.
_DEEPEST = 64


def lines(text: str) -> dict[Path, int]:
    """The line (from 1) of each key, table header and array element of a valid TOML document.

    A table that is written in several places has the line of the first. Raises TOMLDecodeError for a document that is
    nested more deeply than any of ours.
    """
    try:
        return _Walk(text).document()
    except RecursionError:
        raise tomllib.TOMLDecodeError("Nested too deeply (at end of document)") from None


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.breaks = [match.start() for match in re.finditer("\n", text)]
        self.found: dict[Path, int] = {}
        self.last: dict[Path, int] = {}
        """Index of the newest element of each array of tables."""

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self.skip(_VOID)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.assignment(table)
            self.skip(_VOID)
        return self.found

    def skip(self, pattern: re.Pattern[str]) -> None:
        if match := pattern.match(self.text, self.at):
            self.at = match.end()

    def note(self, path: Path, at: int) -> None:
        if len(path) > _DEEPEST:
            raise RecursionError
        self.found.setdefault(path, bisect_right(self.breaks, at - 1) + 1)

    def header(self) -> Path:
        start = self.at
        double = self.text.startswith("[[", start)
        self.at += 2 if double else 1
        names = self.key()
        self.at += 2 if double else 1
        path: Path = ()
        for depth, name in enumerate(names, 1):
            path += (name,)
            self.note(path, start)
            if double and depth == len(names):
                self.last[path] = self.last.get(path, -1) + 1
            if path in self.last:
                path += (self.last[path],)
                self.note(path, start)
        return path

    def assignment(self, table: Path) -> None:
        start = self.at
        path = table
        for name in self.key():
            path += (name,)
            self.note(path, start)
        self.at += 1  # the equals sign
        self.skip(_BLANKS)
        self.value(path)

    def key(self) -> list[str]:
        names = []
        while True:
            self.skip(_BLANKS)
            match = _STRING.match(self.text, self.at) or _BARE.match(self.text, self.at)
            assert match is not None, "tomllib accepted this document"  # noqa: S101 - an invariant, not a check
            names.append(_unquoted(match[0]))
            self.at = match.end()
            self.skip(_BLANKS)
            if not self.text.startswith(".", self.at):
                return names
            self.at += 1

    def value(self, path: Path) -> None:
        opening = self.text[self.at]
        if opening in "[{":
            self.at += 1
            self.elements(path, "]" if opening == "[" else "}")
        elif opening in "\"'":
            self.skip(_STRING)
        else:
            self.skip(_SCALAR)

    def elements(self, path: Path, closing: str) -> None:
        index = 0
        self.skip(_VOID)
        while self.text[self.at] != closing:
            if closing == "]":
                self.note((*path, index), self.at)
                self.value((*path, index))
                index += 1
            else:
                self.assignment(path)
            self.skip(_VOID)
            if self.text[self.at] == ",":
                self.at += 1
                self.skip(_VOID)
        self.at += 1


def _unquoted(raw: str) -> str:
    if raw[0] == "'":
        return raw[1:-1]
    if raw[0] == '"':
        return str(tomllib.loads(f"key = {raw}")["key"])
    return raw
