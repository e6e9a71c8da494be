"""What Postfix's lines say about a message: who brought it, who sent it, where it went (docs/MATCHING.md, 9)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pbs_fast.matching.postfix import CLIENT, FILTERED, GREETING, NAMED, SENT, SESSION, PostfixLine
from pbs_fast.matching.python.literals import Literals

if TYPE_CHECKING:
    from pbs_fast.matching.python.catalogue import Matcher

_TEXTS = (b"client=", b"to=<", b"disconnect from ", b"reject: ", b"info: DATA from ")
_CLIENT, _TO, _DISCONNECT, _REJECT, _ = range(len(_TEXTS))

_SASL = re.compile(rb", sasl_username=(.*?)(?=, (?:sasl_sender|orig_queue_id|orig_client)=|$)")
_ORIGINAL_ID = re.compile(rb", orig_queue_id=([0-9A-Za-z]+)")
_ORIGINAL_CLIENT = re.compile(rb", orig_client=[^\[\]]*\[([0-9A-Fa-f:.]+)\]")
_RELAY = re.compile(rb">, (?:orig_to=<.*>, )?relay=(?:(none)|[^\[\], ]*\[([0-9A-Fa-f:.]+)\]:[0-9]+),")
_QUEUED_AS = re.compile(rb"queued as ([0-9A-Za-z]+)\)?\s*$")
_LOGIN = re.compile(
    rb"]: pbs-fast: login=(?P<user>.*?)(?: \((?P<more>[0-9]+) more\))?(?: since=[0-9:]+)?"
    rb"; from=<.* helo=<(?P<helo>.*)>$"
)
_HELO = re.compile(rb" helo=<(.*)>$")
_LOOPBACK = re.compile(rb"127\.|::1$")

#: A PostfixLine without its second.
_Said = tuple[int, bytes, str, str | None, bytes | None, str, bool]


class PostfixLines:
    """`protocol.PostfixLines`."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._literals = Literals(_TEXTS)

    def lines(self, data: bytes, *, start: int, stop: int, layout: str, reference: int) -> PostfixScan:
        timestamp = partial(self._matcher.timestamp, layout=layout, reference=reference)
        # An unknown layout is an error now, not at the first line.
        timestamp(b"")
        return PostfixScan(data, self._literals.lines(data, start, stop), timestamp)


class PostfixScan:
    """`protocol.PostfixScan`."""

    def __init__(
        self, data: bytes, found: list[tuple[int, int, int, int]], timestamp: Callable[[bytes], int | None]
    ) -> None:
        self._data = data
        self._found = found
        self._timestamp = timestamp

    def said(self, wanted: Callable[[str], bool]) -> list[PostfixLine]:
        data = self._data
        said: list[PostfixLine] = []
        second: int | None = None
        for which, start, at, end in self._found:
            if which == _TO:
                line = _sent(data, start, at, end)
            else:
                opens = data.find(b"[", at, end)
                closes = data.find(b"]", opens, end)
                if opens < 0 or closes < 0:
                    continue
                ip = data[opens + 1 : closes]
                if which == _CLIENT and closes + 1 < end:
                    line = _more(data, start, at, end, ip, closes + 1, wanted)
                elif not _is_address(ip) or not wanted(text := ip.decode("ascii")):
                    # Nearly all lines are: nothing else of them is looked at.
                    continue
                elif which == _CLIENT:
                    line = _client(data, start, at, text)
                elif which == _DISCONNECT:
                    line = _session(data, start, at, end, text)
                elif which == _REJECT:
                    line = _greeting(data, start, at, end, text)
                else:
                    line = _named(data, start, at, end, text)
            if line is None:
                continue
            if second is None or which == _CLIENT:
                own = self._timestamp(data[start:end])
                if own is None:
                    continue
                second = own
            said.append((second, *line))
        return said


def _client(data: bytes, start: int, at: int, ip: str) -> _Said | None:
    key = _key(data, start, at, b"/smtpd")
    return None if key is None else (CLIENT, key, ip, None, None, "", False)


