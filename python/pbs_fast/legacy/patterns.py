"""Finds the formats of the catalogue that match the lines for which an old pattern was written.

A pattern is known if a backend reads the same address from plain examples of its lines, or if it matches sample lines
of a format with their addresses. If only the tag differs, it is added to the format. Examples that the catalogue
refuses are reported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from pbs_fast.formats import Format
from pbs_fast.formats.samples import load_samples
from pbs_fast.formats.wholeline import LOGTIME
from pbs_fast.legacy.examples import UnclearError, examples
from pbs_fast.matching import SYSLOG, Core, Matcher
from pbs_fast.matching.python.envelope import LINE, TAG

_STAMP = "Mar  4 07:12:09"
_ADDRESS = "203.0.113.9"
#: 2026-03-05, a day after the examples' stamp.
_REFERENCE = 1_772_668_800
#: How the address stood in patterns of IPv4's time: with what takes away the front of a mapped address, where it is.
_DOTTED = re.compile(
    r"(?:\[:f\]\*|\(\?:::ffff:\)\?|(?:::ffff:)\?)?"
    r"\((?:\\d\+|\\d\{1,3\}|\[0-9\]\+|\[\\d\]\+)(?:(?:\\\.|\[\.\])(?:\\d\+|\\d\{1,3\}|\[0-9\]\+|\[\\d\]\+)){3}\)"
)
#: Perl's spelling of what this engine spells in another way.
_SPELLINGS = (
    (re.compile(r"\\z|\\Z(?![\w])"), "$"),
    (re.compile(r"\(\?\^([a-wyz]*):"), lambda match: "(?i:" if "i" in match[1] else "(?:"),
    (re.compile(r"\\x([2-7][0-9A-Fa-f])"), lambda match: re.escape(chr(int(match[1], 16)))),
    (re.compile(r"\[\[:digit:\]\]"), "[0-9]"),
    (re.compile(r"\[\[:alpha:\]\]"), "[A-Za-z]"),
    (re.compile(r"\[\[:alnum:\]\]"), "[A-Za-z0-9]"),
    (re.compile(r"\[\[:space:\]\]"), r"\\s"),
)


class Known(NamedTuple):
    """What the catalogue has for a pattern."""

    formats: tuple[str, ...]
    tags: dict[str, tuple[str, ...]]
    """Format -> tags that the pattern takes and the format does not know."""
    refused: tuple[str, ...]
    """Examples that the pattern takes and the catalogue does not, on purpose."""


def modern(pattern: str) -> str:
    """A Perl pattern as this engine writes it, its IPv4 address as `{ip}`, which takes IPv6 too."""
    if pattern.startswith("(?i)"):
        pattern = f"(?i:{pattern[4:]})"
    for old, new in _SPELLINGS:
        pattern = old.sub(new, pattern)
    return _DOTTED.sub("{ip}", pattern, count=1)


class Recognizer:
    """Asks the matcher with all formats of the catalogue."""

    def __init__(self, core: Core, catalogue: Sequence[Format]) -> None:
        self._core = core
        self._formats = {each.name: each for each in catalogue}
        self._tags = list(dict.fromkeys(tag for each in catalogue for tag in (*each.program, *each.tls_program)))
        self._samples = load_samples()
        self._matcher: Matcher = core.Matcher(catalogue, [(-(1 << 60), 0)])

    def recognize(self, pattern: str, kind: str) -> Known | None:
        """What the catalogue has for a whole-line pattern, with `[LOGTIME]` and captures; None when it has nothing.

        `kind` is `login` or `logout`.
        """
        try:
            lines = list(_lines(pattern))
            by_samples = self._by_samples(pattern, kind)
        except (UnclearError, re.error):
            return None
        formats: dict[str, None] = {}
        tags: dict[str, dict[str, None]] = {}
        refused: list[str] = []
        for line in lines:
            found = self._event(line)
            if found is not None and found[:2] == (kind, _ADDRESS):
                formats[found[2]] = None
            elif found is not None and found[1] not in (None, _ADDRESS):
                return None  # it reads another address: they do not mean the same
            elif renamed := self._with_another_tag(line, kind):
                tags.setdefault(renamed[0], {})[renamed[1]] = None
            else:
                refused.append(line)
        names = dict.fromkeys((*formats, *by_samples, *tags))
        if not names:
            return None
        return Known(tuple(names), {name: tuple(added) for name, added in tags.items()}, tuple(refused))

    def sessions_of(self, tag: str) -> tuple[str, ...]:
        """The formats that join several lines of this tag into sessions."""
        return tuple(name for name, fmt in self._formats.items() if fmt.session_address and tag in fmt.program)

    def _by_samples(self, pattern: str, kind: str) -> tuple[str, ...]:
        """The formats of whose sample lines the pattern takes some, with the right address."""
        search = re.compile(_stamped(pattern)).search
        found: dict[str, None] = {}
        for sample in self._samples:
            if sample.event != kind or len(sample.messages) > 1 or sample.ip is None:
                continue
            message = sample.messages[0]
            heads = [f"mx {sample.program}[5120]: ", f"mx {sample.program}: "]
            for line in [f"{_STAMP} {head}{message}" for head in heads] if not sample.own else [f"{_STAMP} {message}"]:
                match = search(line)
                # What the pattern takes for the address is its last capture; mapped IPv4 may have its front left out.
                if (
                    match is not None
                    and match.lastindex
                    and match[match.lastindex] in (sample.ip, f"::ffff:{sample.ip}")
                ):
                    found[sample.format] = None
        return tuple(found)

    def _event(self, line: str) -> tuple[str, str | None, str] | None:
        data = line.encode() + b"\n"
        layout = self._matcher.sniff(data) or SYSLOG
        stream = self._core.Stream(self._matcher, source="", gap=0, fold=False)
        for event in stream.events(self._matcher.scan(data, layout=layout, reference=_REFERENCE)):
            if event.kind != "missed":
                return event.kind, event.ip, event.format
        return None

    def _with_another_tag(self, line: str, kind: str) -> tuple[str, str] | None:
        """(format, the line's tag) where the line is one of this format alone but for its tag, which no format has.

        Where two servers write such lines, or the tag is one that a format knows and refuses the line of, the rules of
        the tag's own server count: Courier's POP3 lines under the tag of its IMAP server are what a forger writes.
        """
        envelope = LINE.match(line.encode())
        if envelope is None or envelope[TAG] is None:
            return None
        begin, end = envelope.span(TAG)
        tag = line[begin:end]
        if tag in self._tags or f"*/{tag.rpartition('/')[2]}" in self._tags:
            return None
        found = {
            event[2]
            for own in self._tags
            if "*" not in own
            and (event := self._event(line[:begin] + own + line[end:]))
            and event[:2] == (kind, _ADDRESS)
        }
        return (found.pop(), tag) if len(found) == 1 else None


def _stamped(pattern: str) -> str:
    return pattern.replace(LOGTIME, f"({re.escape(_STAMP)})").replace("{ip}", "([0-9A-Fa-f:.]+)")


def _lines(pattern: str) -> list[str]:
    """Plain lines that a pattern takes, with a stamp and an address of ours."""
    text = _stamped(pattern)
    return list(examples(text, {1: _STAMP, 2: _ADDRESS} if re.compile(text).groups > 1 else {1: _ADDRESS}))
