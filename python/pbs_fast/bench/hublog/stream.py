"""Puts the machines of a site into one log: whose turn it is, what time it is, and the truth about each line.

Several machines write into one file in runs of a few dozen lines, each in its own envelope, as a central syslog server
stores them. The clock goes forward evenly, `Options.rate` lines a second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from pbs_fast.bench.hublog.envelopes import ENVELOPES, Envelope
from pbs_fast.bench.hublog.noise import Noise
from pbs_fast.bench.hublog.people import People
from pbs_fast.bench.hublog.servers import Courier, Cyrus, Dovecot, DovecotProxy, Fact, Line, MakeServer, Uw

#: 2026-11-21 00:00:00 UTC.
START = 1_795_219_200


@dataclass(frozen=True, slots=True)
class Options:
    """What log to make. Shares are of 1."""

    lines: int = 100_000
    seed: int = 1
    logins: float = 0.08
    ipv6: float = 0.15
    new: float = 0.55
    """Share of logins from an address not seen before: makes about 90,000 different ones of 160,000 logins."""
    envelopes: str = "mixed"
    """`mixed`, or the one envelope (a name of ENVELOPES) of all machines."""
    start: int = START
    rate: float = 23.0
    """Lines a second: 2 million a day."""


class Truth(NamedTuple):
    """What one line says."""

    kind: str
    """`login`, `logout`, `missed` or `other`; the columns after `timestamp` are None where they say nothing."""
    timestamp: int
    """Seconds since the epoch, the fraction cut off."""
    ip: str | None = None
    format: str | None = None
    user: str | None = None
    missed: str | None = None
    """Why a line that looks like a login carries none."""


class _Machine:
    """One host: its envelope, its mail system and its POP/IMAP server."""

    def __init__(self, rng: Random, people: People, host: str, envelope: str, make: MakeServer) -> None:
        self.host = host
        self.envelope: Envelope = ENVELOPES[envelope]()
        self._rng = rng
        self._people = people
        self._noise = Noise(rng, people, host)
        self._server = make(rng, people, host, envelope.startswith("rfc5424"))
        self._waiting: deque[Line] = deque()
        self._open: deque[Line] = deque()

    def next(self, login_due: bool) -> Line:
        """The machine's next line; begins a session when a login is due and no transaction is under way."""
        if self._waiting:
            return self._waiting.popleft()
        if login_due:
            login, end = self._server.session(self._people.next())
            if end is not None:
                # About one end of 200 is written before the login: the two processes write independently.
                if self._rng.getrandbits(8) == 0:
                    self._waiting.append(login)
                    return end
                self._open.append(end)
            return login
        bits = self._rng.getrandbits(6)
        # Up to 40 sessions of a machine are open at a time; the oldest ends first, as most POP sessions do.
        if self._open and (bits < 8 or len(self._open) > 40):
            return self._open.popleft()
        lines = self._server.attempt() if bits < 14 else self._noise.transaction()
        self._waiting.extend(lines[1:])
        return lines[0]


_SITE: tuple[tuple[str, str, MakeServer], ...] = (
    ("mx1", "rfc3164", lambda rng, people, *_: Dovecot(rng, people, "2.3")),
    ("mx2", "rfc3339", lambda rng, people, *_: Dovecot(rng, people, "2.4", tag_pid=True)),
    ("pop", "rfc3164", lambda rng, people, *_: Courier(rng, people)),
    ("store1", "rfc5424", lambda rng, people, host, cut: Cyrus(rng, people, host, prefix="cyrus/", cut=cut)),
    (
        "store2",
        "short-iso",
        lambda rng, people, host, cut: Cyrus(rng, people, host, prefix="cyrus/", cut=cut, audit=True),
    ),
    ("gate", "solaris", lambda rng, people, *_: Uw(rng, people)),
    ("old", "rfc3164-year", lambda rng, people, *_: Dovecot(rng, people, "1.2")),
    ("bsd", "freebsd", lambda rng, people, *_: Dovecot(rng, people, "2.0")),
    ("front.example.com", "rfc3339-utc", lambda rng, people, *_: DovecotProxy(rng, people, "2.3")),
    ("box", "busybox", lambda rng, people, *_: Dovecot(rng, people, "2.2")),
    ("4711", "date-time", lambda rng, people, *_: Courier(rng, people, dual_stack=False)),
    ("relay", "rfc3164-pri", lambda rng, people, host, _: Cyrus(rng, people, host, session_ids=False)),
    ("mx3", "rfc5424-sd", lambda rng, people, *_: Dovecot(rng, people, "2.3")),
)

#: How often each machine gets a run, of 32: two big ones, the rest small.
_TURNS = (0,) * 8 + (1,) * 6 + (2,) * 4 + (3,) * 2 + (4,) * 2 + (5,) * 2 + (6, 7, 8, 9, 10, 11, 12, 12)


def iter_lines(options: Options) -> Iterator[tuple[bytes, Truth]]:
    """The log's lines, without newline, each with the truth about it. The same options give the same log.

    Raises ValueError for an envelope that does not exist.
    """
    if options.envelopes != "mixed" and options.envelopes not in ENVELOPES:
        raise ValueError(f"no envelope '{options.envelopes}'; there are: mixed, {', '.join(ENVELOPES)}")
    rng = Random(options.seed)
    people = People(rng, ipv6=options.ipv6, new=options.new)
    single = options.envelopes if options.envelopes != "mixed" else None
    machines = [_Machine(rng, people, host, single or own, make) for host, own, make in _SITE]
    sessions: dict[str, str | None] = {}
    logins = 0
    number = 0
    while number < options.lines:
        machine = machines[_TURNS[rng.getrandbits(5)]]
        envelope, host, following = machine.envelope, machine.host, machine.next
        for _ in range(min(8 + rng.getrandbits(6), options.lines - number)):
            tag, pid, message, fact = following(logins < options.logins * number)
            timestamp = options.start + number / options.rate
            number += 1
            line = envelope(timestamp, host, tag, pid, message).encode()
            if fact is None:
                yield line, Truth("other", int(timestamp))
            else:
                logins += fact.kind == "login"
                yield line, _settle(fact, int(timestamp), sessions)


def _settle(fact: Fact, timestamp: int, sessions: dict[str, str | None]) -> Truth:
    """A session's end takes the address of the session's login, once; none when the login was not written before."""
    kind, fmt, ip, user, session, reason = fact
    if session is not None:
        if kind == "login":
            sessions[session] = ip
        else:
            ip = sessions.pop(session, None)
    return Truth(kind, timestamp, ip, fmt, user, reason)
