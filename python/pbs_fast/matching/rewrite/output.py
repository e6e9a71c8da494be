"""What a program wrote to its standard output or error: a line that may begin with a header of its own.

Behind a container's engine or a supervisor a line has up to two headers. The outer one (or none) gives the timestamp.
The text then is a line of a server's own log (`Format.own_in_syslog`), told by its process and level, or a syslog line.
The text alone decides, and only one is possible: what a server's own log writes behind the timestamp is a word that
ends in `:`, `(` or `<`, and no such word is taken as a host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from pbs_fast.formats.bounded import Regex, Way, compiled
from pbs_fast.formats.timestamps import BSD, ISO
from pbs_fast.matching.rewrite.wrapper import Entry

_PRI = rb"(?:<[0-9]{1,3}>)?"
HEADER: Final = re.compile(_PRI + rb"(" + BSD.encode() + rb"|" + ISO.encode() + rb")(?= )")
"""A timestamp at a text's start, and a priority before it."""
#: RFC 5424's timestamp is between other fields and stays there.
_RFC5424 = re.compile(rb"(<[0-9]{1,3}>1 )(" + ISO.encode() + rb"|-)(?= )")
#: socklog writes facility and level, and the sender's address before them if it came by UDP.
SOCKLOG: Final = re.compile(rb"(?:[0-9A-Fa-f.:]{2,45}: )?[a-z0-9]+\.[a-z]+: (?=" + HEADER.pattern + rb")")
#: How a process begins a line of its own log; no host looks like this.
_PROCESS = re.compile(rb"[^ (<\[]+[(<]")
_HOST = rb"(?:[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]*[0-9A-Fa-f])"
SENDER: Final = re.compile(_HOST + rb" +(?:[a-z0-9]+\.[a-z]+ )?[^\x00-\x20:\[\]<>]+(?:\[[0-9]+\])?:(?: |\Z)")
"""Host, perhaps a facility, tag."""
_TAG = re.compile(rb"[^\x00-\x20:\[\]<>()]+(?:\[[0-9]+\])?: ")


class Output:
    """Makes syslog lines of what programs wrote. Immutable."""

    def __init__(self, nested: Sequence[tuple[str, str]]) -> None:
        """`nested` is that of the matcher: tag and probe of each format whose own lines are known by themselves."""
        self._nested = tuple(nested)

    def _owner(self, text: bytes) -> bytes | None:
        """The tag of the server whose own log writes this behind the timestamp."""
        return next((tag for tag, probe in _probes(self._nested) if probe.run(text)), None)

    def line(self, entry: Entry, undated: bytes) -> bytes:
        """The syslog line of a program's text; empty for one that is nobody's.

        The timestamp is the wrapper's, if it has one, else the text's own, else `undated`.
        """
        timestamp, text, host, tag = entry.timestamp, entry.text, entry.host, entry.tag
        if m := SOCKLOG.match(text):
            text = text[m.end() :]
        if m := _RFC5424.match(text):
            # Another timestamp than ISO 8601's is none there.
            return m[1] + (timestamp if timestamp[10:11] == b"T" else m[2]) + text[m.end() :]
        rest, own = _behind_headers(text)
        when = timestamp or own or undated
        if (name := self._owner(rest)) is not None:
            sender = b"%s %s" % (host, tag if tag.partition(b"[")[0] == name else name) if host else name
            return b"%s %s: %s" % (when, sender, rest)
        if tag and not (own and SENDER.match(rest)):
            return b"%s %s %s: %s" % (when, host, tag, text)
        return b"" if _PROCESS.match(rest) else b"%s %s" % (when, rest)

    def is_conclusive(self, text: bytes) -> bool:
        """Whether a text shows by itself what it is: an own log's line, or a timestamp and a sender."""
        if m := SOCKLOG.match(text):
            text = text[m.end() :]
        rest, own = _behind_headers(text)
        if self._owner(rest) is not None:
            return True
        is_sent = own and (SENDER.match(rest) or _TAG.match(rest))
        return bool(is_sent) or _RFC5424.match(text) is not None


@cache
def _probes(nested: tuple[tuple[str, str], ...]) -> list[tuple[bytes, Regex]]:
    # To compile one takes 7 ms, so it is done once, and for no plain log.
    return [(tag.encode(), compiled(probe, Way.START)) for tag, probe in nested]


def _behind_headers(text: bytes) -> tuple[bytes, bytes]:
    """What follows a text's own timestamp, and that timestamp, empty if there is none."""
    own = b""
    # `docker compose logs -t` writes a further timestamp in front of the line's own.
    for _ in range(2):
        m = HEADER.match(text)
        if m is None:
            break
        own = own or m[1]
        text = text[m.end() :].lstrip(b" ")
    return text, own
