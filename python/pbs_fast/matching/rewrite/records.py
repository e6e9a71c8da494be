"""JSON lines: log records of rsyslog, syslog-ng, journalctl, fluent-bit, Vector and of a site's own making.

A *shape* says in which keys a record has its message, timestamp, program, host and process id. A source has one shape,
found from its first record that fits one; `[json]` of the configuration describes another one. A record with a key
twice is refused, because what two readers make of it may differ.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pbs_fast.formats.timestamps import BSD, ISO
from pbs_fast.matching.rewrite.wrapper import Entry, Shape

_DATED = re.compile(rf"{BSD}|{ISO}")
#: rsyslog's `date-mysql`. As milliseconds since 1970 it would be after the year 2286.
_DIGITS = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})")
_NUMBER = re.compile(r"[0-9]{9,19}(?:\.[0-9]+)?")
#: fluent-bit's out_file writes a tag and the timestamp before the record; journalctl `data:` and a record separator.
_FLUENT = re.compile(rb"[^ \"]+: \[([0-9]{9,11}(?:\.[0-9]+)?), (\{.*\})\]", re.DOTALL)
_BEFORE = re.compile(rb"(?:\x1e|data: )?(?= *\{)")
#: C0 and DEL, which a line of text does not hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TAG = re.compile(r"([^\x00-\x20\x7f:\[\]<>]{1,255})(?:\[([0-9]{1,16})\])?:?")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{0,254}[A-Za-z0-9_.-]")


#: What tells streams apart: journald's, and what Docker's drivers, fluent-bit, Vector and Beats say of a container.
_STREAM: Final = (
    *("_STREAM_ID", "CONTAINER_ID", "_PID", "stream", "source", "container_id", "container_name", "file"),
    *("container.id", "docker.container_id", "kubernetes.pod_name", "kubernetes.container_name", "log.file.path"),
)

SHAPES: Final = (
    Shape(
        "journal",
        ("MESSAGE", "message"),
        ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"),
        ("SYSLOG_IDENTIFIER", "_COMM"),
        ("_HOSTNAME",),
        ("_PID", "SYSLOG_PID"),
    ),
    Shape(
        "syslog-ng",
        ("MESSAGE", "MSG"),
        ("ISODATE", "R_ISODATE", "S_ISODATE", "UNIXTIME", "DATE", "R_DATE", "S_DATE", "TIMESTAMP"),
        ("PROGRAM",),
        ("HOST", "FULLHOST"),
        ("PID",),
    ),
    Shape(
        "program by itself",
        ("msg", "message", "MESSAGE", "log"),
        ("timereported", "timestamp", "@timestamp", "time", "timegenerated", "date", "datetime", "ts", "fluent"),
        (
            *("programname", "appname", "app-name", "app_name", "program", "ident", "SYSLOG_IDENTIFIER"),
            *("syslog_identifier", "process.name", "process", "syslogtag", "syslog-tag", "syslogTag", "tag"),
        ),
        ("hostname", "host", "host.name", "_HOSTNAME", "fromhost", "source"),
        ("procid", "proc_id", "pid", "process.pid", "_PID"),
    ),
    Shape(
        "lines of programs",
        ("message", "msg", "MESSAGE", "log"),
        ("timestamp", "@timestamp", "time", "date", "datetime", "ts", "fluent"),
    ),
)


class Records:
    """The records of one source, in one shape."""

    escapes = True
    keeps_others = False
    proves_starts = False

    def __init__(self, shape: Shape) -> None:
        self.name = f"JSON lines: {shape.name}"
        self._shape = shape

    def read(self, line: bytes) -> Entry | None:
        """See `Wrapper.read`."""
        record = parsed(line)
        return None if record is None else entry(record, self._shape)


def find_records(line: bytes, configured: Shape | None) -> Records | None:
    """The shape of a line that is a record; None if it is none."""
    record = parsed(line)
    if record is None:
        return None
    for shape in SHAPES if configured is None else (configured,):
        if entry(record, shape) is not None:
            return Records(shape)
    return None


def parsed(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None if it is none, or has a key twice."""
    fluent = _FLUENT.fullmatch(line)
    try:
        if fluent is not None:
            record = _loaded(fluent[2])
            return {**record, "fluent": fluent[1].decode()} if isinstance(record, dict) else None
        m = _BEFORE.match(line)
        record = None if m is None else _loaded(line[m.end() :])
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _loaded(data: bytes) -> Any:
    # rsyslog writes a stranger's bytes that are no UTF-8 as they are; what follows such a record is read nevertheless.
    return json.loads(data.decode("utf-8", "surrogateescape"), object_pairs_hook=_once)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


