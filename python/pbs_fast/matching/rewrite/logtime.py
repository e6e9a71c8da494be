"""Timestamps that a site describes with `logtime`: a strptime format or a regular expression, at the start of a line.

A match is rewritten to a timestamp of docs/MATCHING.md, 2: ISO if it has a year, otherwise BSD. Each distinct text is
parsed once, so the lines of one second cost one look-up each. Names of months and days are English, as in logs; the
process's locale and time zone are not used.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Final

from pbs_fast.errors import ConfigError
from pbs_fast.formats.bounded import Way, compiled
from pbs_fast.formats.timestamps import BSD, ISO

REMEMBERED: Final = 1 << 14
"""Texts of timestamps; the memory is emptied at this size."""

LONGEST: Final = 512
"""Bytes of what `logtime` takes that are remembered; what a stranger wrote there may be 16 KiB."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBER_OF_MONTH: Mapping[str, int] = {name.lower(): i for i, name in enumerate(_MONTHS, 1)}
#: Each byte decides: names that begin alike are written as one, so that the patterns made of these are one-pass.
_MONTH = (
    r"(?i:J(?:an(?:uary)?|u(?:ne?|ly?))|Feb(?:ruary)?|Ma(?:r(?:ch)?|y)|A(?:pr(?:il)?|ug(?:ust)?)"
    r"|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_WEEKDAY = r"(?i:Mon(?:day)?|T(?:ue(?:sday)?|hu(?:rsday)?)|Wed(?:nesday)?|Fri(?:day)?|S(?:at(?:urday)?|un(?:day)?))"
_UNPADDED = r"[0-9][0-9]?"
_TWO = rf"(?: [0-9]|{_UNPADDED})"
_NUMERIC_ZONE = r"[+-][0-9]{2}(?::?[0-9]{2})?"

GROUPS: Final = ("year", "month", "day", "hour", "minute", "second", "zone", "epoch", "half")
#: strptime's directives -> patterns. `half` is the half of a day, am or pm.
_DIRECTIVES: Mapping[str, str] = {
    "a": _WEEKDAY,
    "A": _WEEKDAY,
    "b": f"(?P<month>{_MONTH})",
    "B": f"(?P<month>{_MONTH})",
    "h": f"(?P<month>{_MONTH})",
    "d": f"(?P<day>{_TWO})",
    "e": f"(?P<day>{_TWO})",
    "f": "[0-9]{1,9}",
    "H": f"(?P<hour>{_TWO})",
    "I": f"(?P<hour>{_TWO})",
    "m": f"(?P<month>{_TWO})",
    "M": "(?P<minute>[0-9]{2})",
    "p": r"(?P<half>(?i:[ap])\.?(?i:m)\.?)",
    "s": "(?P<epoch>[0-9]{1,11})",
    "S": "(?P<second>[0-9]{2})",
    "y": "(?P<year>[0-9]{2})",
    "Y": "(?P<year>[0-9]{4})",
    "z": f"(?P<zone>Z|{_NUMERIC_ZONE})",
    "Z": "(?P<zone>[A-Za-z]+)",
    "n": " +",
    "t": " +",
    "%": "%",
}
_SHORT: Mapping[str, str] = {"T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y", "F": "%Y-%m-%d", "r": "%I:%M:%S %p"}

_ISO = re.compile(ISO)
_BSD = re.compile(BSD)
#: What else a pattern's one capture may hold: padded as it likes, as ctime(3), date(1) and RFC 5322 write it.
_TEXTS = (
    re.compile(
        rf"(?:{_WEEKDAY} +)?(?P<month>{_MONTH}) +(?P<day>[0-9]{{1,2}}),?(?: +(?P<year>[0-9]{{4}}))? +"
        r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,][0-9]+)?"
    ),
    re.compile(
        rf"(?:{_WEEKDAY} +)?(?P<month>{_MONTH}) +(?P<day>[0-9]{{1,2}}) +"
        r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,][0-9]+)?"
        rf"(?: +(?P<zone>{_NUMERIC_ZONE}|[A-Za-z]+))? +(?P<year>[0-9]{{4}})"
    ),
    re.compile(
        rf"(?:{_WEEKDAY},? +)?(?P<day>[0-9]{{1,2}})[ -](?P<month>{_MONTH})[ -](?P<year>[0-9]{{4}}) +"
        r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,][0-9]+)?"
        rf"(?: +(?P<zone>{_NUMERIC_ZONE}|[A-Za-z]+))?"
    ),
    re.compile(
        r"(?P<year>[0-9]{4})[-/](?P<month>[0-9]{1,2})[-/](?P<day>[0-9]{1,2})[T_ ]+"
        r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,][0-9]+)?"
        rf" *(?P<zone>Z|{_NUMERIC_ZONE})?"
    ),
)


