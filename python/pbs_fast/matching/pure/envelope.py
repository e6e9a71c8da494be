"""Envelopes: what stands before a message (docs/MATCHING.md, 2), as regexes from one grammar.

The exact grammar of one line, whatever its tag: `LINE` for the syslog layout, `own` for a format's own. What finds the
lines worth it is in `sieve`. Every repetition that could give bytes back in vain is possessive, so a match costs time
linear in the line. Imports nothing of the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

NAME = rb"[^\x00-\x20:\[\]<>]++"
WORD = rb"[^ ]++"
_PRI = rb"<[0-9]{1,3}>"
_FAC = rb"[a-z0-9]++\.[a-z0-9]++"
_TIME = rb"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_FRACTION = rb"(?:[.,][0-9]{1,9})?+"
_DATE = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = rb"(Z|[+-][0-9]{2}:?[0-9]{2})?+"
_BSD = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9]?[0-9] (?:[0-9]{4} )?+" + _TIME
# Groups 1 text without fraction, 2 taken part for BSD (which has no zone), 3 zone.
_STAMP = rb"((" + _BSD + rb")|" + _DATE + rb"[T ]" + _TIME + rb")" + _FRACTION + rb"(?(2)|" + _ZONE + rb")"
_STRING = rb'"(?:[^"\\\]]|\\[\x00-\xff])*+"'
_SD = rb'(?:-|(?:\[(?:[^"\]]++|' + _STRING + rb")*+\])++)"
_SOLARIS = rb"(?:\[ID [0-9]++ " + _FAC + rb"\] )?+"

WHEN: Final = 1
ZONE: Final = 3
HOST: Final = 4
TAG: Final = 5
BRACKET_TAG: Final = 6
WHEN_5424: Final = 7
ZONE_5424: Final = 8
HOST_5424: Final = 9
TAG_5424: Final = 10


class Envelope(NamedTuple):
    """The parts of one line's envelope."""

    when: bytes | None
    """Stamp without its fraction, zone included; None for RFC 5424's `-`."""
    host: bytes
    tag: bytes | None
    """None where there is none."""


def _syslog() -> bytes:
    end = rb"(?: |\Z)"
    # A token that is a hostless tag is never a host: neither `x:` (looked behind) nor `[x]` (looked ahead).
    host = rb"(?:(?!\[" + NAME + rb"\] )(" + WORD + rb")(?<!:) ++(?:" + _FAC + rb" )?+)?+"
    tag = rb"(?:(" + NAME + rb")(?:\[[0-9]++\])?+:|(?(4)(?!)|\[(" + NAME + rb")\]))"
    bsd = rb"(?:" + _PRI + rb")?+" + _STAMP + rb" ++(?:<" + _FAC + rb"> )?+" + host + tag + end
    stamp = rb"(?:(" + _DATE + rb"T" + _TIME + rb")" + _FRACTION + _ZONE + rb"|-)"
    words = rb" (" + WORD + rb") (" + WORD + rb") " + WORD + rb" " + WORD + rb" "
    rfc5424 = _PRI + rb"1 " + stamp + words + _SD + rb"(?: (?:\xef\xbb\xbf)?+ ?+|\Z)"
    return rb"(?:" + bsd + rb"|" + rfc5424 + rb")" + _SOLARIS


LINE = re.compile(_syslog())
"""Matches the envelope of a line in the syslog layout, up to its message."""


def own(prefixes: Iterable[str]) -> re.Pattern[bytes]:
    """Matches the envelope of a line in a format's own layout; host and tag are empty."""
    names = b"|".join(re.escape(prefix.encode()) for prefix in prefixes)
    # The empty groups are host and tag.
    return re.compile(rb"(?:" + names + rb")?" + _STAMP + rb" ++()()")


def envelope_of(m: re.Match[bytes]) -> Envelope:
    """The parts of a match of `LINE` or `own`."""
    tag = m[TAG]
    if tag is None:
        tag = m[BRACKET_TAG]
    if tag is not None:
        return Envelope(m[WHEN] + (m[ZONE] or b""), m[HOST] or b"", tag)
    when, tag = m[WHEN_5424], m[TAG_5424]
    return Envelope(when and when + (m[ZONE_5424] or b""), m[HOST_5424], None if tag == b"-" else tag)
