"""Reads a configuration of syslog-ng as a tree of statements, including the files that it includes.

The grammar is that of its administration guide ("The configuration syntax in detail"): statements end in `;`, blocks
are in braces, options in parentheses, `@` starts a directive. `-` and `_` in names are equivalent. Its library of
blocks (scl.conf) is not read: those blocks are recognised by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pbs_fast.health.loggers.files import MOST_FILES, UnreadableError, read_text

#: Blocks within blocks that are followed; real configurations have five or six.
_DEEPEST: Final = 40

_TOKEN = re.compile(
    r"""(?P<pragma>^[ \t]*@[a-z]+\b[^\n]*)
      |(?P<string>"(?:[^"\\]|\\.)*"|'[^']*')
      |(?P<mark>[(){};])
      |(?P<word>[^\s(){};,"'\#]+)
      |(?:[\s,]+|\#[^\n]*|.)""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
_INCLUDE = re.compile(r"""\s*@include\s*["']?(?P<name>[^"'\s]+)""")
_DEFINE = re.compile(r"""\s*@define\s+(?P<name>[\w.-]+)\s+(?:"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>\S+))""")
_VARIABLE = re.compile(r"`([\w.-]+)`")
_CLOSING = {"(": ")", "{": "}"}


@dataclass(frozen=True)
class Group:
    """The contents of parentheses or braces."""

    mark: str
    """`(` or `{`."""
    statements: tuple[Statement, ...]


#: A word (`-` for `_`), a text without its quotes, or a group; together up to the next `;`.
Item = str | Group
Statement = tuple[Item, ...]
#: Kind and text.
_Token = tuple[str | None, str]


def read_statements(root: Path) -> list[tuple[str, Statement]]:
    """The top-level statements and their files, in order. Raises UnreadableError."""
    return list(_Reader(root).read(root / "etc/syslog-ng/syslog-ng.conf"))


class _Reader:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._base = root / "etc/syslog-ng"
        self._seen: set[Path] = set()
        self._variables: dict[str, str] = {}

    def read(self, path: Path) -> Iterator[tuple[str, Statement]]:
        if path in self._seen:
            return
        self._seen.add(path)
        if len(self._seen) > MOST_FILES:
            raise UnreadableError(f"{path}: more than {MOST_FILES} files are included")
        tokens: list[_Token] = [
            (token.lastgroup, token[0]) for token in _TOKEN.finditer(read_text(path)) if token.lastgroup
        ]
        statement: list[Item] = []
        place = 0
        while place < len(tokens):
            kind, text = tokens[place]
            if kind == "pragma":
                place += 1
                self._define(text)
                yield from self._included(text)
            elif text == ";":
                place += 1
                yield str(path), tuple(statement)
                statement = []
            else:
                item, place = self._item(tokens, place, path, 0)
                statement += item
        if statement:
            yield str(path), tuple(statement)

    def _item(self, tokens: list[_Token], place: int, path: Path, depth: int) -> tuple[tuple[Item, ...], int]:
        """The item that begins at this place, none for a stray mark, and the place behind it."""
        kind, text = tokens[place]
        if kind == "string":
            return (self._filled(text[1:-1]),), place + 1
        if kind == "word":
            text = self._filled(text)
            return (text if "/" in text else text.replace("_", "-"),), place + 1
        closing = _CLOSING.get(text)
        if closing is None:
            return (), place + 1
        if depth >= _DEEPEST:
            raise UnreadableError(f"{path}: blocks are nested deeper than {_DEEPEST}")
        statements: list[Statement] = []
        statement: list[Item] = []
        place += 1
        while place < len(tokens) and tokens[place][1] != closing:
            if tokens[place][1] == ";":
                statements.append(tuple(statement))
                statement = []
                place += 1
                continue
            item, place = self._item(tokens, place, path, depth + 1)
            statement += item
        statements.append(tuple(statement))
        return (Group(text, tuple(each for each in statements if each)),), place + 1

    def _define(self, text: str) -> None:
        if found := _DEFINE.match(text):
            value = found["quoted"] or found["single"] or found["bare"] or ""
            self._variables[found["name"].replace("_", "-")] = value

    def _filled(self, text: str) -> str:
        return _VARIABLE.sub(lambda name: self._variables.get(name[1].replace("_", "-"), name[0]), text)

    def _included(self, text: str) -> Iterator[tuple[str, Statement]]:
        found = _INCLUDE.match(text)
        if found is None or os.path.basename(found["name"]) == "scl.conf":  # noqa: PTH119 - a text, not a path here
            return
        name = self._filled(found["name"])
        base, name = (self._root, name.lstrip("/")) if name.startswith("/") else (self._base, name)
        if ".." in Path(name).parts or not Path(name).parts:
            return
        paths = [base / name] if (base / name).exists() else sorted(base.glob(name))
        for path in paths:
            for each in sorted(path.iterdir()) if path.is_dir() else [path]:
                yield from self.read(each)
