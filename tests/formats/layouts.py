"""What stands around or before a line, as the real writers put it: each layout makes a line of a log from a text.

A layout is for *lines* (`HOST TAG: MESSAGE`, the layout has the timestamp) or for *outputs* (what a program wrote, with
its own header or none). `tests/rewrite/test_writers.py` holds some of them to the programs that write them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

ZONE = timezone(timedelta(hours=1))


@dataclass(frozen=True)
class Layout:
    name: str
    render: Callable[[datetime, str], str]
    """From the time and the text to a line."""
    of_lines: bool = False
    host: str | None = "mx"
    """What a login's host is; None: that of the text."""
    dated: bool = True
    """False if the text's own timestamp counts."""
    others: tuple[str, ...] = ()
    """Lines of other writers that the same log holds."""


def _bsd(time: datetime) -> str:
    return f"{time:%b} {time.day:2} {time:%H:%M:%S}"


def _utc(time: datetime, digits: int = 9) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{'123456789'[:digits]}Z"


def _tai64(time: datetime) -> str:
    return f"@{(1 << 62) + 10 + int(time.timestamp()):016x}075bcd15"


def _dumped(**record: Any) -> str:
    return json.dumps(record, separators=(",", ":"))


def _split(line: str) -> tuple[str, str, str, str]:
    """Host, tag, pid and message of `HOST TAG[PID]: MESSAGE`."""
    head, _, message = line.partition(": ")
    host, _, tag = head.partition(" ")
    tag, _, pid = tag.partition("[")
    return host, tag, pid.rstrip("]"), message


def _journal(time: datetime, line: str) -> str:
    host, tag, pid, message = _split(line)
    return _dumped(
        __CURSOR="s=1",
        __REALTIME_TIMESTAMP=str(int(time.timestamp()) * 1_000_000),
        _HOSTNAME=host,
        SYSLOG_IDENTIFIER=tag,
        _PID=pid,
        PRIORITY="6",
        MESSAGE=message,
    )


def _syslog_ng(time: datetime, line: str) -> str:
    host, tag, pid, message = _split(line)
    iso = time.strftime("%Y-%m-%dT%H:%M:%S+01:00")
    return _dumped(
        PROGRAM=tag, PRIORITY="info", PID=pid, MESSAGE=message, HOST=host, ISODATE=iso, DATE="Jan  1 00:00:00"
    )


def _rsyslog(time: datetime, line: str) -> str:
    host, tag, pid, message = _split(line)
    iso = time.strftime("%Y-%m-%dT%H:%M:%S.123456+01:00")
    names = {
        "timestamp": iso,
        "message": f" {message}",
        "host": host,
        "severity": "info",
        "syslog-tag": f"{tag}[{pid}]:",
    }
    return _dumped(**names)


def _jsonmesg(time: datetime, line: str) -> str:
    host, tag, pid, message = _split(line)
    iso = time.strftime("%Y-%m-%dT%H:%M:%S.123456+01:00")
    raw = f"<22>Jan  1 00:00:00 {tag}[{pid}]: {message}"
    return _dumped(
        msg=f" {message}",
        rawmsg=raw,
        timereported=iso,
        hostname=host,
        syslogtag=f"{tag}[{pid}]:",
        programname=tag,
        procid=pid,
    )


def _vector(time: datetime, line: str) -> str:
    host, tag, pid, message = _split(line)
    return _dumped(
        appname=tag, hostname=host, host="x", message=message, procid=pid, source_type="syslog", timestamp=_utc(time)
    )


def _fluent(time: datetime, line: str) -> str:
    host, tag, pid, message = _split(line)
    return _dumped(date=time.timestamp(), pri="22", host=host, ident=tag, pid=pid, message=message)


LAYOUTS = (
    # Lines, in front of which the layout has its timestamp.
    Layout("OpenWrt", lambda t, x: f"{t:%a %b} {t.day:2} {t:%H:%M:%S %Y} mail.info {x.partition(' ')[2]}", True, ""),
    Layout(
        "OpenWrt with milliseconds",
        lambda t, x: f"{t:%a %b} {t.day:2} {t:%H:%M:%S %Y} [{t.timestamp():.3f}] mail.info {x.partition(' ')[2]}",
        True,
        "",
    ),
    Layout("journalctl short-full", lambda t, x: f"{t:%a %Y-%m-%d %H:%M:%S} CET {x}", True),
    Layout("journalctl short-full, UTC", lambda t, x: f"{t.astimezone(UTC):%a %Y-%m-%d %H:%M:%S} UTC {x}", True),
    Layout("journalctl short-unix", lambda t, x: f"{int(t.timestamp())}.123456 {x}", True),
    Layout("other months", lambda t, x: f"Mär {t.day:2} {t:%H:%M:%S} {x}", True),
    Layout("host twice", lambda t, x: f"{_bsd(t)} mx.example.org {x}", True),
    Layout("journalctl json", _journal, True),
    Layout("journalctl json-sse", lambda t, x: f"data: {_journal(t, x)}", True),
    Layout("journalctl json-seq", lambda t, x: f"\x1e{_journal(t, x)}", True),
    Layout("syslog-ng json", _syslog_ng, True),
    Layout("rsyslog template", _rsyslog, True),
    Layout("rsyslog jsonmesg", _jsonmesg, True),
    Layout("vector syslog", _vector, True),
    Layout("fluent-bit syslog", _fluent, True),
    # Outputs of programs: the layout has the timestamp.
    Layout("docker logs -t", lambda t, x: f"{_utc(t)} {x}", host=None),
    Layout("TAI64N", lambda t, x: f"{_tai64(t)} {x}", host=None),
    Layout("svlogd -tt", lambda t, x: f"{t.astimezone(UTC):%Y-%m-%d_%H:%M:%S}.12345 {x}", host=None),
    Layout("svlogd -ttt", lambda t, x: f"{t.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.12345 {x}", host=None),
    Layout("s6-log T", lambda t, x: f"{t:%Y-%m-%d %H:%M:%S}.123456789  {x}", host=None),
    Layout("relay", lambda t, x: f"{_bsd(t)} relay {x}", host=None),
    Layout("relay, ISO", lambda t, x: f"{t:%Y-%m-%dT%H:%M:%S}+01:00 192.0.2.3 {x}", host=None),
    Layout("kubectl --prefix --timestamps", lambda t, x: f"[pod/mail-0/dovecot] {_utc(t)} {x}", host=None),
    Layout("compose -t", lambda t, x: f"mail-1  | {_utc(t)} {x}", host=None),
    Layout("vector file", lambda t, x: _dumped(file="/m", host="x", message=x, timestamp=_utc(t)), host=None),
    Layout("fluent-bit", lambda t, x: _dumped(date=t.timestamp(), log=x), host=None),
    Layout("fluent-bit out_file", lambda t, x: f"m.log: [{t.timestamp():.6f}, {_dumped(log=x)}]", host=None),
    # The text's own.
    Layout("compose", lambda _, x: f"mail-1      | {x}", host=None, dated=False, others=("web-1       | ",)),
    Layout(
        "compose, coloured",
        lambda _, x: f"\x1b[36mmail_1  |\x1b[0m {x}",
        host=None,
        dated=False,
        others=("\x1b[33mweb_1   |\x1b[0m ",),
    ),
    Layout("kubectl --prefix", lambda _, x: f"[pod/mail-0/dovecot] {x}", host=None, dated=False),
)
