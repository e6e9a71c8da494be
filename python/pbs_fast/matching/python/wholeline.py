"""Whole-line patterns of custom formats, searched in lines that matching by tag left undecided (docs/MATCHING.md, 4).

Each line is tried on each of them in turn. No format of the catalogue has such patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.formats.bounded import Match, Way, compiled
from pbs_fast.matching.python import envelope

if TYPE_CHECKING:
    from pbs_fast.formats import Format

GROUPS: Final = ("timestamp", "ip", "user", "session", "host", "lip", "tls", "pid")


class LinePick(NamedTuple):
    """One pattern, and what it means that it was found in a line."""

    search: Callable[[bytes], Match | None]
    kind: str
    format: str
    groups: tuple[int, ...]
    """Places of GROUPS in the match; that of one that never takes part where there is none."""
    has_tls: bool


class Found(NamedTuple):
    """What a pattern found in a line."""

    pick: LinePick
    when: bytes | None
    """The timestamp without its fraction; None for what is no timestamp."""
    ip: bytes | None
    user: bytes | None
    session: bytes | None
    host: bytes | None
    lip: bytes | None
    tls: bool | None
    pid: bytes | None


class WholeLines:
    """The whole-line patterns of some formats, in order. Immutable."""

    __slots__ = ("_picks",)

    def __init__(self, formats: Sequence[Format]) -> None:
        self._picks = tuple(
            _pick(fmt.name, kind, pattern)
            for fmt in formats
            for kind, patterns in (("login", fmt.line_login), ("logout", fmt.line_logout))
            for pattern in patterns
        )

    def __bool__(self) -> bool:
        return bool(self._picks)

    def find(self, line: bytes) -> Found | None:
        """What the first pattern that matches finds in a line without its end."""
        for pick in self._picks:
            m = pick.search(line)
            if m is not None:
                groups = m.groups()
                timestamp, ip, user, session, host, lip, tls, pid = [groups[at] for at in pick.groups]
                over_tls = True if tls is not None else False if pick.has_tls else None
                return Found(
                    pick, envelope.when_of(timestamp or b""), ip, user, session, host, lip, over_tls, pid or None
                )
        return None


def _pick(name: str, kind: str, pattern: str) -> LinePick:
    regex = compiled(pattern, Way.ANYWHERE)
    return LinePick(
        search=regex.run,
        kind=kind,
        format=name,
        groups=tuple(regex.names.get(group, regex.count) for group in GROUPS),
        has_tls="tls" in regex.names,
    )
