"""Texts that a regular expression matches: the plainest one and variants, to see what an old pattern was for.

Walks the tree into which `re` parses the pattern. It gives no text for syntax that it does not support (look-around,
back references).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from re import _constants, _parser  # type: ignore[attr-defined]  # isort: skip

#: What names, words and the like are filled with, by the first that fits.
_FILL = ("lena", "x", "7", " ", "-", "A", "/", "[", "]", "<", ">", "(", ")", ":", ".", ",", "=", '"', "'", "@", "\t")

#: Texts that mix optional parts and alternatives, in addition to the twelve plain ones.
_MIXED = 60


class UnclearError(ValueError):
    """The pattern holds what has no plain text."""


def examples(pattern: str, groups: dict[int, str]) -> Iterator[str]:
    """Texts that `pattern` takes, without repetitions; `groups` replaces the text of a group.

    Raises UnclearError, and re.error for what is no pattern.
    """
    tree = _parser.parse(pattern)
    seen = set()
    ways = [(_always(wide), _at_most(branch)) for wide in (False, True) for branch in range(6)]
    # The rest mixes them: a tag with one optional part and without another.
    chance = random.Random(_MIXED)  # noqa: S311 - the same each time is what is wanted
    ways += [(lambda: chance.random() < 0.5, chance.randrange)] * _MIXED
    for wide, branch in ways:
        text = _Walk(groups, wide, branch).sequence(tree)
        if text not in seen and re.search(pattern, text):
            seen.add(text)
            yield text


def _always(answer: bool) -> Callable[[], bool]:
    return lambda: answer


def _at_most(branch: int) -> Callable[[int], int]:
    return lambda count: min(branch, count - 1)


class _Walk:
    """`wide` says whether an optional part is there, `branch` which of so many alternatives is taken."""

    def __init__(self, groups: dict[int, str], wide: Callable[[], bool], branch: Callable[[int], int]) -> None:
        self._groups = groups
        self._wide = wide
        self._branch = branch

    def sequence(self, tree: Any) -> str:
        return "".join(self._one(name, value) for name, value in tree)

    def _one(self, name: Any, value: Any) -> str:
        if name is _constants.LITERAL:
            return chr(value)
        if name is _constants.NOT_LITERAL:
            return next(char for char in _FILL[1:] if ord(char) != value)
        if name is _constants.ANY:
            return "x"
        if name is _constants.IN:
            return _of_class(value)
        if name is _constants.AT:
            return ""
        if name is _constants.BRANCH:
            branches = value[1]
            return self.sequence(branches[self._branch(len(branches))])
        if name is _constants.SUBPATTERN:
            number, *_, inner = value
            return self._groups[number] if number in self._groups else self.sequence(inner)
        if name in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            return self._repeat(*value)
        raise UnclearError(str(name))

    def _repeat(self, least: int, most: int, inner: Any) -> str:
        times = max(least, 1) if most > 0 and self._wide() else least
        if times == 0:
            return ""
        (first, *rest) = list(inner)
        if not rest and first[0] in (_constants.IN, _constants.ANY, _constants.NOT_LITERAL) and most > 4 > least:
            word = self._word(inner)
            if word is not None:
                return word
        return self.sequence(inner) * times

    def _word(self, inner: Any) -> str | None:
        """A name for a class that takes one, so that it looks like what the pattern's author saw."""
        accepted = [char for char in "lena" if _takes(inner, char)]
        return "lena" if len(accepted) == 4 else None


def _of_class(items: Any) -> str:
    return next((char[0] for char in _FILL if _takes([(_constants.IN, items)], char[0])), "x")


def _takes(tree: Any, char: str) -> bool:
    """Whether a tree of one item takes one byte."""
    ((name, value),) = tree
    if name is _constants.ANY:
        return True
    if name is _constants.NOT_LITERAL:
        return bool(ord(char) != value)
    negated, found = False, False
    for kind, item in value:
        if kind is _constants.NEGATE:
            negated = True
        elif kind is _constants.LITERAL:
            found = found or ord(char) == item
        elif kind is _constants.RANGE:
            found = found or item[0] <= ord(char) <= item[1]
        elif kind is _constants.CATEGORY:
            found = found or _in_category(item, char)
    return found != negated


def _in_category(category: Any, char: str) -> bool:
    letter = {
        _constants.CATEGORY_DIGIT: r"\d",
        _constants.CATEGORY_NOT_DIGIT: r"\D",
        _constants.CATEGORY_SPACE: r"\s",
        _constants.CATEGORY_NOT_SPACE: r"\S",
        _constants.CATEGORY_WORD: r"\w",
        _constants.CATEGORY_NOT_WORD: r"\W",
    }[category]
    return re.fullmatch(letter, char) is not None
