"""Runs patterns in bounded time: `re` if a pattern is proved to be one-pass, otherwise two passes of an automaton.

`re` backtracks: with `(?:aa?)*x` a line of 60 bytes would take years. The other engine reads a text once from its end,
to find at each position what can still lead to a match, and once from its start, taking the first preferred way that
can (Frisch and Cardelli, Greedy Regular Expression Matching, ICALP 2004). The cost of a text is at
most its length times the pattern's size, and groups are the same as in `re` and Rust's regex.

A byte in a known state costs 0.05 us, ten times what `re` takes on simple lines. A text without the pattern's
longest literal is therefore not read at all.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from pbs_fast.formats.automaton import DONE, EDGE, SIDES, TAKE, Program
from pbs_fast.formats.structure import PatternError

#: States that a pattern keeps at once, about 1 KiB each; then it begins anew, as a text can be made to meet many.
STATES: Final = 2_000
#: So many nodes at one distance from their targets are worth a mask.
_COMMON: Final = 4


class Match(Protocol):
    """What a pattern took, as `re.Match` says it."""

    def groups(self) -> tuple[bytes | None, ...]:
        """All groups, None for those that took no part, and a None behind the last."""

    def end(self) -> int:
        """Where the match ends."""

    def span(self, group: int, /) -> tuple[int, int]:
        """Where the group of this number, from 1 on, begins and ends; (-1, -1) where it took no part."""


class Way(Enum):
    """Where in a text a pattern is to match."""

    WHOLE = "fullmatch"
    START = "match"
    ANYWHERE = "search"


class Regex(Protocol):
    """A pattern that is ready to run."""

    @property
    def names(self) -> Mapping[str, int]:
        """Group -> its place in `groups()`."""

    @property
    def count(self) -> int:
        """How many groups it has, which is the place of the None behind the last."""

    @property
    def run(self) -> Callable[[bytes], Match | None]:
        """What it takes of a text."""


class Proved:
    """A one-pass pattern, run by `re`."""

    def __init__(self, pattern: bytes, way: Way) -> None:
        # The group that never participates replaces each missing one, so no group is looked up by name.
        compiled = re.compile(b"(?:" + pattern + b")((?!))?")
        self.names: Mapping[str, int] = {name: number - 1 for name, number in compiled.groupindex.items()}
        self.count = compiled.groups - 1
        self.run: Callable[[bytes], Match | None] = getattr(compiled, way.value)


class _Taken:
    """What the automaton took."""

    __slots__ = ("_end", "_slots", "_text")

    def __init__(self, text: bytes, slots: list[int], end: int) -> None:
        self._text, self._slots, self._end = text, slots, end

    def groups(self) -> tuple[bytes | None, ...]:
        text, slots = self._text, self._slots
        return tuple(
            [text[begin:end] if begin >= 0 <= end else None for begin, end in zip(slots[::2], slots[1::2], strict=True)]
        )

    def end(self) -> int:
        return self._end

    def span(self, group: int, /) -> tuple[int, int]:
        begin, end = self._slots[2 * group - 2 : 2 * group]
        return (begin, end) if begin >= 0 else (-1, -1)


class _State(dict[int, "_State"]):
    """The nodes from which a match can still come at some place of a text; byte before it -> the state there."""

    __slots__ = ("_engine", "alive", "right", "ways")

    def __init__(self, engine: Bounded, alive: int, right: int) -> None:
        super().__init__()
        self._engine = engine
        self.alive = alive
        """Bit N is set when node N, a byte or the end, leads to a match here."""
        self.right = right
        self.ways: dict[tuple[int, int], tuple[int, tuple[int, ...]] | None] = {}

    def __missing__(self, byte: int) -> _State:
        state = self[byte] = self._engine.before(self, byte)
        return state


class _Steps(NamedTuple):
    """Which nodes take a byte and come to which, as masks."""

    by_distance: tuple[tuple[int, int], ...]
    """(Distance, nodes) whose target is so many numbers lower."""
    by_target: tuple[tuple[int, int], ...]
    """(Bit of the target, nodes)."""


class Bounded:
    """Any pattern that `Program` reads, in time that is bounded by the text's length. For several threads at once."""

    def __init__(self, program: Program, way: Way) -> None:
        self.names: Mapping[str, int] = {name: number - 1 for name, number in program.names.items()}
        self.count = program.groups
        self.built = 0
        """States that were worked out, of a text's length at most for each text."""
        self._program, self._way = program, way
        self._done = 1 << next(number for number, node in enumerate(program.nodes) if node.kind == DONE)
        self._everywhere = 0 if way is Way.WHOLE else self._done
        self._sides = SIDES if program.places else (EDGE,) * 256
        self._steps: dict[tuple[int, int], _Steps] = {}
        self._reached: dict[tuple[int, int, int], tuple[int, list[tuple[int, tuple[int, ...]]]]] = {}
        self._states: dict[tuple[int, int], _State] = {}
        self._anchored = way is not Way.ANYWHERE or program.is_anchored
        # Nothing behind this many bytes matters to a match at a text's start.
        self._reach = program.longest + 1 if way is Way.START and program.longest is not None else None

    def run(self, text: bytes) -> Match | None:
        """What the pattern takes of `text`; None when it does not match."""
        if self._program.literal not in text:
            return None
        if self._reach is not None:
            text = text[: self._reach]
        # The end of a text is a place of its own, though nothing may tell it from others.
        state = self._state(self._done, EDGE)
        states = [state]
        add = states.append
        for byte in text[::-1]:
            state = state[byte]
            add(state)
        states.reverse()
        at = self._first(text, states)
        return None if at < 0 else self._follow(text, states, at)

    def _first(self, text: bytes, states: list[_State]) -> int:
        """Where the leftmost match starts; -1 for nowhere."""
        start = self._program.start
        if self._way_on(states[0], start, EDGE) is not None:
            return 0
        if self._anchored:
            return -1
        sides = self._sides
        for at in range(1, len(states)):
            state, left = states[at], sides[text[at - 1]]
            if (start, left) not in state.ways:
                state.ways[start, left] = self._way_on(state, start, left)
            if state.ways[start, left] is not None:
                return at
        return -1

    def _follow(self, text: bytes, states: list[_State], at: int) -> Match:
        slots = [-1] * (2 * self.count + 4)
        sides, nodes = self._sides, self._program.nodes
        node, left = self._program.start, EDGE if at == 0 else sides[text[at - 1]]
        while True:
            state = states[at]
            try:
                way = state.ways[node, left]
            except KeyError:
                way = state.ways[node, left] = self._way_on(state, node, left)
            assert way is not None  # noqa: S101 - a state holds only what leads to a match
            taken, marks = way
            for slot in marks:
                slots[slot] = at
            if nodes[taken].kind == DONE:
                return _Taken(text, slots[2:], at)
            node, left = nodes[taken].following[0], sides[text[at]]
            at += 1

    def _way_on(self, state: _State, node: int, left: int) -> tuple[int, tuple[int, ...]] | None:
        """The first way on from `node` that comes to a match; None when none does."""
        for way in self._closure(node, left, state.right)[1]:
            if state.alive >> way[0] & 1:
                return way
        return None

    def before(self, state: _State, byte: int) -> _State:
        """The state at the place before `byte`, behind which `state` is."""
        self.built += 1
        left, right, alive = self._sides[byte], state.right, state.alive
        steps = self._steps.get((byte, right))
        if steps is None:
            steps = self._steps[byte, right] = self._before(byte, left, right)
        found = self._everywhere
        for distance, takers in steps.by_distance:
            found |= alive << distance & takers
        for target, takers in steps.by_target:
            if alive & target:
                found |= takers
        return self._state(found, left)

    def _before(self, byte: int, left: int, right: int) -> _Steps:
        pairs = [
            (number, target)
            for number, node in enumerate(self._program.nodes)
            if node.kind == TAKE and node.members >> byte & 1
            for target, _ in self._closure(node.following[0], left, right)[1]
        ]
        # What follows one another in a pattern is one number apart, so one shift does for most of it.
        distances = Counter(number - target for number, target in pairs if number > target)
        common = {distance for distance, count in distances.items() if count >= _COMMON}
        by_distance: defaultdict[int, int] = defaultdict(int)
        by_target: defaultdict[int, int] = defaultdict(int)
        for number, target in pairs:
            if number - target in common:
                by_distance[number - target] |= 1 << number
            else:
                by_target[1 << target] |= 1 << number
        return _Steps(tuple(by_distance.items()), tuple(by_target.items()))

    def _state(self, alive: int, right: int) -> _State:
        state = self._states.get((alive, right))
        if state is None:
            if len(self._states) >= STATES:
                old, self._states = self._states, {}
                for each in list(old.values()):
                    each.clear()  # states that another thread walks on lead to new ones
            state = self._states[alive, right] = _State(self, alive, right)
        return state

    def _closure(self, node: int, left: int, right: int) -> tuple[int, list[tuple[int, tuple[int, ...]]]]:
        key = (node, left, right)
        found = self._reached.get(key)
        if found is None:
            ways = self._program.closure(node, left, right)
            found = self._reached[key] = (sum(1 << taken for taken, _ in ways), ways)
        return found


