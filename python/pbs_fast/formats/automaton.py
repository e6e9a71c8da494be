"""Patterns as automata: what a pattern may do at each byte, known without running it.

Nodes are those of Thompson's construction, in the order in which a backtracking engine prefers them, so that following
them gives what Python's `re` and Rust's regex give (leftmost-first). Knows patterns, no formats and no logs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pbs_fast.formats.structure import (
    Byte,
    Capture,
    Choice,
    Edge,
    PatternError,
    Repeat,
    Sequence,
    Tree,
    literal,
    longest,
    parse,
    units,
)

#: Units of one byte in a pattern, counted repetitions written out. The packaged catalogue's largest has 1,095.
MOST_UNITS: Final = 2_000

#: What is on either side of a place in a text, as `\\b` sees it.
EDGE, NO_WORD, WORD = 0, 1, 2
_WORD_BYTES: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
SIDES: Final = tuple(WORD if byte in _WORD_BYTES else NO_WORD for byte in range(256))

#: One node: what it is, the nodes that follow by preference, and its set, slot or place.
SPLIT, TAKE, SAVE, PLACE, DONE = range(5)


class Node(NamedTuple):
    """One node of a program."""

    kind: int
    following: tuple[int, ...]
    members: int = 0
    """Of TAKE: the bytes; of SAVE: the slot."""
    text: str = ""
    """Of TAKE: how the pattern writes it; of PLACE: which one."""


class Program:
    """The nodes of one pattern. Immutable."""

    def __init__(self, pattern: str) -> None:
        """Raises PatternError for what is not read here, and for what is too large."""
        tree = parse(pattern)
        if (size := units(tree)) > MOST_UNITS:
            raise PatternError(f"has {size} parts when its {{N}} are written out, {MOST_UNITS} at most; write + or *")
        self.literal = literal(tree)
        self.longest = longest(tree)
        self.names: dict[str, int] = {}
        self.groups = 0
        self.nodes: list[Node] = [Node(DONE, ())]
        self.start = self._add(tree, 0)
        self.places = any(node.kind == PLACE for node in self.nodes)

    def _node(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _add(self, tree: Tree, after: int) -> int:
        """The node with which `tree` begins, when `after` follows it."""
        match tree:
            case Byte(members, text):
                return self._node(Node(TAKE, (after,), members, text))
            case Edge(what):
                return self._node(Node(PLACE, (after,), 0, what))
            case Sequence(parts):
                for part in reversed(parts):
                    after = self._add(part, after)
                return after
            case Choice(branches):
                return self._node(Node(SPLIT, tuple([self._add(branch, after) for branch in branches])))
            case Capture(number, name, body):
                self.groups = max(self.groups, number)
                if name is not None:
                    self.names[name] = number
                inside = self._add(body, self._node(Node(SAVE, (after,), 2 * number + 1)))
                return self._node(Node(SAVE, (inside,), 2 * number))
            case Repeat(body, least, most, lazy):
                return self._repeat(body, least, most, after, lazy=lazy)

    def _repeat(self, body: Tree, least: int, most: int | None, after: int, *, lazy: bool) -> int:
        if most is None:
            loop = self._node(Node(SPLIT, ()))
            inside = self._add(body, loop)
            self.nodes[loop] = Node(SPLIT, (after, inside) if lazy else (inside, after))
            start = loop
        else:
            start = after
            for _ in range(most - least):
                inside = self._add(body, start)
                start = self._node(Node(SPLIT, (after, inside) if lazy else (inside, after)))
        for _ in range(least):
            start = self._add(body, start)
        return start

    def closure(self, node: int, left: int, right: int) -> list[tuple[int, tuple[int, ...]]]:
        """The TAKE and DONE nodes that are reached from `node` without a byte, by preference, each with its slots.

        `left` and `right` are the sides of the place (EDGE, NO_WORD, WORD).
        """
        found: list[tuple[int, tuple[int, ...]]] = []
        seen: set[int] = set()
        todo: list[tuple[int, tuple[int, ...]]] = [(node, ())]
        while todo:
            at, slots = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            kind, following, members, text = self.nodes[at]
            if kind in (TAKE, DONE):
                found.append((at, slots))
            elif kind == SAVE:
                todo.append((following[0], (*slots, members)))
            elif kind == SPLIT:
                todo += [(each, slots) for each in reversed(following)]
            elif _is_there(text, left, right):
                todo.append((following[0], slots))
        return found

    def two_ways(self) -> str | None:
        """None where each byte has one way on (one-pass), else what may go on in two ways.

        A backtracking engine then reads each byte once, and once more when it gives back what it took: every other way
        ends at its first byte. Places such as `^` are assumed to be passed, which can only add ways.
        """
        entries = {self.start, *(node.following[0] for node in self.nodes if node.kind == TAKE)}
        for entry in sorted(entries):
            seen: set[int] = set()
            taken: list[Node] = []
            todo = [entry]
            while todo:
                at = todo.pop()
                node = self.nodes[at]
                if at in seen:
                    return "it may be left out in two ways"
                seen.add(at)
                if node.kind == TAKE:
                    for other in taken:
                        if other.members & node.members:
                            return f"{other.text} and {node.text} may take the same byte"
                    taken.append(node)
                else:
                    todo += node.following
        return None

    @property
    def is_anchored(self) -> bool:
        """Whether it can match at a line's start only."""
        return not any(self.closure(self.start, left, right) for left in (NO_WORD, WORD) for right in (0, 1, 2))


def _is_there(place: str, left: int, right: int) -> bool:
    if place == "begin":
        return left == EDGE
    if place == "end":
        return right == EDGE
    return ((left == WORD) != (right == WORD)) is (place == "border")
