"""What Postfix's lines say about a message: who brought it, who sent it, where it went.

Facts of Postfix 3.11's sources: smtpd.c and smtpd_sasl_proto.c write `QUEUEID: client=NAME[ADDRESS]`, with the port
behind it (`smtpd_client_port_logging`), `sasl_method`, `sasl_username`, `sasl_sender`, and what XFORWARD gave as
`orig_queue_id` and `orig_client`; a before-queue filter makes the first of them `NOQUEUE`. smtpd_check.c ends what it
logs with `from=<…> to=<…> proto=… helo=<…>`, smtpd.c a session with `disconnect from NAME[ADDRESS] starttls=1 …`.
log_adhoc.c writes a line for each recipient and attempt: `QUEUEID: to=<…>, relay=HOST[ADDRESS]:PORT, …, status=…`.
Queue ids are 0-9A-F, or with `enable_long_queue_ids` 0-9B-Zb-z without vowels.

Addresses are as inet_ntop(3) writes them, as those of logins are. Only a line whose own tag is a daemon of Postfix
counts, and only the text right behind that tag: what a stranger put into another program's line, or into a name that
Postfix repeats, is never taken for such a line.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.report.remembered import REMEMBERED, Remembered

if TYPE_CHECKING:
    from pbs_fast.guards.netblocks import Netblocks
    from pbs_fast.matching import Backend
    from pbs_fast.matching.reader import Reader, Ready

TEXTS = (b"client=", b"to=<", b"disconnect from ", b"reject: ", b"info: DATA from ")
_CLIENT, _TO, _DISCONNECT, _REJECT, _INFO = range(len(TEXTS))

#: Clients of which it is remembered whether they are in mynetworks.
_MOST_CLIENTS = 200_000
#: The queue id of what is not in the queue (yet).
NOQUEUE = b"NOQUEUE"

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


class Client(NamedTuple):
    """A message comes in."""

    second: int
    key: bytes
    """Host and queue id."""
    ip: str
    user: str | None
    """Who authenticated."""
    original: bytes | None
    """The message that a content filter hands back under a new id."""
    forwarded: bool
    """`ip` is what XFORWARD said."""


class Sent(NamedTuple):
    """An attempt, successful or not, to hand the message to another host for one recipient."""

    key: bytes
    recipient: bytes


class Filtered(NamedTuple):
    """A message was handed to a content filter on this host, which queued it anew."""

    key: bytes
    new: bytes


class Login(NamedTuple):
    """The policy service said which login the message counts for."""

    key: bytes
    user: str
    more: int
    """How many other logins the address has."""
    helo: str


class Greeting(NamedTuple):
    """A recipient was refused; the line shows how the client greets."""

    ip: str
    helo: str


class Session(NamedTuple):
    """A session in which mail was sent without authentication."""

    ip: str
    tls: bool


Fact = Client | Sent | Filtered | Login | Greeting | Session


class Held(NamedTuple):
    """Lines that may hold facts."""

    ready: Ready
    lines: list[tuple[int, int, int, int]]
    reference: int


class MtaLines:
    """Finds the facts in the lines of some logs, which share it."""

    def __init__(self, backend: Backend, live: Container[str], networks: Netblocks) -> None:
        """`live` are the addresses with a grant, apart from logins that are only in `fresh`; `networks` are mynetworks.
        Nearly no client of a hub is one of them, and the lines of others are not read any further."""
        self.fresh: set[str] = set()
        self._literals = backend.Literals(TEXTS)
        self._live = live
        self._networks = networks
        self._begins = tuple(f"{first}." for first, may in enumerate(networks.begins(32)) if may)
        """How an IPv4 address may begin that is in mynetworks: a test of all that takes a tenth of a look-up."""
        self._local: dict[str, bool] = {}
        self._ids: Remembered[bool] = Remembered(REMEMBERED)
        """Queue ids of the messages that may matter."""

    def is_local(self, ip: str) -> bool:
        """Whether an address is in mynetworks."""
        local = self._local.get(ip)
        if local is None:
            if len(self._local) >= _MOST_CLIENTS:
                self._local.clear()
            local = self._local[ip] = self._networks.local(ip)
        return local

    def hold(self, ready: Ready, reference: int) -> Held:
        """The lines that may hold facts. Pure; may be called from several threads at once."""
        return Held(ready, self._literals.lines(ready.data, ready.start, ready.stop), reference)

    def facts(self, held: Held, reader: Reader, *, every: bool) -> list[tuple[int, Fact]]:
        """The facts in order, each with a second since the epoch: that of its line, or for all but Client that of the
        Client before, which is close enough to keep them in order. `every`: also of clients that are not wanted."""
        ready, lines, reference = held
        data, layout, ids = ready.data, ready.layout, self._ids
        fresh, live, begins, is_local = self.fresh, self._live, self._begins, self.is_local
        facts: list[tuple[int, Fact]] = []
        second: int | None = None
        for which, start, at, end in lines:
            fact: Fact | None
            if which == _TO:
                if ids.get(data[data.rfind(b" ", start, at - 2) + 1 : at - 2]) is None:
                    continue
                fact = _sent(data, start, at, end)
            else:
                opens = data.find(b"[", at, end)
                closes = data.find(b"]", opens, end)
                if opens < 0 or closes < 0:
                    continue
                ip = data[opens + 1 : closes].decode("ascii", "replace")
                matters = every or ip in fresh or ip in live or ((ip.startswith(begins) or ":" in ip) and is_local(ip))
                # Behind a client's address it says who authenticated, or what XFORWARD gave.
                if not matters and (which != _CLIENT or closes + 1 == end):
                    continue
                if which == _CLIENT:
                    found = reader.timestamp_of(data[start:end], layout, reference)
                    key = _queue_id(data, start, at, b"/smtpd")
                    if found is None or key is None:
                        continue
                    second = found
                    fact = _client(data, key, ip, closes + 1, end, second)
                    if fact is not None:
                        ids.put(key[key.index(b" ") + 1 :], True, second)
                elif which == _DISCONNECT:
                    fact = _session(data, start, at, end, ip)
                else:
                    fact = _greeting(data, start, at, end, which, ip)
            if fact is None:
                continue
            if second is None:
                second = reader.timestamp_of(data[start:end], layout, reference)
                if second is None:
                    continue
            if isinstance(fact, Filtered):
                ids.put(fact.new[fact.new.index(b" ") + 1 :], True, second)
            facts.append((second, fact))
        return facts


def _queue_id(data: bytes, start: int, at: int, daemon: bytes) -> bytes | None:
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
    return data[data.rfind(b" ", start, tag) + 1 : tag + 1] + name


def _is_near(data: bytes, start: int, stop: int) -> bool:
    """Nothing, or what Solaris puts in front of a message, is in data[start:stop]."""
    return start == stop or (data.startswith(b"[ID ", start, stop) and data.endswith(b"] ", start, stop))


def _rfc5424(head: bytes) -> bytes | None:
    """As `_queue_id`, in RFC 5424, whose writers end the name of the program at a slash."""
    words = head.split(b" ")
    if (
        len(words) < 8
        or not head.startswith(b"<")
        or words[3].partition(b"/")[0] != b"postfix"
        or not words[4].isdigit()
    ):
        return None
    data, name = words[6:-1], words[-1]
    if not name.isalnum() or not (data == [b"-"] or (data[0].startswith(b"[") and data[-1].endswith(b"]"))):
        return None
    return words[2] + b" " + name


def _client(data: bytes, key: bytes, ip: str, place: int, end: int, second: int) -> Client | None:
    """What follows the client's address from this place on."""
    user, original, forwarded = None, None, False
    if place < end:
        rest = data[place:end]
        if (sasl := _SASL.search(rest)) is not None:
            user = _text(sasl[1])
        if b", orig_" in rest:
            if (queue_id := _ORIGINAL_ID.search(rest)) is not None:
                original = key[: key.index(b" ") + 1] + queue_id[1]
            if (client := _ORIGINAL_CLIENT.search(rest)) is not None:
                ip, forwarded = client[1].decode("ascii"), True
    # `unknown` is no address.
    return Client(second, key, ip, user, original, forwarded) if ip[:1].isdigit() or ":" in ip else None