class LogTime:
    """One `logtime`, compiled. Not for several threads at once."""

    def __init__(self, text: str, where: str = "") -> None:
        """`text` is a strptime format when it holds a `%`, else a regular expression; errors begin with `where`.

        The expression has groups of the names in GROUPS (`epoch`, or month, day, hour and minute), or one capture whose
        text is a timestamp. Raises ConfigError for what is neither, and for what cannot be run in time that is bounded
        by a line's length.
        """
        self._text = text
        self._is_named = True
        try:
            pattern = compiled(_of_format(text) if "%" in text else text, Way.START)
        except ValueError as error:
            raise ConfigError(f"{where}logtime '{text}': {error}; {_HELP}") from None
        self._match = pattern.run
        self._places = dict(pattern.names)
        names = set(self._places)
        if unknown := sorted(names - set(GROUPS)):
            raise ConfigError(f"{where}logtime '{text}': unknown group {', '.join(unknown)}; {_HELP}")
        if not names:
            self._is_named = False
            if pattern.count != 1:
                raise ConfigError(f"{where}logtime '{text}': it has {pattern.count} captures, not one; {_HELP}")
        elif "epoch" not in names and not names >= {"month", "day", "hour", "minute"}:
            missing = [name for name in ("month", "day", "hour", "minute") if name not in names]
            raise ConfigError(f"{where}logtime '{text}': it does not tell {' and '.join(missing)}; {_HELP}")
        if self._match(b"") is not None:
            raise ConfigError(f"{where}logtime '{text}': it matches empty text; {_HELP}")
        self._known: dict[tuple[bytes | None, ...], bytes | None] = {}

    def head(self, line: bytes) -> tuple[bytes, int] | None:
        """The timestamp at a line's start in the matcher's own form, and where it ends; None when there is none."""
        m = self._match(line)
        if m is None:
            return None
        texts = m.groups()
        try:
            timestamp = self._known[texts]
        except KeyError:
            timestamp = self._read(texts)
            if m.end() <= LONGEST:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[texts] = timestamp
        return None if timestamp is None else (timestamp, m.end())

    def _read(self, texts: Sequence[bytes | None]) -> bytes | None:
        if self._is_named:
            found = {name: texts[place] for name, place in self._places.items()}
            return _timestamp({name: text.decode("latin-1") for name, text in found.items() if text is not None})
        text = (texts[0] or b"").decode("latin-1").strip(" ")
        if _ISO.fullmatch(text) or _BSD.fullmatch(text):
            return text.encode("latin-1")
        for pattern in _TEXTS:
            if m := pattern.fullmatch(text):
                return _timestamp({name: part for name, part in m.groupdict().items() if part is not None})
        return None


_HELP = "write a strptime format such as '%d/%b/%Y:%H:%M:%S %z', or a regular expression with groups (docs/FORMATS.md)"


def _of_format(text: str) -> str:
    """The pattern of a strptime format. Raises ValueError for a directive that is not known."""
    text = re.sub("%(.)", lambda short: _SHORT.get(short[1], short[0]), text)
    out = []
    at = 0
    while at < len(text):
        if text[at] == "%":
            name = text[at + 1 : at + 2]
            if name in _DIRECTIVES:
                out.append(_DIRECTIVES[name])
            else:
                known = " ".join(f"%{each}" for each in sorted((*_DIRECTIVES, *_SHORT)))
                raise ValueError(f"%{name} is not one of {known}")
            at += 2
        elif text[at] == " ":
            # As strptime(3): any number of blanks, so a padded day is found behind one, and its padding is among them.
            out.append(" +")
            at += len(text) - at - len(text[at:].lstrip(" "))
            if text[at : at + 1] == "%" and (after := _DIRECTIVES.get(text[at + 1 : at + 2])) is not None:
                out.append(after.replace(_TWO, _UNPADDED))
                at += 2
        else:
            out.append(re.escape(text[at]))
            at += 1
    return "".join(out)


def _timestamp(parts: Mapping[str, str]) -> bytes | None:
    """The text that the matcher reads as this date and time; None when there is no such text."""
    try:
        if "epoch" in parts:
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(parts["epoch"].partition(".")[0]))).encode()
        month_text = parts["month"].strip(" ")
        month = int(month_text) if month_text.isdigit() else _NUMBER_OF_MONTH[month_text[:3].lower()]
        day, hour, minute = int(parts["day"]), int(parts["hour"]), int(parts["minute"])
        second = int(re.split("[.,]", parts.get("second", "0"))[0])
        year = None if "year" not in parts else _year(parts["year"])
        zone = _zone(parts.get("zone", ""))
    except (ValueError, KeyError, OverflowError, OSError):
        return None
    if "half" in parts:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if parts["half"][0] in "pP" else 0)
    if not (1 <= month <= 12 and max(day, hour, minute, second) <= 99) or zone is None:
        return None
    clock = f"{hour:02}:{minute:02}:{second:02}"
    if year is None:
        # A timestamp without year can name no zone.
        return None if zone else f"{_MONTHS[month - 1]} {day:2} {clock}".encode()
    return f"{year:04}-{month:02}-{day:02}T{clock}{zone}".encode()


def _year(text: str) -> int:
    """As strptime(3): two digits are 1969 to 2068."""
    year = int(text)
    if len(text) == 2:
        return year + (1900 if year >= 69 else 2000)
    if year > 9999:
        raise ValueError(text)
    return year


def _zone(text: str) -> str | None:
    """`Z`, `+hh:mm`, or nothing for local time: a writer names its own zone. None for what is no zone."""
    if text in ("Z", "UTC", "GMT"):
        return "Z"
    if not text or text.isalpha():
        return ""
    if not re.fullmatch(_NUMERIC_ZONE, text):
        return None
    digits = text[1:].replace(":", "")
    return f"{text[0]}{digits[:2]}:{digits[2:] or '00'}"
