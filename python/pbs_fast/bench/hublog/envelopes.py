"""How writers put timestamp, host, tag and pid before a message: one function an envelope.

Each takes a machine's clock in seconds since the epoch and returns whole lines. Timestamps without a zone are UTC: read
the log with `--log-timezone=UTC`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

#: (timestamp, host, tag, pid or 0, message) -> line without newline
Envelope = Callable[[float, str, str, int, str], str]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Second:
    """One text a second, made when the second changes: formatting timestamps is else a third of all work."""

    __slots__ = ("_make", "_second", "_text")

    def __init__(self, make: Callable[[time.struct_time], str]) -> None:
        self._make = make
        self._second = -1
        self._text = ""

    def __call__(self, second: int) -> str:
        if second != self._second:
            self._second = second
            self._text = self._make(time.gmtime(second))
        return self._text


def _bsd(t: time.struct_time) -> str:
    return f"{_MONTHS[t.tm_mon - 1]} {t.tm_mday:2d} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"


def _bsd_year(t: time.struct_time) -> str:
    return f"{_MONTHS[t.tm_mon - 1]} {t.tm_mday:2d} {t.tm_year} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"


def _date(t: time.struct_time) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", t)


def _iso(t: time.struct_time) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", t)


def _tag(tag: str, pid: int) -> str:
    return f"{tag}[{pid}]:" if pid else f"{tag}:"


def _rfc3164(
    form: Callable[[time.struct_time], str] = _bsd, before: str = "", after: str = "", start: str = ""
) -> Envelope:
    second = _Second(form)

    def line(timestamp: float, host: str, tag: str, pid: int, message: str) -> str:
        return f"{before}{second(int(timestamp))} {host} {after}{_tag(tag, pid)} {start}{message}"

    return line


def _freebsd() -> Envelope:
    second = _Second(_bsd)

    def line(timestamp: float, host: str, tag: str, pid: int, message: str) -> str:
        return f"{second(int(timestamp))} <mail.info> {host} {_tag(tag, pid)} {message}"

    return line


def _rfc3339(zone: str, east: int, digits: int) -> Envelope:
    second = _Second(_iso)

    def line(timestamp: float, host: str, tag: str, pid: int, message: str) -> str:
        whole = int(timestamp)
        fraction = f".{int((timestamp - whole) * 10**digits):0{digits}d}" if digits else ""
        return f"{second(whole + east)}{fraction}{zone} {host} {_tag(tag, pid)} {message}"

    return line


def _rfc5424(zone: str, east: int, data: str) -> Envelope:
    second = _Second(_iso)

    def line(timestamp: float, host: str, tag: str, pid: int, message: str) -> str:
        whole = int(timestamp)
        fraction = int((timestamp - whole) * 1_000_000)
        # RFC 5424 writers end the application's name at a slash.
        app = tag.partition("/")[0]
        return f"<22>1 {second(whole + east)}.{fraction:06d}{zone} {host} {app} {pid or '-'} - {data} {message}"

    return line


ENVELOPES: dict[str, Callable[[], Envelope]] = {
    "rfc3164": _rfc3164,
    "rfc3164-pri": lambda: _rfc3164(before="<22>"),
    "rfc3164-year": lambda: _rfc3164(_bsd_year),
    "rfc3339": lambda: _rfc3339("+01:00", 3600, 6),
    "rfc3339-utc": lambda: _rfc3339("Z", 0, 3),
    "rfc5424": lambda: _rfc5424("+01:00", 3600, "- "),
    "rfc5424-sd": lambda: _rfc5424("-05:00", -18000, '[meta sequenceId="5"]'),
    "date-time": lambda: _rfc3164(_date, after="mail.info "),
    "busybox": lambda: _rfc3164(after="mail.info "),
    "freebsd": _freebsd,
    "solaris": lambda: _rfc3164(start="[ID 197553 mail.info] "),
    "short-iso": lambda: _rfc3339("+0530", 19800, 0),
}
