"""Looks at the lines of a source that no format applies to, and says why none does.

The backends only count such lines as `other`, at full speed. A Census looks at some of them one by one, with the exact
grammar (2 µs a line): `match` at the first lines of each piece, the daemon at a bounded number a second. So what it
counts are lines that it looked at. One implementation for both backends; memory is bounded for any forged tags.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.formats.tags import KnownTags
from pbs_fast.matching.protocol import SYSLOG
from pbs_fast.matching.python.envelope import LINE, envelope_of
from pbs_fast.util.text import plural, printable

if TYPE_CHECKING:
    from pbs_fast.formats import Format
    from pbs_fast.matching.reader import Reader

#: Tags that are counted at the same time; any tag of at least one in so many lines is among them (see `TagCounts`).
MAX_TAGS: Final = 64
#: Bytes of a tag, and of a sample line, that are kept.
LONGEST_TAG: Final = 64
LONGEST_SAMPLE: Final = 300
#: Characters of a sample line that are shown.
_SHOWN: Final = 160
#: What to do about a log that holds nothing.
NAME_THE_LOG: Final = "name the log of your POP or IMAP server"
#: Tags that are named.
_NAMED: Final = 3

#: A time of day, seconds since the epoch or TAI64N: some kind of timestamp.
_SOME_TIMESTAMP = re.compile(rb"[0-9]{1,2}:[0-9]{2}|\b1[0-9]{9}\b|@4[0-9a-f]{15}")
#: In a known server's lines, what a line about a login usually contains.
_ABOUT_LOGIN = re.compile(rb"(?i)log(?:ged)?[ -]?(?:in|on)\b|proxying|authenticated")


class Unread(NamedTuple):
    """Why the lines of a source bring no login."""

    code: str
    """`no_lines`, `no_timestamp`, `no_layout`, `no_known_tag` or `no_login`."""
    what: str
    """What was found, in words that continue a sentence after the log's name."""
    sample: str
    """One of the lines, printable; "" if there is none."""
    remedy: str
    """What to do."""

    def sentence(self) -> str:
        """All of it in one line."""
        return f"{self.what}{f'; for example: {self.sample}' if self.sample else ''}; {self.remedy}"


class _Tag:
    __slots__ = ("lines", "sample")

    def __init__(self, lines: int, sample: bytes) -> None:
        self.lines, self.sample = lines, sample


class TagCounts:
    """The most frequent tags, by the Space-Saving method (Metwally and others, 2005): a new tag takes the place, and
    the count, of the least frequent one. So a count is never too low, and too high by at most lines / MAX_TAGS."""

    def __init__(self) -> None:
        self._tags: dict[bytes, _Tag] = {}

    def __len__(self) -> int:
        return len(self._tags)

    def add(self, tag: bytes, line: bytes) -> None:
        """Count one line with this tag."""
        tag = tag[:LONGEST_TAG]
        if (known := self._tags.get(tag)) is not None:
            known.lines += 1
            return
        lines = 1
        if len(self._tags) >= MAX_TAGS:
            least = min(self._tags, key=lambda each: self._tags[each].lines)
            lines += self._tags.pop(least).lines
        self._tags[tag] = _Tag(lines, line[:LONGEST_SAMPLE])

    def most_frequent(self) -> list[tuple[str, int, str]]:
        """Up to three tags with their lines and the first line of each, printable."""
        found = sorted(self._tags.items(), key=lambda item: -item[1].lines)[:_NAMED]
        return [(_text(tag), counted.lines, shown(counted.sample)) for tag, counted in found]


