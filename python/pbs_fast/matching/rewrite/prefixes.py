"""Text in front of lines: what loggers, supervisors and the tools that show logs put before each line.

Each wrapper here is one regular expression for a line's head; a line that it does not match is nobody's. A source has
one of them, found by `find_prefix` from a line that shows it beyond doubt. Sources of facts: systemd's
journalctl(1) and src/shared/logs-show.c, svlogd(8), multilog(8), s6-log, OpenWrt's ubox (log/logread.c), Docker's and
kubectl's documentation, and the tests, in which the real programs write.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pbs_fast.formats.timestamps import BSD, ISO
from pbs_fast.matching.rewrite.months import MONTHS
from pbs_fast.matching.rewrite.output import HEADER, SENDER, SOCKLOG
from pbs_fast.matching.rewrite.wrapper import Entry, Wrapper
from pbs_fast.sources.journal.trust import unit_tags

if TYPE_CHECKING:
    from pbs_fast.matching.rewrite.output import Output

_TIME = rb"[0-9]{2}:[0-9]{2}:[0-9]{2}"
_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATED = rb"(" + BSD.encode() + rb"|" + ISO.encode() + rb")"
_PRI = rb"(?:<[0-9]{1,3}>)?"
#: Second 0 of TAI64 labels as 1970's: 10 s of TAI - UTC, which multilog, svlogd and s6-log all add and no leap second.
_TAI64 = (1 << 62) + 10
UNDATED_NOTE: Final = "no dates: live lines count as of their arrival, in a replay they grant nothing"


class Prefix:
    """A wrapper that is a pattern and what is made of its groups."""

    proves_starts = False
    escapes = False
    keeps_others = False

    def __init__(self, name: str, pattern: bytes, entry: Callable[[re.Match[bytes]], Entry | None]) -> None:
        self.name = name
        self._match = re.compile(pattern, re.DOTALL).fullmatch
        self._entry = entry

    def read(self, line: bytes) -> Entry | None:
        """See `Wrapper.read`."""
        m = self._match(line)
        return None if m is None else self._entry(m)


def _openwrt(m: re.Match[bytes]) -> Entry:
    return Entry(b"%s %s %s" % (m[1], m[3], m[2]), m[4], is_line=True, is_whole=True)


def _full(m: re.Match[bytes]) -> Entry | None:
    zone = m[3]
    if zone in (b"UTC", b"GMT"):
        zone = b"Z"
    elif zone[:1] in b"+-":
        zone = zone[:3] + b":" + (zone[3:].lstrip(b":") or b"00")
    else:
        # The machine's own zone, whose name says less than `log_timezone`.
        zone = b""
    return _sent(b"%sT%s%s" % (m[1], m[2], zone), m[4])


def _unix(m: re.Match[bytes]) -> Entry | None:
    return _sent(_epoch(int(m[1])), m[2])


def _monotonic(m: re.Match[bytes]) -> Entry | None:
    return _sent(b"", m[1])


def _sent(timestamp: bytes, text: bytes) -> Entry | None:
    m = SENDER.match(text)
    if m is None:
        return None
    if (unit := _UNIT.search(text, 0, m.end())) is not None:
        # `-o with-unit` writes the unit in the tag's place.
        text = text[: unit.start()] + unit_tags().get(unit[0], unit[0]) + text[unit.end() :]
    return Entry(timestamp, text, is_line=True, is_whole=True)


def _tai64(m: re.Match[bytes]) -> Entry | None:
    second = int(m[1], 16) - _TAI64
    return Entry(_epoch(second), m[2]) if 0 <= second < 1 << 36 else None


def _epoch(second: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)).encode()


def _relayed(m: re.Match[bytes]) -> Entry | None:
    text = m[2]
    if text.startswith(b"1 "):
        # A relay that knows RFC 5424 only as text took the priority off.
        text = b"<22>" + text
    return Entry(m[1], text)


def _twice(m: re.Match[bytes]) -> Entry | None:
    first, second = m[2].lower(), m[3].lower()
    same = first == second or first.startswith(second + b".") or second.startswith(first + b".")
    return Entry(m[1], m[3] + b" " + m[4], is_line=True, is_whole=True) if same else None


_UNIT = re.compile(rb"(?<= )[^ \[:]+\.service(?=[\[:])")
_SENT = rb"([^ ]+ +[^ ]+:(?: .*)?)"
_UNMISTAKABLE: Final = (
    Prefix("TAI64N", rb"@(4[0-9a-f]{15})[0-9a-f]{8} (.*)", _tai64),
    Prefix(
        "svlogd",
        rb"([0-9]{4}-[0-9]{2}-[0-9]{2})[_T](" + _TIME + rb")\.[0-9]{5} +(.*)",
        lambda m: Entry(b"%sT%sZ" % (m[1], m[2]), m[3]),
    ),
    Prefix(
        "OpenWrt's logd",
        _DAY
        + rb" ("
        + _MONTH
        + rb" [ 0-9][0-9]) ("
        + _TIME
        + rb") ([0-9]{4}) (?:\[[0-9]+\.[0-9]+\] )?[a-z0-9]+\.[a-z0-9]+ ([^ ]+: .*)",
        _openwrt,
    ),
    Prefix(
        "journalctl -o short-full",
        _DAY
        + rb" ([0-9]{4}-[0-9]{2}-[0-9]{2}) ("
        + _TIME
        + rb")(?:\.[0-9]+)? ([A-Z]{2,5}|[+-][0-9]{2}(?::?[0-9]{2})?) "
        + _SENT,
        _full,
    ),
    Prefix("journalctl -o short-unix", rb"([0-9]{9,11})\.[0-9]{6} " + _SENT, _unix),
    # Line feeds of messages are written as they are there, so no line proves anything.
    Prefix(
        "journalctl -o export, which is not read: use -o json or follow journal:",
        rb"__CURSOR=.*",
        lambda _: Entry(b"", b"- export:", is_line=True, is_whole=True),
    ),
    Prefix(
        f"journalctl -o short-monotonic, {UNDATED_NOTE}",
        rb"\[ *[0-9]+\.[0-9]{6} *(?:<[ 0-9.]*>)?\] " + _SENT,
        _monotonic,
    ),
)
_DOUBLED: Final = Prefix("a timestamp before each line", _DATED + rb" {1,2}(.*)", lambda m: Entry(m[1], m[2]))
_SOCKLOG: Final = Prefix("socklog", rb"((?:[0-9A-Fa-f.:]{2,45}: )?[a-z0-9]+\.[a-z]+: .*)", lambda m: Entry(b"", m[1]))
_RELAY: Final = Prefix(
    "a relay's header before each line",
    _PRI + _DATED + rb" +[^ ]+ +(?=" + _PRI + _DATED.replace(b"(", b"(?:", 1) + rb" |(?:<[0-9]{1,3}>)?1 [0-9]{4}-)(.*)",
    _relayed,
)
_TWICE: Final = Prefix("the host written twice", _PRI + _DATED + rb" +([^ :]+) ([^ :]+) +([^ ]+:(?: .*)?)", _twice)
_NAMED = re.compile(rb"(?:\x1b\[[0-9;]*m)*([A-Za-z0-9][A-Za-z0-9_.-]*) +\| ?(?:\x1b\[[0-9;]*m)* ?(.*)", re.DOTALL)
_POD = re.compile(rb"\[pod/[^ /\]]+/([A-Za-z0-9_.-]+)\] (.*)", re.DOTALL)
#: A service's containers are numbered.
_NUMBER = re.compile(rb"[-_][0-9]+\Z")


class Service:
    """`docker compose logs` and `kubectl logs --prefix`: each line names its service or container.

    Only the lines of one service are read, that of the line which showed the layout: others are other programs.
    """

    proves_starts = False
    escapes = False
    keeps_others = False

    def __init__(self, tool: str, pattern: re.Pattern[bytes], service: bytes) -> None:
        self.name = f"{tool}, of {service.decode('ascii', 'replace')} only"
        self._pattern = pattern
        self._service = service

    def read(self, line: bytes) -> Entry | None:
        """See `Wrapper.read`."""
        m = self._pattern.fullmatch(line)
        if m is None:
            return None
        if _NUMBER.sub(b"", m[1]) != self._service:
            # Another's line does not go on in this one's next.
            return Entry(b"", b"", is_line=True, is_whole=True)
        # With the pod, of which several may have such a container.
        return Entry(b"", m[2], stream=line[: m.end(1)].decode("latin-1"))


_FOREIGN = re.compile(
    rb"(" + b"|".join(re.escape(name) for name in sorted(MONTHS, key=len, reverse=True)) + rb") +([0-9]{1,2}) "
    rb"((?:[0-9]{4} )?" + _TIME + rb"(?:[.,][0-9]{1,9})?) ([^ ]+ +[^ ]+:(?: .*)?)",
    re.DOTALL,
)


class Months:
    """Month names of another language; lines with English ones are read as they are, because some are the same."""

    name = "month names of another language"
    proves_starts = False
    escapes = False
    keeps_others = True

    def read(self, line: bytes) -> Entry | None:
        """See `Wrapper.read`."""
        m = _FOREIGN.fullmatch(line)
        if m is None or SENDER.match(m[4]) is None:
            return None
        return Entry(b"%s %2d %s" % (MONTHS[m[1]], int(m[2]), m[3]), m[4], is_line=True, is_whole=True)


MONTHS_WRAPPER: Final = Months()


def find_prefix(line: bytes, output: Output) -> Wrapper | None:
    """The wrapper that a line shows beyond doubt; None if it shows none."""
    for prefix in _UNMISTAKABLE:
        if prefix.read(line) is not None:
            return prefix
    for tool, pattern in (("docker compose logs", _NAMED), ("kubectl logs --prefix", _POD)):
        m = pattern.fullmatch(line)
        if m is not None and output.is_conclusive(m[2]):
            return Service(tool, pattern, _NUMBER.sub(b"", m[1]))
    for prefix in (_DOUBLED, _RELAY, _SOCKLOG):
        entry = prefix.read(line)
        # Without a second header it is a plain line, or none.
        if entry is not None and (prefix is _RELAY or _has_header(entry.text)) and output.is_conclusive(entry.text):
            return prefix
    twice = _TWICE.read(line)
    if twice is not None and SENDER.match(twice.text):
        return _TWICE
    return MONTHS_WRAPPER if MONTHS_WRAPPER.read(line) is not None else None


def _has_header(text: bytes) -> bool:
    return HEADER.match(text) is not None or text.startswith(b"<") or SOCKLOG.match(text) is not None
