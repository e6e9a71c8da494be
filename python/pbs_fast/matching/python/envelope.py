"""Envelopes: the text before a message (docs/MATCHING.md, 2), as regexes from one grammar.

The exact grammar of one line, whatever its tag: `LINE` for the syslog layout, `own` for a format's own. What finds the
lines worth it is in `sieve`. Every repetition that could give bytes back in vain is in an atomic group (and none is
possessive: `engine`), so a match costs time linear in the line. Imports nothing of the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

NAME = rb"(?>[^\x00-\x20:\[\]<>]+)"
WORD = rb"(?>[^ ]+)"
_PRI = rb"<[0-9]{1,3}>"
FAC = rb"(?>[a-z0-9]+)\.(?>[a-z0-9]+)"
_MINUTE = rb"[0-9]{2}:[0-9]{2}:"
_TIME = _MINUTE + rb"[0-9]{2}"
_FRACTION = rb"(?>[.,][0-9]{1,9}|)"
_DATE = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = rb"(?>(Z|[+-][0-9]{2}:?[0-9]{2})|)"
_DAY = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9]?[0-9] (?>[0-9]{4} |)"
_BSD = _DAY + _TIME
# Groups 1 text without fraction, 2 taken part for BSD (which has no zone), 3 zone.
_STAMP = rb"((" + _BSD + rb")|" + _DATE + rb"[T ]" + _TIME + rb")" + _FRACTION + rb"(?(2)|" + _ZONE + rb")"
_STRING = rb'"(?>(?:[^"\\\]]|\\[\x00-\xff])*)"'
_SD = rb'(?:-|(?>(?:\[(?>(?:(?>[^"\]]+)|' + _STRING + rb")*)\])+))"
SD_IN_LINE = rb'(?:-|(?>(?:\[(?>(?:(?>[^"\]\n]+)|"(?>(?:[^"\\\]\n]|\\[^\n])*)")*)\])+))'
"""RFC 5424's structured data in a buffer of many lines."""
SOLARIS = rb"(?>\[ID (?>[0-9]+) " + FAC + rb"\] |)"

WHEN: Final = 1
ZONE: Final = 3
HOST: Final = 4
FORWARDED: Final = 5
TAG: Final = 6
PID: Final = 7
BRACKET_TAG: Final = 8
WHEN_5424: Final = 9
ZONE_5424: Final = 10
HOST_5424: Final = 11
TAG_5424: Final = 12
PID_5424: Final = 13


class Envelope(NamedTuple):
    """The parts of one line's envelope."""

    when: bytes | None
    """Timestamp without its fraction, zone included; None for RFC 5424's `-`."""
    host: bytes
    tag: bytes | None
    """None where there is none."""
    pid: bytes | None
    """Its digits as written; None where there is none."""


# Whose message the host of the line forwarded: all before the colon.
_FORWARDED = rb"(?>Message forwarded from (?P<from>" + WORD + rb")(?<=[^ ]:) |)"
# A token that is a hostless tag is never a host: neither `x:` (looked behind) nor `[x]` (looked ahead).
_HOST = rb"(?>(?!\[" + NAME + rb"\]:? )(?P<host>" + WORD + rb")(?<!:)(?> +)(?>" + FAC + rb" |)" + _FORWARDED + rb"|)"


def _syslog() -> bytes:
    end = rb"(?: |\Z)"
    host = _HOST.replace(b"?P<host>", b"").replace(b"?P<from>", b"")
    tag = rb"(?:(" + NAME + rb")(?>\[((?>[0-9]+))\]|):|(?(4)(?!)|\[(" + NAME + rb")\]:?))"
    bsd = rb"(?>" + _PRI + rb"|)" + _STAMP + rb"(?> +)(?><" + FAC + rb"> |)" + host + tag + end
    timestamp = rb"(?:(" + _DATE + rb"T" + _TIME + rb")" + _FRACTION + _ZONE + rb"|-)"
    words = rb" (" + WORD + rb") (" + WORD + rb") (" + WORD + rb") " + WORD + rb" "
    rfc5424 = _PRI + rb"1 " + timestamp + words + _SD + rb"(?: (?>\xef\xbb\xbf|)(?> ?)|\Z)"
    return rb"(?:" + bsd + rb"|" + rfc5424 + rb")" + SOLARIS


LINE = re.compile(_syslog())
"""Matches the envelope of a line in the syslog layout, up to its message."""


def _shapes() -> Iterator[tuple[re.Pattern[bytes], re.Pattern[bytes]]]:
    zone = _ZONE.replace(b"(Z", b"(?P<zone>Z")
    sender = rb"(?> +)(?><" + FAC + rb"> |)" + _HOST + rb"(?P<tag>" + NAME + rb")[\[:]"
    words = rb"(?:|(?P<from>(?!))) (?P<host>" + WORD + rb") (?P<tag>" + WORD + rb") "
    pri = rb"(?>" + _PRI + rb"|)"
    yield re.compile(pri + rb"(" + _DAY + _MINUTE + rb")"), re.compile(rb"(?:|(?P<zone>(?!)))" + sender)
    yield re.compile(pri + rb"(" + _DATE + rb"[T ]" + _MINUTE + rb")"), re.compile(zone + sender)
    yield re.compile(_PRI + rb"1 (" + _DATE + rb"T" + _MINUTE + rb")"), re.compile(zone + words)


SHAPES: Final = tuple(_shapes())
"""The usual envelopes in two pieces: up to the seconds (group 1 is the timestamp's part), and from behind the fraction
to the byte after the tag: `[` or `:`, or RFC 5424's blank (groups zone, host, from, tag). Made of the same fragments as
`LINE`, of which they take nothing that it would read in another way."""


def own(prefixes: Iterable[str]) -> re.Pattern[bytes]:
    """Matches the envelope of a line in a format's own layout; host and tag are empty."""
    names = b"|".join(re.escape(prefix.encode()) for prefix in prefixes)
    # The empty groups are host, forwarding host, tag and pid.
    return re.compile(rb"(?:" + names + rb")?" + _STAMP + rb"(?> +)()()()()")


def envelope_of(m: re.Match[bytes]) -> Envelope:
    """The parts of a match of `LINE` or `own`."""
    tag = m[TAG]
    if tag is None:
        tag = m[BRACKET_TAG]
    if tag is not None:
        host = m[FORWARDED][:-1] if m[FORWARDED] else m[HOST] or b""
        return Envelope(m[WHEN] + (m[ZONE] or b""), host, tag, m[PID] or None)
    when, tag, pid = m[WHEN_5424], m[TAG_5424], m[PID_5424]
    return Envelope(
        when and when + (m[ZONE_5424] or b""),
        m[HOST_5424],
        None if tag == b"-" else tag,
        pid if pid.isdigit() else None,
    )


_WHOLE_STAMP = re.compile(_STAMP)


def when_of(text: bytes) -> bytes | None:
    """A whole timestamp without its fraction, zone included; None for any other text."""
    m = _WHOLE_STAMP.fullmatch(text)
    return None if m is None else m[WHEN] + (m[ZONE] or b"")


OWN_HEADER: Final = re.compile(_STAMP + rb"(?> +)")
"""Matches the timestamp, and the blanks behind it, that a line of a format's own log begins with."""

_REPEATED = re.compile(rb"message repeated (?>[0-9]+) times: \[(?> ?)(.*)\]", re.DOTALL)


def unrepeated(message: bytes) -> bytes:
    """The message itself of rsyslog's `message repeated N times: [...]`, any other as it is."""
    m = _REPEATED.fullmatch(message)
    return message if m is None else m[1]