def _more(
    data: bytes, start: int, at: int, end: int, ip: bytes, place: int, wanted: Callable[[str], bool]
) -> _Said | None:
    """A client with something behind its address, from this place on."""
    key = _key(data, start, at, b"/smtpd")
    if key is None:
        return None
    rest = data[place:end]
    user, original, forwarded = None, None, False
    if (sasl := _SASL.search(rest)) is not None:
        user = _text(sasl[1])
    if b", orig_" in rest:
        if (queue_id := _ORIGINAL_ID.search(rest)) is not None:
            original = key[: key.index(b" ") + 1] + queue_id[1]
        if (client := _ORIGINAL_CLIENT.search(rest)) is not None:
            ip, forwarded = client[1], True
    if not _is_address(ip):
        return None
    text = ip.decode("ascii")
    if user is None and original is None and not forwarded and not wanted(text):
        return None
    return CLIENT, key, text, user, original, "", forwarded


def _sent(data: bytes, start: int, at: int, end: int) -> _Said | None:
    # Nearly all recipients of a hub are local: their lines are of lmtp, virtual, local or pipe, without such a relay.
    found = _RELAY.search(data, at, end)
    key = None if found is None else _key(data, start, at, b"/smtp")
    if found is None or key is None:
        return None
    if found[2] is not None and _LOOPBACK.match(found[2]):
        new = _QUEUED_AS.search(data, found.end(), end)
        if new is None:
            return None
        return FILTERED, key, "", None, key[: key.index(b" ") + 1] + new[1], "", False
    return SENT, key, "", None, data[at + 4 : found.start()].lower(), "", False


def _session(data: bytes, start: int, at: int, end: int, ip: str) -> _Said | None:
    if data.find(b" mail=", at, end) < 0 or data.find(b" auth=", at, end) >= 0:
        return None
    pid = data.rfind(b"[", start, at)
    if pid < 0 or not data.endswith(b"/smtpd", start, pid) or not data.endswith(b"]: ", pid, at):
        return None
    if data.find(b": ", start, at) != at - 2:
        return None
    return SESSION, b"", ip, None, None, "", data.find(b" starttls=", at, end) >= 0


def _greeting(data: bytes, start: int, at: int, end: int, ip: str) -> _Said | None:
    helo = _HELO.search(data, at, end)
    if helo is None or _key(data, start, at, b"/smtpd") is None:
        return None
    return GREETING, b"", ip, None, None, _text(helo[1]), False


def _named(data: bytes, start: int, at: int, end: int, ip: str) -> _Said | None:
    key = _key(data, start, at, b"/smtpd")
    said = _LOGIN.search(data, at, end)
    if key is None or said is None or not said["user"]:
        return None
    has_more = bool((said["more"] or b"").strip(b"0"))
    return NAMED, key, ip, _text(said["user"]), None, _text(said["helo"]), has_more


def _key(data: bytes, start: int, at: int, daemon: bytes) -> bytes | None:
    """Host and queue id in front of a text of this daemon's, None where the line is not its."""
    colon = data.find(b": ", start, at)
    if colon == at - 2:
        return _rfc5424(data[start:colon])
    pid = data.rfind(b"[", start, colon)
    # `postfix/smtpd`, `postfix/submission/smtpd`, `out/smtpd`: syslog_name and the daemon's name.
    if pid < 0 or not data.endswith(b"]", pid, colon) or not data.endswith(daemon, start, pid):
        return None
    name = data[data.rfind(b" ", colon + 2, at - 2) + 1 or colon + 2 : at - 2]
    if not name.isalnum() or not _is_near(data, colon + 2, at - 2 - len(name)):
        return None
    tag = data.rfind(b" ", start, pid)
    if tag < 0:
        return None
    return data[data.rfind(b" ", start, tag) + 1 or start : tag + 1] + name


def _is_near(data: bytes, start: int, stop: int) -> bool:
    """Nothing, or what Solaris puts in front of a message, is in data[start:stop]."""
    return start == stop or (data.startswith(b"[ID ", start, stop) and data.endswith(b"] ", start, stop))


def _rfc5424(head: bytes) -> bytes | None:
    """As `_key`, in RFC 5424, whose writers end the name of the program at a slash."""
    words = head.split(b" ")
    if (
        len(words) < 8
        or not head.startswith(b"<")
        or words[3].partition(b"/")[0] != b"postfix"
        or not words[4].isdigit()
    ):
        return None
    data, name = words[6:-1], words[-1]
    if len(data) > 1 and not data[-1]:
        data.pop()  # rsyslog's usual templates put a second blank before the message
    if not name.isalnum() or not (data == [b"-"] or (data[0].startswith(b"[") and data[-1].endswith(b"]"))):
        return None
    return words[2] + b" " + name


def _is_address(ip: bytes) -> bool:
    """`unknown` is no address."""
    return ip.isascii() and (ip[:1].isdigit() or b":" in ip)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
