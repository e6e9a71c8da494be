"""The structure of a pattern: sequences, choices, repetitions, and the bytes that each unit matches.

Only the structure is parsed here; `re` answers which bytes a unit such as `[^ ]` or `\\w` matches. Patterns that no
backend can run in bounded time are refused, with a remedy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pbs_fast.formats.lexer import TOKEN, Token

#: Groups in groups; Python's own parser of patterns ends in a RecursionError at some hundred.
DEEPEST: Final = 60

_EDGES: Final = {"^": "begin", r"\A": "begin", "$": "end", r"\Z": "end", r"\z": "end", r"\b": "border", r"\B": "inside"}


class PatternError(ValueError):
    """The pattern cannot be shown to run in bounded time; the text names the part and the way out."""


@dataclass(frozen=True, slots=True)
class Byte:
    """One byte of the set."""

    members: int
    """Bit N is set when byte N is one."""
    text: str
    """How the pattern writes it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A place: `begin`, `end`, `border` (of a word) or `inside` (no border)."""

    what: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The first that goes on to a match."""

    branches: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """A group whose text is kept."""

    number: int
    name: str | None
    body: Tree


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repetition; without end where `most` is None."""

    body: Tree
    least: int
    most: int | None
    lazy: bool


Tree = Byte | Edge | Sequence | Choice | Capture | Repeat


def parse(pattern: str) -> Tree:
    """The structure of a pattern that `re` takes. Raises PatternError for what is not read here."""
    return _Parser(pattern).whole()


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0
        self._groups = self._depth = 0

    def whole(self) -> Tree:
        tree = self._choice(ignore_case=False)
        if self._at < len(self._pattern):
            raise PatternError(f"has a ')' too many at byte {self._at}")
        return tree

    def _next(self) -> Token | None:
        return TOKEN.match(self._pattern, self._at)

    def _choice(self, *, ignore_case: bool) -> Tree:
        branches = [self._sequence(ignore_case=ignore_case)]
        while (token := self._next()) is not None and token["bar"]:
            self._at = token.end()
            branches.append(self._sequence(ignore_case=ignore_case))
        return _choice(branches)

    def _sequence(self, *, ignore_case: bool) -> Tree:
        parts: list[Tree] = []
        while (token := self._next()) is not None and not (token["bar"] or token["close"]):
            start, self._at = self._at, token.end()
            if token["repeat"]:
                raise PatternError(f"repeats nothing at byte {start}")
            if token["strange"] or token["flags"] or token["back"]:
                raise PatternError(f"holds {token[0]}, whose time no engine here can bound; leave it out")
            if token["open"]:
                part = self._group(token, ignore_case=ignore_case or "?i" in token[0])
            elif token["edge"]:
                part = Edge(_EDGES[token[0]])
            else:
                part = Byte(_members(token["unit"], ignore_case), token["unit"])
            parts.append(self._repeated(part, start))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _group(self, token: Token, *, ignore_case: bool) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise PatternError(f"has more than {DEEPEST} groups in one another; write it flatter")
        number = 0
        if token["name"] or token["open"] == "(":
            self._groups += 1
            number = self._groups
        body = self._choice(ignore_case=ignore_case)
        closing = self._next()
        if closing is None or not closing["close"]:
            raise PatternError(f"has a '(' at byte {token.start()} that no ')' ends")
        self._at = closing.end()
        self._depth -= 1
        return Capture(number, token["name"], body) if number else body

    def _repeated(self, part: Tree, start: int) -> Tree:
        token = self._next()
        if token is None or not token["repeat"]:
            return part
        self._at = token.end()
        rest = self._pattern[self._at : self._at + 1]
        if rest == "+":
            raise PatternError("holds a possessive repetition; leave the second + out")
        self._at += rest == "?"
        sign = token["repeat"]
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign, (0, None))
        if token["upto"]:
            least, most = 0, int(token["upto"])
        elif token["least"]:
            least = int(token["least"])
            most = (int(token["most"]) if token["most"] else None) if token["range"] else least
        if (most is None or most > 1) and is_nullable(part):
            written = self._pattern[start : self._at]
            raise PatternError(f"repeats {written}, which can match nothing; leave one of the two repetitions out")
        return Repeat(part, least, most, lazy=rest == "?")


def _choice(branches: list[Tree], depth: int = 0) -> Tree:
    """The branches, those that begin with the same bytes joined (`ab|ac` as `a(?:b|c)`), with the same preference."""
    branches = list(dict.fromkeys(branches))
    if len(branches) == 1:
        return branches[0]
    if depth > DEEPEST:
        return Choice(tuple(branches))
    joined: list[tuple[list[Byte], list[tuple[Tree, ...]]]] = []
    for branch in branches:
        parts = branch.parts if isinstance(branch, Sequence) else (branch,)
        first = _first(parts)
        for bytes_, rests in reversed(joined) if first is not None else ():
            if bytes_ and first is not None and bytes_[0].members == first.members:
                rests.append(parts[1:])
                break
            if not bytes_ or (first is not None and bytes_[0].members & first.members):
                joined.append(([first] if first else [], [parts[1:]]))  # what is between may take the byte before it
                break
        else:
            joined.append(([], [parts]) if first is None else ([first], [parts[1:]]))
    trees: list[Tree] = []
    for bytes_, rests in joined:
        while len(rests) > 1:
            firsts = [_first(rest) for rest in rests]
            if firsts[0] is None or any(each is None or each.members != firsts[0].members for each in firsts):
                break
            bytes_.append(firsts[0])
            rests[:] = [rest[1:] for rest in rests]
        body = _choice([rest[0] if len(rest) == 1 else Sequence(rest) for rest in rests], depth + 1)
        trees.append(Sequence((*bytes_, body)) if bytes_ else body)
    return trees[0] if len(trees) == 1 else Choice(tuple(trees))


def _first(parts: tuple[Tree, ...]) -> Byte | None:
    return parts[0] if parts and isinstance(parts[0], Byte) else None


@lru_cache(maxsize=1024)
def _members(unit: str, ignore_case: bool) -> int:
    try:
        takes = re.compile(unit.encode("latin-1"), re.IGNORECASE if ignore_case else 0).fullmatch
    except (re.error, UnicodeEncodeError) as error:
        raise PatternError(f"holds {unit}: {error}") from error
    return sum(1 << byte for byte in range(256) if takes(bytes([byte])))


def is_nullable(tree: Tree) -> bool:
    """Whether it may match without taking a byte."""
    match tree:
        case Byte():
            return False
        case Edge():
            return True
        case Sequence(parts):
            return all(map(is_nullable, parts))
        case Choice(branches):
            return any(map(is_nullable, branches))
        case Capture(_, _, body):
            return is_nullable(body)
        case Repeat(body, least, _, _):
            return least == 0 or is_nullable(body)


def units(tree: Tree) -> int:
    """Units of one byte when counted repetitions are written out."""
    match tree:
        case Byte() | Edge():
            return 1
        case Sequence(parts) | Choice(parts):
            return sum(map(units, parts)) + 1
        case Capture(_, _, body):
            return units(body)
        case Repeat(body, least, most, _):
            return units(body) * max(least + 1 if most is None else most, 1)


def longest(tree: Tree) -> int | None:
    """Bytes of the longest match; None where there is no longest."""
    match tree:
        case Byte():
            return 1
        case Edge():
            return 0
        case Sequence(parts):
            lengths = [longest(part) for part in parts]
            return None if None in lengths else sum(length or 0 for length in lengths)
        case Choice(branches):
            lengths = [longest(branch) for branch in branches]
            return None if None in lengths else max(length or 0 for length in lengths)
        case Capture(_, _, body):
            return longest(body)
        case Repeat(body, _, most, _):
            length = longest(body)
            return None if most is None or length is None else length * most


def literal(tree: Tree) -> bytes:
    """The longest literal of each match, outside groups and repetitions."""
    best = run = b""
    for part in tree.parts if isinstance(tree, Sequence) else (tree,):
        single = part.members if isinstance(part, Byte) else 0
        run = run + bytes([single.bit_length() - 1]) if single and single & (single - 1) == 0 else b""
        best = max(best, run, key=len)
    return best