def _sent(data: bytes, start: int, at: int, end: int) -> Sent | Filtered | None:
    relay = data.find(b">, relay=", at, end)
    # Nearly all recipients of a hub are local: their lines are of lmtp, virtual, local or pipe.
    if relay < 0 and data.find(b"relay=", at, end) < 0:
        return None
    key = _queue_id(data, start, at, b"/smtp")
    if key is None or (found := _RELAY.search(data, at, end)) is None:
        return None
    if found[2] is not None and _LOOPBACK.match(found[2]):
        new = _QUEUED_AS.search(data, found.end(), end)
        return None if new is None else Filtered(key, key[: key.index(b" ") + 1] + new[1])
    return Sent(key, data[at + 4 : found.start()].lower())


def _session(data: bytes, start: int, at: int, end: int, ip: str) -> Session | None:
    if data.find(b" mail=", at, end) < 0 or data.find(b" auth=", at, end) >= 0:
        return None
    pid = data.rfind(b"[", start, at)
    if not data.endswith(b"/smtpd", start, pid) or not data.endswith(b"]: ", pid, at):
        return None
    return Session(ip, data.find(b" starttls=", at, end) >= 0)


def _greeting(data: bytes, start: int, at: int, end: int, which: int, ip: str) -> Greeting | Login | None:
    key = _queue_id(data, start, at, b"/smtpd")
    if key is None:
        return None
    if which == _INFO:
        said = _LOGIN.search(data, at, end)
        if said is None or not said["user"]:
            return None
        return Login(key, _text(said["user"]), int(said["more"] or 0), _text(said["helo"]))
    helo = _HELO.search(data, at, end)
    return None if helo is None else Greeting(ip, _text(helo[1]))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
