"""Rewrites the lines of a source before they are scanned: wrappers and unusual timestamps become a plain timestamp.

For what container runtimes, supervisors, loggers and tools put around or before a line, for JSON records, and for
timestamps that a site describes (`logtime`). Line by line, one for one, so that line numbers stay; a new line is
`TIMESTAMP REST` as in docs/MATCHING.md, 2. One implementation for both backends.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.errors import ConfigError
from pbs_fast.formats.timestamps import BSD, ISO
from pbs_fast.matching.rewrite.containers import RUNTIMES
from pbs_fast.matching.rewrite.streams import Streams
from pbs_fast.matching.rewrite.wrapper import UNDATED, Shape
from pbs_fast.sources.lines import MAX_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pbs_fast.matching.rewrite.logtime import LogTime
    from pbs_fast.matching.rewrite.output import Output
    from pbs_fast.matching.rewrite.wrapper import Entry, Wrapper

__all__ = ["LOGTIME", "Lines", "Rewriter", "Shape", "read_logtime", "read_shape"]

LOGTIME: Final = "logtime"

_PRI = rb"(?:<[0-9]{1,3}>)?"
_INNER = re.compile(_PRI + rb"(?:" + BSD.encode() + rb"|" + ISO.encode() + rb")(?= )")


#: How plain lines begin, nearly always.
_ENGLISH = frozenset((b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"))
_OTHERS = b"0123456789<"
#: Bytes between two lines of a piece that are looked at for the name of a month, and the most that are.
_STEP, _SAMPLES = 1 << 12, 16


def read_logtime(text: str, where: str = "") -> LogTime:
    """A site's `logtime`. Raises ConfigError, which begins with `where`, for a text that is not a time format."""
    # Its patterns take 4 ms to compile, so they are compiled only when needed.
    from pbs_fast.matching.rewrite.logtime import LogTime

    return LogTime(text, where)


def read_shape(keys: Mapping[str, str | None], where: str = "") -> Shape | None:
    """The shape of a site's JSON records, from the keys of `[json]`; None if none is set.

    Raises ConfigError, which begins with `where`, without a message or a timestamp.
    """
    named = {name: (key,) for name, key in keys.items() if key is not None}
    if not named:
        return None
    if missing := [name for name in ("message", "timestamp") if name not in named]:
        raise ConfigError(f"{where}[json] does not name the key of the {missing[0]}; set json.{missing[0]}")
    return Shape("of [json]", **named)


class Lines(NamedTuple):
    """Rewritten lines, and where each starts, there and in the original."""

    data: bytes
    starts: array[int]
    originals: array[int]