class Census:
    """The lines of one source that were looked at, by what keeps them from being read. Not for several threads."""

    def __init__(self, formats: Iterable[Format]) -> None:
        """`formats` are those that the source's lines are matched with."""
        self._known_tags = KnownTags(tag for each in formats for tag in (*each.program, *each.tls_program))
        self.lines = 0
        """Lines looked at, without empty ones."""
        self.headless = 0
        """Those without an envelope of the source's layout."""
        self.known = 0
        """Those of a known server: with its tag, or in its own log."""
        self.unknown_tags = TagCounts()
        self.known_tags = TagCounts()
        self.file_lines = self.file_headless = 0
        """As `lines` and `headless`, of the file that is being read."""
        self._headless_sample = b""
        self._known_sample = b""
        self._known_is_telling = False

    @property
    def unknown(self) -> int:
        """Lines with an envelope and the tag of no known server."""
        return self.lines - self.headless - self.known

    def begin_file(self) -> None:
        """Another file of the source begins."""
        self.file_lines = self.file_headless = 0
        self._headless_sample = b""

    def look(
        self,
        reader: Reader,
        data: bytes,
        start: int,
        stop: int,
        reference: int,
        most: int,
        understood: Container[int] = (),
    ) -> int:
        """Look at the first lines of data[start:stop], which `reader` has read; returns how many, at most `most`.

        `understood` are the places in `data` of lines that are known to carry an event, whatever their tag.
        """
        looked = 0
        while start < stop and looked < most:
            newline = data.find(b"\n", start, stop)
            end = stop if newline < 0 else newline
            line = data[start:end].removesuffix(b"\r")
            if line:
                looked += 1
                if start in understood:
                    self.lines += 1
                    self.file_lines += 1
                    self.known += 1
                else:
                    self._line(reader, line, reference)
            start = end + 1
        return looked

    def _line(self, reader: Reader, line: bytes, reference: int) -> None:
        text, layout = reader.plain(line)
        if not text:
            # A part of an entry that a container's runtime cut.
            return
        self.lines += 1
        self.file_lines += 1
        if layout != SYSLOG:
            if reader.timestamp_of(text, layout, reference) is not None:
                self._is_known(layout.encode(), line)
                return
        elif (m := LINE.match(text)) is not None:
            tag = envelope_of(m).tag or b"-"
            if tag in self._known_tags:
                self._is_known(tag, line)
            else:
                self.unknown_tags.add(tag, line)
            return
        self.headless += 1
        self.file_headless += 1
        self._headless_sample = self._headless_sample or line[:LONGEST_SAMPLE]

    def _is_known(self, tag: bytes, line: bytes) -> None:
        self.known += 1
        self.known_tags.add(tag, line)
        if not self._known_is_telling:
            self._known_is_telling = _ABOUT_LOGIN.search(line) is not None
            if self._known_is_telling or not self._known_sample:
                self._known_sample = line[:LONGEST_SAMPLE]

    def headless_reason(self) -> Unread:
        """Why the lines of this file that have no envelope have none."""
        sample = self._headless_sample
        if _SOME_TIMESTAMP.search(sample) is None:
            return Unread(
                "no_timestamp",
                f"{share(self.file_headless, self.file_lines, 'has', 'have')} no timestamp",
                shown(sample),
                "have the server log through syslog, or follow the journal (--watchlog=journal:)",
            )
        return Unread(
            "no_layout",
            f"{share(self.file_headless, self.file_lines, 'does', 'do')} not begin like a line of any known log",
            shown(sample),
            "describe their timestamps with logtime, or have the server log through syslog (docs/FORMATS.md)",
        )

    def reason(self) -> Unread:
        """Why no line brought a login, if none did."""
        if not self.lines:
            return Unread("no_lines", "all lines are empty or too long", "", NAME_THE_LOG)
        if self.headless * 2 > self.lines:
            return self.headless_reason()
        if not self.known:
            return Unread(
                "no_known_tag",
                f"no line has the tag of a known server (most frequent: {named(self.unknown_tags)})",
                self.unknown_tags.most_frequent()[0][2],
                'if one of these tags is your server\'s, add it with [formats.NAME] program = ["TAG"]; if not, name '
                "the log that your POP or IMAP server writes (docs/FORMATS.md)",
            )
        return Unread(
            "no_login",
            f"lines of a known server ({named(self.known_tags)}), but none is a login or the end of a session",
            shown(self._known_sample),
            "if one of them is, its wording is not known: write a [[format]] for it (docs/FORMATS.md) and report it",
        )


def share(count: int, lines: int, one: str, many: str) -> str:
    """`2 of 7 lines have`, `1 of 7 lines has`, `the only line has`, from the verb's two forms."""
    subject = "the only line" if count == lines == 1 else f"{count:,} of {plural(lines, 'line')}"
    return f"{subject} {one if count == 1 else many}"


def named(tags: TagCounts) -> str:
    """The three most frequent tags with their lines, `postfix/smtpd 70, dovecot 12`."""
    return ", ".join(f"{tag} {lines}" for tag, lines, _ in tags.most_frequent())


def shown(line: bytes) -> str:
    """A line as it is shown: printable, and not too long."""
    text = _text(line)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _text(data: bytes) -> str:
    return printable(data.decode("utf-8", "replace"))
