"""Renders a journal entry as one line of our own envelope: ISO timestamp in UTC, host, tag[pid], message.

    2026-11-22T10:15:00.123456+00:00 hub dovecot[71]: imap-login: Login: ...

Whatever the entry contains, the result is one line whose message starts where the server's did: control bytes are
escaped as rsyslog does (`#012` for a newline), an ambiguous host is left out, and an entry with an ambiguous tag is
rejected. Blanks at the message's end, which journald strips, are there: they count for a record's length, and a
stranger may fill one with them. The timestamp is _SOURCE_REALTIME_TIMESTAMP (sent, from the kernel), else the time when
it was stored.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from pbs_fast.sources.journal.export import Entry
from pbs_fast.sources.lines import MAX_LINE

CURSOR, STORED, SENT = b"__CURSOR", b"__REALTIME_TIMESTAMP", b"_SOURCE_REALTIME_TIMESTAMP"
IDENTIFIER, COMMAND, PID, GIVEN_PID = b"SYSLOG_IDENTIFIER", b"_COMM", b"_PID", b"SYSLOG_PID"
HOST, MESSAGE = b"_HOSTNAME", b"MESSAGE"
#: The datagram, where journald changed the message: it strips blanks at both ends (systemd.journal-fields(7)).
RAW = b"SYSLOG_RAW"
#: Fields that a line is made of.
FIELDS = (CURSOR, STORED, SENT, IDENTIFIER, COMMAND, PID, GIVEN_PID, HOST, MESSAGE, RAW)

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
#: docs/MATCHING.md, 2: NAME, without anything that could be part of a message.
_TAG = re.compile(rb"[^\x00-\x20\x7f:\[\]<>]{1,255}")
#: A host name, which cannot be mistaken for a tag or an address in brackets.
_HOST = re.compile(rb"[A-Za-z0-9_.-]{1,255}")
_NO_HOST = b"-"
_NUMBER = re.compile(rb"[0-9]{1,16}")
_MICROSECONDS = 1_000_000


class Renderer:
    """Renders entries; caches the last second's text, because most entries share it with the previous one."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def render(self, entry: Entry) -> bytes | str:
        """The line with its newline, or why there is none: `malformed` or `too_long`."""
        fields = entry.fields
        if (entry.repeated or entry.cut) and not ((entry.repeated | entry.cut) - {MESSAGE, RAW}).isdisjoint(FIELDS):
            return "malformed"
        message = fields.get(MESSAGE)
        stored = fields.get(STORED, b"")
        tag = fields.get(IDENTIFIER) or fields.get(COMMAND, b"")
        if message is None or MESSAGE in entry.repeated or not (_TAG.fullmatch(tag) and _NUMBER.fullmatch(stored)):
            return "malformed"
        if MESSAGE in entry.cut or RAW in entry.cut:
            return "too_long"
        message = message.rstrip(b"\r\n")
        if raw := fields.get(RAW, b"").rstrip(b"\r\n\x00"):
            message += raw[len(raw.rstrip(b" \t")) :]
        if _CONTROL.search(message):
            message = _CONTROL.sub(lambda match: b"#%03o" % match[0][0], message)
        host = fields.get(HOST, b"")
        if not _HOST.fullmatch(host):
            host = _NO_HOST
        pid = _pid(fields)
        line = b"%s %s %s%s: %s" % (self._timestamp(fields, stored), host, tag, pid, message)
        return b"%s\n" % line if len(line) <= MAX_LINE else "too_long"

    def _timestamp(self, fields: Mapping[bytes, bytes], stored: bytes) -> bytes:
        sent = fields.get(SENT, b"")
        second, rest = divmod(int(sent if _NUMBER.fullmatch(sent) else stored), _MICROSECONDS)
        if second != self._second:
            # 16 digits of microseconds end in the year 2286.
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%s.%06d+00:00" % (self._text, rest)


def same_entry(one: bytes | None, other: bytes | None) -> bool:
    """Do two cursors name the same entry? The file is ignored: journald moves entries from /run."""
    name = (one or b"").partition(b";b=")[2]
    return bool(name) and name == (other or b"").partition(b";b=")[2]


def _pid(fields: Mapping[bytes, bytes]) -> bytes:
    for name in (PID, GIVEN_PID):
        value = fields.get(name, b"")
        if _NUMBER.fullmatch(value):
            return b"[%s]" % value
    return b""
