"""Formats compiled for matching: from a tag to its route, from a message to the patterns that may match it.

A *route* is the ordered set of formats to which a tag belongs, with all their patterns, indexed by the first bytes of
the message (docs/MATCHING.md, 3 and 4).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.errors import FormatError
from pbs_fast.formats.bounded import Way, compiled, is_proved
from pbs_fast.formats.structure import PatternError
from pbs_fast.formats.tags import listed_as
from pbs_fast.matching.protocol import SPLIT, SYSLOG
from pbs_fast.matching.python.classes import with_bitmaps
from pbs_fast.matching.python.starts import may_start, starts
from pbs_fast.matching.python.success import Success

if TYPE_CHECKING:
    from pbs_fast.formats import Format
    from pbs_fast.formats.bounded import Match

STEPS: Final = ("address", "success", "failure", "end")
"""What a line of a session over several lines can be (docs/MATCHING.md, 6)."""
ENDINGS: Final = ("restart", "killed", "aborted")
"""Words of the server that end sessions without a logout (docs/MATCHING.md, 4)."""
MARKED, UNMARKED = "marked", "unmarked"
"""Logins of `Format.marked` and of `Format.unmarked`."""
GROUPS: Final = ("ip", "user", "session", "lip", "tls", "pid")
TAGS_REMEMBERED: Final = 4096
"""Tags are strangers' text where a format has `*/NAME`; the map from tag to route is emptied at this size."""
LONGEST_TAG: Final = 512
"""Bytes of a tag that is remembered."""
STARTS_REMEMBERED: Final = 4096
"""Starts of messages, which may be strangers' text as well."""


Pick = tuple[
    Callable[[bytes], "Match | None"], str, bool, str, tuple[int, int, int, int, int, int], "bool | None", "str | None"
]
"""One pattern, and what it means that it took a message: its fullmatch; login, logout, or one of STEPS or ENDINGS;
whether it is one of these; the format; the numbers of GROUPS among the match's groups, whose last never takes part
and replaces one that is missing (to ask for them by number costs 0.2 us more); whether there was TLS when group `tls`
took no part; for a login that may be marked MARKED or UNMARKED. (A plain tuple, as `heads.Place`.)"""


class Picks(dict[bytes, tuple[Pick, ...]]):
    """The first `starts.LENGTH` bytes of a message -> the patterns that may take it, in order; emptied when full.

    Most messages of a known tag start like no pattern at all, and of Dovecot's ten patterns a logout is tried on one.
    """

    __slots__ = ("_all",)

    def __init__(self, picks: Sequence[tuple[frozenset[bytes], Pick]]) -> None:
        super().__init__()
        self._all = tuple(picks)

    def __missing__(self, start: bytes) -> tuple[Pick, ...]:
        if len(self) >= STARTS_REMEMBERED:
            self.clear()
        self[start] = picks = tuple(pick for of_pick, pick in self._all if may_start(of_pick, start))
        return picks


class Cutting(NamedTuple):
    """From which length on messages are cut records (docs/MATCHING.md, 4)."""

    any: int
    rest: int
    """From which length on the record that follows may be the rest of a cut one."""
    repeated: int
    """For messages that start with one of `prefixes`."""
    prefixes: tuple[bytes, ...]
    """Texts that a writer repeats before each part of a record."""

    whole: tuple[tuple[bool, tuple[int, ...]], ...]
    """For messages with one of `prefixes` (true) or with none: the lengths at which they begin, and cease, to be whole
    parts, in turn."""

    def is_whole(self, prefix: bytes, length: int) -> bool:
        """Whether a cut record of this length is a whole part."""
        return any(
            of_prefixes == bool(prefix) and sum(start <= length for start in lengths) % 2 == 1
            for of_prefixes, lengths in self.whole
        )

    def prefix(self, message: bytes) -> bytes:
        """What the writer repeats at the start of this message; empty for nothing."""
        return next((prefix for prefix in self.prefixes if message.startswith(prefix)), b"")


Nested = Callable[[bytes], bool]


class Route(NamedTuple):
    """What is tried on the message of a tag."""

    picks: Picks
    success: Success
    cutting: Cutting
    cut: int
    """The shortest message that `cutting` needs to be asked about."""
    nested: Nested | None
    """Finds the probe of a format whose own lines may be messages at a text's start; None where there is none."""


