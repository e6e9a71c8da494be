"""Which bytes of a line an event was read from: for display of a single line, not for speed.

Uses the Python backend's envelope and the format's patterns, which give the fields that either backend read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.formats.bounded import Way, compiled
from pbs_fast.matching import SYSLOG
from pbs_fast.matching.python.envelope import (
    BRACKET_TAG,
    HOST,
    HOST_5424,
    LINE,
    OWN_HEADER,
    TAG,
    TAG_5424,
    WHEN,
    WHEN_5424,
    own,
)

if TYPE_CHECKING:
    from pbs_fast.events import Event
    from pbs_fast.formats import Format

#: Groups of the envelope by the field's name; each line has one of the two.
_ENVELOPE = {"time": (WHEN, WHEN_5424), "host": (HOST, HOST_5424), "tag": (TAG, BRACKET_TAG, TAG_5424)}
#: Groups of patterns that are shown, by the name that people know.
_GROUPS = {"ip": "ip", "user": "user", "session": "session", "lip": "lip", "timestamp": "time", "host": "host"}
_REPEATED = re.compile(rb"message repeated [0-9]+ times: \[ ?(?=.*\]\Z)", re.DOTALL)


class Field(NamedTuple):
    """One field of a line: bytes start to end."""

    name: str
    start: int
    end: int


def fields(line: bytes, event: Event, layout: str, formats: Iterable[Format]) -> list[Field]:
    """The fields of a line, without its end, in their order; none overlap. Empty when nothing is found.

    `event` is what the matcher made of the line; its format's patterns are asked again.
    """
    found = next((each for each in formats if each.name == event.format), None)
    if found is None:
        return []
    envelope = (LINE if layout == SYSLOG else own(found.own_prefix)).match(line)
    if envelope is not None:
        spans = [Field(name, *envelope.span(group)) for name, groups in _ENVELOPE.items() for group in groups]
        message, end = envelope.end(), len(line)
        if repeated := _REPEATED.match(line, message):
            message, end = repeated.end(), end - 1
        if found.own_in_syslog and layout == SYSLOG and (inner := OWN_HEADER.match(line, message)):
            message = inner.end()
        steps = (*found.session_address, *found.session_success, *found.session_failure, *found.session_end)
        for pattern in (*found.login, *found.logout, *steps):
            if groups := _groups(pattern, Way.WHOLE, line[message:end], message):
                return _ordered([*spans, *groups])
    for pattern in (*found.line_login, *found.line_logout):
        if groups := _groups(pattern, Way.ANYWHERE, line, 0):
            return _ordered(groups)
    return []


def _groups(pattern: str, way: Way, text: bytes, at: int) -> list[Field]:
    """What the groups took of a text that begins at byte `at` of the line; nothing where the pattern does not match."""
    regex = compiled(pattern, way)
    if (match := regex.run(text)) is None:
        return []
    places = {name: match.span(place + 1) for name, place in regex.names.items() if name in _GROUPS}
    return [Field(_GROUPS[name], at + begin, at + end) for name, (begin, end) in places.items() if begin >= 0]


def _ordered(spans: Iterable[Field]) -> list[Field]:
    """Those that took part and are not empty, by their place; of two that overlap the first."""
    result: list[Field] = []
    for each in sorted((span for span in spans if 0 <= span.start < span.end), key=lambda span: span.start):
        if not result or each.start >= result[-1].end:
            result.append(each)
    return result