@lru_cache(maxsize=512)
def is_proved(pattern: str, *, searched: bool = False) -> bool:
    """Whether `re` runs the pattern in bounded time; one that is `searched` must be held at the line's start too.

    Raises PatternError for what neither engine can run.
    """
    program = Program(pattern)
    try:
        re.compile(pattern.encode("ascii"))
    except (re.error, UnicodeEncodeError) as error:
        raise PatternError(f"is no regular expression: {' '.join(str(error).split())}") from error
    return program.two_ways() is None and (not searched or program.is_anchored)


def two_ways(pattern: str) -> str | None:
    """None for a one-pass pattern, else what may go on in two ways. Raises PatternError as `is_proved` does."""
    return None if is_proved(pattern) else Program(pattern).two_ways()


def compiled(pattern: str, way: Way, faster: Callable[[bytes], bytes] = bytes, *, known: bool = False) -> Regex:
    """The pattern, ready to run by the engine that is right for it; `faster` rewrites it for `re`.

    `known`: it is known to be proved (`is_proved`), which takes as long to find out as to compile it.
    Raises PatternError for a pattern whose time cannot be bounded, and for a text that is not a pattern.
    """
    if known or is_proved(pattern, searched=way is Way.ANYWHERE):
        # One that is held at the start need not be tried anywhere else.
        return Proved(faster(pattern.encode("ascii")), Way.START if way is Way.ANYWHERE else way)
    return Bounded(Program(pattern), way)


__all__ = ["Bounded", "Match", "PatternError", "Proved", "Regex", "Way", "compiled", "is_proved", "two_ways"]
