"""Formats compiled for matching: from a tag to its route, from a route's one regex to what a match means.

A *route* is the ordered set of formats that a tag fits, with all their patterns as one alternation: the alternative
that took part says which pattern took the message. Knows docs/MATCHING.md, 3 and 4; no envelopes, stamps or logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from pbs_fast.errors import FormatError
from pbs_fast.matching import SYSLOG
from pbs_fast.matching.pure.success import Success

if TYPE_CHECKING:
    from pbs_fast.formats import Format

GROUPS: Final = ("ip", "user", "session", "lip", "tls")
TAGS_REMEMBERED: Final = 4096
"""Tags are strangers' text where a format has `*/NAME`; the map from tag to route is emptied at this size."""

# An escape, a class, or the opening of a named group: the first two are skipped so that no `(?P<` in them is read.
_NAMED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?P<(?P<name>\w+)>", re.DOTALL)


class Pick(NamedTuple):
    """What it means that one alternative of a route took a message."""

    kind: Literal["login", "logout"]
    format: str
    groups: tuple[int, int, int, int, int]
    """Numbers of ip, user, session, lip, tls in the route's regex; one that never takes part where there is none."""
    tls: bool | None
    """When group `tls` took no part."""


class Route(NamedTuple):
    """What is tried on the message of a tag."""

    fullmatch: Callable[[bytes, int, int], re.Match[bytes] | None]
    picks: dict[int | None, Pick]
    """By `lastindex`."""
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
            for pattern in (*fmt.login, *fmt.logout, *([fmt.own_probe] if fmt.own_probe is not None else [])):
                _check(fmt.name, pattern)
        self._by_members: dict[tuple[tuple[int, bool], ...], Route] = {}
        self.by_tag = Tags(self._find)

    def joins(self) -> frozenset[str]:
        """The formats with logouts that may take their address from their session's login."""
        return frozenset(
            fmt.name for fmt in self._formats if any("session" in re.compile(p).groupindex for p in fmt.logout)
        )

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


def _check(name: str, pattern: str) -> None:
    try:
        re.compile(pattern.encode("ascii"))
    except (re.error, UnicodeEncodeError) as error:
        raise FormatError(f"format {name}: pattern {pattern!r}: {error}; mend the pattern") from error


def _compile(members: list[tuple[Format, bool]]) -> Route:
    parts: list[str] = []
    found: list[tuple[int, Pick]] = []
    total = 0
    absent = sum(1 + re.compile(p).groups for fmt, _ in members for p in (*fmt.login, *fmt.logout)) + 1
    for fmt, over_tls in members:
        for kind, patterns in (("login", fmt.login), ("logout", fmt.logout)):
            for pattern in patterns:
                total += 1
                regex = re.compile(pattern)
                index = regex.groupindex
                ip, user, session, lip, tls = (total + index[g] if g in index else absent for g in GROUPS)
                pick = Pick(
                    kind="login" if kind == "login" else "logout",
                    format=fmt.name,
                    groups=(ip, user, session, lip, tls),
                    tls=True if over_tls else (False if "tls" in index else None),
                )
                found.append((total, pick))
                parts.append("(" + _unnamed(pattern) + ")")
                total += regex.groups
    # The last alternative never matches: its group is the one that stands for a missing group.
    parts.append("((?!))")
    regex_bytes = re.compile("|".join(parts).encode("ascii"))
    return Route(
        fullmatch=regex_bytes.fullmatch,
        picks=dict(found),
        success=Success((fmt.name, fmt.success) for fmt, _ in members),
        cut=min((fmt.cut for fmt, _ in members if fmt.cut), default=0),
    )


def _unnamed(pattern: str) -> str:
    """The pattern with its named groups turned into numbered ones, since several patterns name the same groups."""
    return _NAMED.sub(lambda m: "(" if m["name"] else m[0], pattern)
