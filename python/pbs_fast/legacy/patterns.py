"""Finds the formats of the catalogue that match the lines for which an old pattern was written.

A pattern is known if a backend reads the same address from plain examples of its lines, or if it matches sample lines
of a format with their addresses. If only the tag differs, it is added to the format. Examples that the catalogue
refuses are reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pbs_fast.formats import Format
from pbs_fast.formats.ends import session_ends
from pbs_fast.formats.placeholders import expand
from pbs_fast.formats.samples import load_samples
from pbs_fast.formats.wholeline import LOGTIME
from pbs_fast.legacy.examples import UnclearError, examples
from pbs_fast.legacy.nested import nested
from pbs_fast.legacy.spelling import spelled
from pbs_fast.matching import SYSLOG, Backend, Matcher
from pbs_fast.matching.python.envelope import LINE, TAG

_STAMP = "Mar  4 07:12:09"
_ADDRESS = "203.0.113.9"
#: 2026-03-05, a day after the examples' timestamp.
_REFERENCE = 1_772_668_800
#: How old patterns match an IPv4 address, with or without an optional `::ffff:` in front.
_DOTTED = re.compile(
    r"(?:\[f:\]\*|\(\?:::ffff:\)\?|(?:::ffff:)\?)?"
    r"\((?:\\d\+|\\d\{1,3\}|\[0-9\]\+|\[\\d\]\+)(?:(?:\\\.|\[\.\])(?:\\d\+|\\d\{1,3\}|\[0-9\]\+|\[\\d\]\+)){3}\)"
)


class Known(NamedTuple):
    """What the catalogue has for a pattern."""

    formats: tuple[str, ...]
    tags: dict[str, tuple[str, ...]]
    """Format -> tags that the pattern takes and the format does not know."""
    refused: tuple[str, ...]
    """Examples that the pattern takes and the catalogue does not, on purpose."""
    foreign: tuple[str, ...]
    """Examples of programs that the catalogue does not know."""
    beyond: tuple[str, ...]
    """Sample lines of the formats that the pattern does not take."""
    samples: int
    """How many there are of them."""


def modern(pattern: str) -> str:
    """A Perl pattern as this engine writes it, its IPv4 address as `{ip}`, which takes IPv6 too."""
    try:
        pattern = spelled(pattern)
    except ValueError:
        return pattern
    return _DOTTED.sub("{ip}", pattern, count=1)


class Recognizer:
    """Asks the matcher with all formats of the catalogue."""

    def __init__(self, core: Backend, catalogue: Sequence[Format]) -> None:
        self._core = core
        self._formats = {each.name: each for each in catalogue}
        self._tags = list(dict.fromkeys(tag for each in catalogue for tag in (*each.program, *each.tls_program)))
        self._samples = load_samples()
        self._matcher: Matcher = core.Matcher(catalogue, [(-(1 << 60), 0)])

    def recognize(self, pattern: str, kind: str) -> Known | None:
        """What the catalogue has for a whole-line pattern, with `[LOGTIME]` and captures; None when it has nothing.

        `kind` is `login` or `logout`.
        """
        if nested(pattern):
            return None  # Python's re may take for ever on one line
        try:
            lines = list(_lines(pattern))
            by_samples = self._by_samples(pattern, kind)
        except (UnclearError, re.error):
            return None
        formats: dict[str, None] = {}
        tags: dict[str, dict[str, None]] = {}
        refused: list[str] = []
        foreign: list[str] = []
        for line in lines:
            found = self._event(line)
            if found is not None and found[:2] == (kind, _ADDRESS):
                formats[found[2]] = None
            elif found is not None and found[1] not in (None, _ADDRESS):
                return None  # it reads another address: they do not mean the same
            elif renamed := self._with_another_tag(line, kind):
                tags.setdefault(renamed[0], {})[renamed[1]] = None
            elif self._is_foreign(line, kind):
                foreign.append(line)
            else:
                refused.append(line)
        names = dict.fromkeys((*formats, *by_samples, *tags))
        if not names:
            return None
        beyond, samples = self._beyond(pattern, names)
        added = {name: tuple(found) for name, found in tags.items()}
        return Known(tuple(names), added, tuple(refused), tuple(foreign), beyond, samples)

    def sessions_of(self, tags: Sequence[str], steps: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], list[str]]:
        """The formats that join several lines of these tags, and which of their sample successes the steps do not take.

        None where the steps take none of them: the server of that name writes other lines.
        """
        names: list[str] = []
        beyond: list[str] = []
        for name, fmt in self._formats.items():
            if not fmt.session_address or not set(tags) <= set(fmt.program):
                continue
            wanted = [re.compile(expand(steps[key][0])) for key in ("address", "success")]
            found = [
                (sample.messages[-1], all(any(each.fullmatch(text) for text in sample.messages) for each in wanted))
                for sample in self._samples
                if sample.format == name and sample.event == "login" and len(sample.messages) > 1
            ]
            if any(taken for _, taken in found):
                names.append(name)
                beyond += [message for message, taken in found if not taken]
        return tuple(names), beyond

    def with_ends(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of some formats whose sessions are counted."""
        return tuple(name for name in names if name in session_ends(self._formats.values()))

    def _beyond(self, pattern: str, names: Mapping[str, None]) -> tuple[tuple[str, ...], int]:
        """Sample logins of these formats that the pattern does not take, and how many samples there are."""
        search = re.compile(_stamped(pattern)).search
        lines = [
            f"{_STAMP} {message}" if sample.own else f"{_STAMP} mx {sample.program}[5120]: {message}"
            for sample in self._samples
            if sample.event == "login" and sample.format in names
            for message in sample.messages[-1:]
        ]
        return tuple(line for line in lines if search(line) is None), len(lines)

    def _is_foreign(self, line: str, kind: str) -> bool:
        """Whether the line is of a program that no format knows, in words that none knows either."""
        envelope = LINE.match(line.encode())
        if envelope is None or envelope[TAG] is None:
            return not any(fmt.own_probe for fmt in self._formats.values())
        tag = envelope[TAG].decode()
        if tag in self._tags or f"*/{tag.rpartition('/')[2]}" in self._tags:
            return False
        begin, end = envelope.span(TAG)
        others = (line[:begin] + own + line[end:] for own in self._tags if "*" not in own)
        return not any(found is not None and found[0] == kind for found in map(self._event, others))

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
    """Plain lines that a pattern takes, with a timestamp and an address of ours."""
    text = _stamped(pattern)
    return list(examples(text, {1: _STAMP, 2: _ADDRESS} if re.compile(text).groups > 1 else {1: _ADDRESS}))