class Tags(dict[bytes, "Route | None"]):
    """Tag -> route, None where no format fits; found on first sight, emptied when full."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[bytes], Route | None]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, tag: bytes) -> Route | None:
        if len(self) >= TAGS_REMEMBERED:
            self.clear()
        route = self._find(tag)
        if len(tag) <= LONGEST_TAG:
            self[tag] = route
        return route


class Routes:
    """Every format's patterns, reached by tag or by own layout. Immutable but for what it remembers."""

    def __init__(self, formats: Sequence[Format]) -> None:
        """Raises FormatError for a pattern that no engine here takes, and for a name given twice or to a layout."""
        self._formats = tuple(formats)
        names = {SYSLOG}
        for fmt in self._formats:
            if fmt.name in names:
                raise FormatError(f"format {fmt.name}: this name is taken; give each format a name of its own")
            names.add(fmt.name)
        for fmt in self._formats:
            if fmt.packaged:
                continue
            probe = [] if fmt.own_probe is None else [fmt.own_probe]
            whole = (*probe, *fmt.line_login, *fmt.line_logout)
            for pattern in (*whole, *(pattern for _, patterns in _patterns(fmt) for pattern in patterns)):
                _check(fmt.name, pattern)
        self._by_members: dict[tuple[tuple[int, bool], ...], Route] = {}
        self.by_tag = Tags(self._find)

    def joins(self) -> frozenset[str]:
        """The formats with logouts that may take their address from their session's login."""
        return frozenset(
            fmt.name
            for fmt in self._formats
            if any("session" in re.compile(p).groupindex for p in (*fmt.logout, *fmt.line_logout))
        )

    def stepped(self) -> frozenset[str]:
        """The formats with sessions over several lines."""
        return frozenset(fmt.name for fmt in self._formats if fmt.session_address or fmt.session_success)

    def tags(self) -> tuple[list[bytes], list[bytes]]:
        """The tags that formats name, and the NAMEs of their `*/NAME`."""
        named = [tag for fmt in self._formats for tag in (*fmt.program, *fmt.tls_program)]
        return [tag.encode() for tag in named], [
            tag[2:].encode() for tag in named if tag.startswith("*/") and tag[2:] and "/" not in tag[2:]
        ]

    def by_layout(self, name: str) -> Route:
        """The route of the own layout of the format `name`."""
        return self._route(tuple((i, False) for i, fmt in enumerate(self._formats) if fmt.name == name))

    def _find(self, tag: bytes) -> Route | None:
        names = listed_as(tag.decode("utf-8", "surrogateescape"))
        members = tuple(
            (i, not names.isdisjoint(fmt.tls_program))
            for i, fmt in enumerate(self._formats)
            if not names.isdisjoint((*fmt.program, *fmt.tls_program))
        )
        return self._route(members) if members else None

    def _route(self, members: tuple[tuple[int, bool], ...]) -> Route:
        if members not in self._by_members:
            self._by_members[members] = _compile([(self._formats[i], tls) for i, tls in members])
        return self._by_members[members]


def _patterns(fmt: Format) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "login", fmt.login
    yield "logout", fmt.logout
    for step in STEPS:
        yield step, getattr(fmt, f"session_{step}")
    for ending in ENDINGS:
        yield ending, getattr(fmt, ending)


def _kinds(fmt: Format) -> Iterator[tuple[str, str, str | None]]:
    """What a match of each pattern says (login, logout, a step), the pattern, and a login's mark, in order of trial."""
    for kind, patterns in _patterns(fmt):
        for number, pattern in enumerate(patterns, 1):
            mark = MARKED if number in fmt.marked else UNMARKED if number in fmt.unmarked else None
            yield kind, pattern, mark if kind == "login" else None


def _check(name: str, pattern: str) -> None:
    try:
        is_proved(pattern)
    except PatternError as error:
        raise FormatError(f"format {name}: pattern {pattern!r}: {error}; correct the pattern") from error


def _compile(members: list[tuple[Format, bool]]) -> Route:
    picks = [
        (starts(pattern), _pick(fmt, kind, pattern, mark, over_tls=over_tls))
        for fmt, over_tls in members
        for kind, pattern, mark in _kinds(fmt)
    ]
    cutting = _cutting([fmt for fmt, _ in members])
    return Route(
        picks=Picks(picks),
        success=Success((fmt.name, fmt.success) for fmt, _ in members),
        cutting=cutting,
        cut=min(cutting.any, cutting.repeated),
        nested=_nested([fmt for fmt, _ in members]),
    )


def _nested(formats: Sequence[Format]) -> Nested | None:
    probes = [compiled(fmt.own_probe, Way.START) for fmt in formats if fmt.own_in_syslog and fmt.own_probe]
    return (lambda text: any(probe.run(text) for probe in probes)) if probes else None


def _cutting(formats: Sequence[Format]) -> Cutting:
    plain = [fmt.cut for fmt in formats if fmt.cut and not fmt.cut_prefix]
    rests = [max(fmt.cut, fmt.cut_rest) for fmt in formats if fmt.cut and not fmt.cut_prefix]
    repeating = [fmt for fmt in formats if fmt.cut and fmt.cut_prefix]
    return Cutting(
        any=min((SPLIT, *plain)),
        rest=min((SPLIT, *rests)),
        repeated=min((fmt.cut for fmt in repeating), default=sys.maxsize),
        prefixes=tuple(text.encode() for fmt in repeating for text in fmt.cut_prefix),
        whole=tuple((bool(fmt.cut_prefix), fmt.cut_whole) for fmt in formats if fmt.cut),
    )


def _pick(fmt: Format, kind: str, pattern: str, mark: str | None, *, over_tls: bool) -> Pick:
    regex = compiled(pattern, Way.WHOLE, with_bitmaps, known=fmt.packaged)
    index = regex.names
    ip, user, session, lip, tls, pid = (index.get(group, regex.count) for group in GROUPS)
    return (
        regex.run,
        kind,
        kind in STEPS or kind in ENDINGS,
        fmt.name,
        (ip, user, session, lip, tls, pid),
        True if over_tls else (False if "tls" in index else None),
        mark,
    )