def entry(record: Mapping[str, Any], shape: Shape) -> Entry | None:
    """What a record says in this shape; None without a message, a timestamp and, if the shape has one, a program."""
    message = _message(_first(record, shape.message))
    timestamp = next(filter(None, (_timestamp(_first(record, (key,))) for key in shape.timestamp)), None)
    if message is None or timestamp is None:
        return None
    text = _CONTROL.sub(lambda control: f"#{ord(control[0]):03o}", message.rstrip("\r\n"))
    # As in `sources.journal.parts`: without a container, a stranger's `<3>` at the start of a part sets the priority.
    names = (*_STREAM, "PRIORITY") if "CONTAINER_ID" in record else _STREAM
    stream = "|".join(_word(_first(record, (name,))) for name in names)
    is_part = _is_part(record)
    if not shape.program:
        # Nothing names the program, so the message is a line with a header of its own.
        return Entry(timestamp, _encoded(text), stream=stream, is_part=is_part)
    program = _first(record, shape.program)
    tag = _TAG.fullmatch(program.strip(" ")) if isinstance(program, str) else None
    if tag is None:
        return None
    host, pid = _first(record, shape.host), tag[2] or _word(_first(record, shape.pid))
    named = host if isinstance(host, str) and _HOST.fullmatch(host) else "-"
    process = f"[{pid}]" if pid.isascii() and pid.isdigit() and len(pid) <= 16 else ""
    line = f"{named} {tag[1]}{process}: {text.removeprefix(' ')}"
    return Entry(timestamp, _encoded(line), is_line=True, stream=stream, is_part=is_part)


def _is_part(record: Mapping[str, Any]) -> bool:
    """Whether journald or a driver of Docker cut the record's line here (`sources.journal.parts`)."""
    if record.get("_LINE_BREAK", "eof") != "eof" or "CONTAINER_PARTIAL_MESSAGE" in record:
        return True
    # That of fluentd marks the last part, too (daemon/logger/fluentd in moby).
    return "partial_message" in record and record.get("partial_last") != "true"


def _word(value: Any) -> str:
    """A text or a number as text; what holds others is nothing."""
    return str(value) if isinstance(value, (str, int)) else ""


def _first(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    for key in keys:
        value = record.get(key)
        if value is None and "." in key:
            at: Any = record
            for part in key.split("."):
                at = at.get(part) if isinstance(at, dict) else None
            value = at
        if value not in (None, ""):
            return value
    return None


def _message(value: Any) -> str | None:
    """journalctl writes text that is no UTF-8 as an array of bytes."""
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else None


def _timestamp(value: Any) -> bytes | None:
    """A timestamp in the matcher's own form: of a text or fourteen digits, or of (milli-, micro-, nano-) seconds."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    text = str(value)
    if _DATED.fullmatch(text):
        return text.encode()
    digits = _DIGITS.fullmatch(text)
    if digits is not None:
        return "{}-{}-{}T{}:{}:{}".format(*digits.groups()).encode()
    if not _NUMBER.fullmatch(text):
        return None
    second = int(text.partition(".")[0])
    while second >= 1 << 36:
        second //= 1000
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)).encode()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape" if not _has_pairs(text) else "replace")


def _has_pairs(text: str) -> bool:
    """Whether it has halves of characters that no bytes are."""
    return any("\ud800" <= char < "\udc80" or "\udcff" < char <= "\udfff" for char in text)