class Rewriter:
    """The wrapper or unusual timestamps of one source. Not thread-safe."""

    def __init__(
        self,
        nested: Sequence[tuple[str, str]],
        logtime: LogTime | None = None,
        *,
        shape: Shape | None = None,
        wrapper: Wrapper | None = None,
        starts_whole: bool = False,
    ) -> None:
        """`nested` is that of the matcher. `shape` is that of a site's JSON records. `wrapper`, where given, is that of
        all lines, and none is looked for. `starts_whole`: the first entry of each stream is taken as a whole line.
        """
        self.logtime = logtime
        self.parts = 0
        """Entries that are no whole line, or not known to be one."""
        self.uses_logtime = False
        """Whether lines begin with timestamps of `logtime`, and have no wrapper."""
        self.wrapper = wrapper
        """None while lines are as they are."""
        self.undated = UNDATED
        """The timestamp of lines without one: when they arrived, while they are followed live."""
        self._fixed = wrapper
        self._shape = shape
        self._starts_whole = starts_whole
        self._streams = Streams()
        self._nested = nested
        self._made: Output | None = None

    @property
    def _output(self) -> Output:
        # For plain logs, this and the modules of most wrappers are not even imported.
        if self._made is None:
            from pbs_fast.matching.rewrite.output import Output

            self._made = Output(self._nested)
        return self._made

    @property
    def rewrites(self) -> bool:
        """Whether lines are not passed on as they are."""
        return self.wrapper is not None or self.uses_logtime

    @property
    def escapes(self) -> bool:
        """Whether the wrapper lets no line feed of a message through."""
        return self.wrapper is not None and self.wrapper.escapes

    @property
    def name(self) -> str | None:
        """What wraps the lines, for messages."""
        return self.wrapper.name if self.wrapper is not None else LOGTIME if self.uses_logtime else None

    def begin_file(self) -> None:
        """Another file of the source begins: its wrapper is to be found again. A line may go on in it all the same."""
        self.wrapper = self._fixed
        self.uses_logtime = False

    def doubt(self) -> None:
        """Unknown lines were skipped: the next entry may be the end of anything."""
        self._streams.lose()

    def find(self, line: bytes) -> bool:
        """Take the wrapper that a line, without its end, shows beyond doubt; False if it shows none."""
        if len(line) > MAX_LINE:
            return False
        from pbs_fast.matching.rewrite.prefixes import find_prefix
        from pbs_fast.matching.rewrite.records import find_records

        self.wrapper = next((each for each in RUNTIMES if each.read(line) is not None), None)
        self.wrapper = self.wrapper or find_records(line, self._shape)
        if self.wrapper is None and self.logtime is None:
            self.wrapper = find_prefix(line, self._output)
        return self.wrapper is not None

    def finds_months(self, data: bytes, start: int, stop: int) -> bool:
        """Take month names of another language as found if one of these plain lines has one; some are looked at.

        Names of some months are English ones too, so a source shows it late.
        """
        if self.logtime is not None:
            return False
        for at in _samples(data, start, stop):
            usual = data[at : at + 3] in _ENGLISH or data[at : at + 1] in _OTHERS
            if not usual and self._has_month(data, at, stop):
                return True
        return False

    def _has_month(self, data: bytes, at: int, stop: int) -> bool:
        from pbs_fast.matching.rewrite.prefixes import MONTHS_WRAPPER

        newline = data.find(b"\n", at, stop)
        if MONTHS_WRAPPER.read(data[at : min(stop if newline < 0 else newline, at + MAX_LINE)]) is None:
            return False
        self.wrapper = MONTHS_WRAPPER
        return True

    def lines(self, data: bytes, start: int, stop: int) -> Lines:
        """The lines data[start:stop], each of them rewritten or as it is."""
        out: list[bytes] = []
        starts, originals = array("q"), array("q")
        at, place = start, 0
        while at < stop:
            newline = data.find(b"\n", at, stop)
            end = stop if newline < 0 else newline + 1
            # An empty rest without a line end is no line.
            new = self._line(data[at:end]) or b"-"
            starts.append(place)
            originals.append(at - start)
            out.append(new)
            place += len(new)
            at = end
        return Lines(b"".join(out), starts, originals)

    def peek(self, line: bytes) -> bytes:
        """One line, without its end, as it would be if it were whole; nothing is remembered of it."""
        if self.wrapper is None:
            return self._restamped(line) if self.uses_logtime else line
        entry = self.wrapper.read(line)
        if entry is None:
            return line if self.wrapper.keeps_others else b""
        return self._unwrapped(entry)

    def _line(self, line: bytes) -> bytes:
        body = line.removesuffix(b"\n")
        end = line[len(body) :]
        if end and body.endswith(b"\r"):
            body, end = body[:-1], b"\r\n"
        wrapper = self.wrapper
        if wrapper is None:
            return line if len(body) > MAX_LINE else self._restamped(body) + end
        entry = wrapper.read(body)
        if len(body) > MAX_LINE:
            # No one says how such an entry ends: of some, the source hands on the beginning only.
            self._streams.lose()
            if entry is None or wrapper.proves_starts:
                return line
            # It stays too long, and its head tells whose next record may be its rest.
            return self._unwrapped(entry).ljust(MAX_LINE + 1, b"?") + end
        if entry is None:
            if wrapper.keeps_others:
                return line
            if body or wrapper.proves_starts:
                self._streams.lose()
            return end
        proves = wrapper.proves_starts and not self._starts_whole
        if not entry.is_whole and not self._streams.is_whole(entry, proves_starts=proves):
            self.parts += 1
            return end
        return self._unwrapped(entry) + end

    def _unwrapped(self, entry: Entry) -> bytes:
        if entry.is_line:
            return b"%s %s" % (entry.timestamp or self.undated, entry.text)
        found = None if self.logtime is None else self.logtime.head(entry.text)
        if found is not None:
            return b"%s %s" % (entry.timestamp or found[0], entry.text[found[1] :].lstrip(b" "))
        return self._output.line(entry, self.undated)

    def _restamped(self, line: bytes) -> bytes:
        found = None if self.logtime is None else self.logtime.head(line)
        if found is None:
            return line
        timestamp, end = found
        rest = line[end:].lstrip(b" ")
        if m := _INNER.match(rest):
            rest = rest[m.end() :].lstrip(b" ")
        return timestamp + b" " + rest


def _samples(data: bytes, start: int, stop: int) -> Iterator[int]:
    """Where some of the whole lines data[start:stop] begin, the first and the last among them."""
    yield start
    for near in range(start, stop, max(_STEP, (stop - start) // _SAMPLES)):
        at = data.find(b"\n", near, stop) + 1
        if 0 < at < stop:
            yield at
    last = data.rfind(b"\n", start, max(start, stop - 1)) + 1
    if last > start:
        yield last
