"""Formats compiled for matching: from a tag to its route, from a message to the patterns that may take it.

A *route* is the ordered set of formats that a tag fits, with all their patterns, reached by the first bytes of the
message. Knows docs/MATCHING.md, 3 and 4; no envelopes, stamps or logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.errors import FormatError
from pbs_fast.matching import SYSLOG
from pbs_fast.matching.python.classes import with_bitmaps
from pbs_fast.matching.python.starts import may_start, starts
from pbs_fast.matching.python.success import Success

if TYPE_CHECKING:
    from pbs_fast.formats import Format

STEPS: Final = ("address", "success", "failure", "end")
"""What a line of a session over several lines can be (docs/MATCHING.md, 6)."""
GROUPS: Final = ("ip", "user", "session", "lip", "tls")
TAGS_REMEMBERED: Final = 4096
"""Tags are strangers' text where a format has `*/NAME`; the map from tag to route is emptied at this size."""
STARTS_REMEMBERED: Final = 4096
"""Starts of messages, which may be strangers' text as well."""


Pick = tuple[Callable[[bytes], "re.Match[bytes] | None"], str, bool, str, tuple[int, int, int, int, int], "bool | None"]
"""One pattern, and what it means that it took a message: its fullmatch; login, logout, or one of STEPS; whether it is
one of these; the format; where GROUPS stand among the match's groups, of which the last never takes part and stands for
one that is missing (to ask for the five by number costs 0.2 us more); whether there was TLS when group `tls` took no
part. (A plain tuple, as `heads.Place`.)"""


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


class Route(NamedTuple):
    """What is tried on the message of a tag."""

    picks: Picks
    success: Success
    cut: int
    """Length of a message from which it is a cut record; 0 for never."""


class Tags(dict[bytes, "Route | None"]):
    """Tag -> route, None where no format fits; found on first sight, emptied when full."""

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[bytes], Route | None]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, tag: bytes) -> Route | None:
        if len(self) >= TAGS_REMEMBERED:
            self.clear()
        self[tag] = route = self._find(tag)
        return route


class Routes:
    """Every format's patterns, reached by tag or by own layout. Immutable but for what it remembers."""

    def __init__(self, formats: Sequence[Format]) -> None:
        """Raises FormatError for a pattern that `re` does not take, and for a name given twice or to a layout."""
        self._formats = tuple(formats)
        names = {SYSLOG}
        for fmt in self._formats:
            if fmt.name in names:
                raise FormatError(f"format {fmt.name}: this name is taken; give each format a name of its own")
            names.add(fmt.name)
        for fmt in self._formats:
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
        text = tag.decode("utf-8", "surrogateescape")
        names = {text}
        if "/" in text:
            names.add("*/" + text.rpartition("/")[2])
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


def _check(name: str, pattern: str) -> None:
    try:
        re.compile(pattern.encode("ascii"))
    except (re.error, UnicodeEncodeError) as error:
        raise FormatError(f"format {name}: pattern {pattern!r}: {error}; mend the pattern") from error


def _compile(members: list[tuple[Format, bool]]) -> Route:
    picks = [
        (starts(pattern), _pick(fmt, kind, pattern, over_tls=over_tls))
        for fmt, over_tls in members
        for kind, patterns in _patterns(fmt)
        for pattern in patterns
    ]
    return Route(
        picks=Picks(picks),
        success=Success((fmt.name, fmt.success) for fmt, _ in members),
        cut=min((fmt.cut for fmt, _ in members if fmt.cut), default=0),
    )


def _pick(fmt: Format, kind: str, pattern: str, *, over_tls: bool) -> Pick:
    # The last group never takes part: it stands for a missing one.
    regex = re.compile(b"(?:" + with_bitmaps(pattern.encode("ascii")) + b")((?!))?+")
    index = regex.groupindex
    ip, user, session, lip, tls = (index.get(group, regex.groups) - 1 for group in GROUPS)
    return (
        regex.fullmatch,
        kind,
        kind in STEPS,
        fmt.name,
        (ip, user, session, lip, tls),
        True if over_tls else (False if "tls" in index else None),
    )
