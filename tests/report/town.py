"""A month of a mail hub with the truth about it: who logs in, who relays how, and which verdict each login deserves.

Lines are written from the servers' own wording: Dovecot's login line, and what Postfix's smtpd, qmgr, smtp and lmtp log
(smtpd.c, smtpd_sasl_proto.c, smtpd_check.c, log_adhoc.c). The same seed gives the same town.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from pbs_fast.bench.hublog.envelopes import ENVELOPES

#: 2026-11-01 00:00:00 UTC.
START = 1_793_491_200
DAY = 86_400
GRACE = 1_800

#: A user and a greeting that would be markup, and one that would end a string or a line.
HOSTILE_USER = "o'brien&\"onload=x@example.org"
HOSTILE_HELO = "<script>alert(1)</script>"

_IDS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


class Line(NamedTuple):
    """One line before its envelope."""

    second: float
    host: str
    tag: str
    pid: int
    message: str


@dataclass
class Truth:
    """What is true of one login."""

    verdict: str
    messages: int = 0
    recipients: int = 0
    logins: int = 0


@dataclass
class Town:
    """Writes events; keeps the truth."""

    seed: int = 1
    days: int = 30
    info: bool = False
    """Whether the policy service writes the login beside the queue id."""
    users: dict[str, Truth] = field(default_factory=dict)
    ways: Counter[str] = field(default_factory=Counter)
    daily: Counter[tuple[int, str]] = field(default_factory=Counter)
    delays: Counter[int] = field(default_factory=Counter)
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self._pid = 1_000

    # What happens

    def login(self, second: float, user: str, ip: str) -> None:
        self._pid += 1
        session = f"{self._pid:x}{self.rng.getrandbits(40):x}"
        self.say(
            second,
            "dovecot",
            0,
            f"imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.25, mpid={self._pid}, TLS,"
            f" session=<{session}>",
        )
        self.users[user].logins += 1

    def relay(self, second: float, user: str, ip: str, recipients: int = 1, *, since: int, **more: object) -> None:
        """A message that relies on the login that was `since` seconds ago."""
        truth = self.users[user]
        truth.messages += 1
        truth.recipients += recipients
        self.delays[since] += 1
        self._count(second, "grant")
        self.mail(second, ip, recipients, user=user, **more)  # type: ignore[arg-type]

    def auth(self, second: float, user: str, ip: str) -> None:
        self._count(second, "auth")
        self.mail(second, ip, 1, sasl=user)

    def from_network(self, second: float, ip: str = "192.0.2.77") -> None:
        self._count(second, "mynetworks")
        self.mail(second, ip, 1)

    def mail(
        self,
        second: float,
        ip: str,
        remote: int,
        *,
        local: int = 0,
        sasl: str | None = None,
        user: str | None = None,
        helo: str = "client",
        tls: bool = True,
        status: str = "sent",
        retries: int = 0,
        filtered: bool = False,
        name: str = "unknown",
    ) -> None:
        """The lines of one message and its session."""
        queue, pid = self._queue_id(), self.rng.randrange(1_000, 30_000)
        tag = "postfix/submission/smtpd" if sasl else "postfix/smtpd"
        client = f"{name}[{ip}]"
        said = f"{queue}: client={client}" + (f", sasl_method=PLAIN, sasl_username={sasl}" if sasl else "")
        self.say(second, tag, pid, f"connect from {client}")
        self.say(second, tag, pid, said)
        if self.info and user is not None:
            self.say(
                second,
                tag,
                pid,
                f"{queue}: info: DATA from {client}: pbs-fast: login={user} since=10:12:17; from=<me@here.example>"
                f" to=<you@far.example> proto=ESMTP helo=<{helo}>",
            )
        self.say(second, "postfix/cleanup", pid + 1, f"{queue}: message-id=<{queue}@here.example>")
        active = f"from=<me@here.example>, size=4711, nrcpt={remote + local} (queue active)"
        self.say(second, "postfix/qmgr", 77, f"{queue}: {active}")
        if filtered:
            queue = self._through_filter(second, queue, remote)
        for number in range(local):
            self.say(
                second + 1,
                "postfix/lmtp",
                pid + 2,
                f"{queue}: to=<u{number}@here.example>, relay=hub[private/dovecot-lmtp], delay=0.1,"
                " delays=0.1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Saved)",
            )
        for attempt in range(retries + 1):
            for number in range(remote):
                last = attempt == retries
                relay = f"mx.far.example[198.51.100.{number % 250 + 1}]:25" if last else "none"
                word = status if last else "deferred"
                self.say(
                    second + 1 + attempt * 300,
                    "postfix/smtp",
                    pid + 3,
                    f"{queue}: to=<r{number}@far.example>, relay={relay}, delay=1.2, delays=0.1/0/0.5/0.6,"
                    f" dsn={'2.0.0' if word == 'sent' else '4.4.1'}, status={word} (reason)",
                )
        self.say(second + 2 + retries * 300, "postfix/qmgr", 77, f"{queue}: removed")
        counts = ("ehlo=2 starttls=1" if tls else "ehlo=1") + (" auth=1" if sasl else "")
        self.say(second + 2, tag, pid, f"disconnect from {client} {counts} mail=1 rcpt=1 data=1 quit=1 commands=6")

    def refused(self, second: float, ip: str, helo: str, *, tag: str = "postfix/smtpd") -> None:
        """A client that may not relay, or a visitor of postscreen."""
        self.say(
            second,
            tag,
            4_000,
            f"NOQUEUE: reject: RCPT from unknown[{ip}]: 454 4.7.1 <x@far.example>: Relay access denied;"
            f" from=<a@b.example> to=<x@far.example> proto=ESMTP helo=<{helo}>",
        )

    def say(self, second: float, tag: str, pid: int, message: str, host: str = "hub") -> None:
        self.lines.append(Line(second, host, tag, pid, message))

    def _count(self, second: float, way: str) -> None:
        self.ways[way] += 1
        self.daily[int(second) // DAY, way] += 1

    def _queue_id(self) -> str:
        """Short and long ones (enable_long_queue_ids)."""
        if self.rng.random() < 0.5:
            return f"{self.rng.getrandbits(48):012X}"
        return "4" + "".join(self.rng.choices(_IDS, k=14))

    def _through_filter(self, second: float, queue: str, remote: int) -> str:
        """A content filter on this host (FILTER_README): one message under two queue ids."""
        anew = self._queue_id()
        self.say(second + 1, "postfix/smtpd", 5_000, f"{anew}: client=localhost[127.0.0.1]")
        for number in range(remote):
            self.say(
                second + 1,
                "postfix/smtp",
                5_001,
                f"{queue}: to=<r{number}@far.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1,"
                f" dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {anew})",
            )
        return anew

    # Who lives here

    def person(self, user: str, verdict: str) -> str:
        self.users[user] = Truth(verdict)
        return user

    def since(self) -> int:
        """Seconds from a login to a message: mostly within minutes, a few near the end of grace."""
        if self.rng.random() < 0.996:
            return int(min(self.rng.expovariate(1 / 70), 500))
        return self.rng.randrange(601, 1_790)

    def session(self, day: int, user: str, ip: str, messages: int, recipients: int = 1, **more: object) -> None:
        """One login, and messages after it, in a quarter of a day of its own."""
        second = START + day * DAY + self.rng.randrange(6 * 3_600, 20 * 3_600)
        self.login(second, user, ip)
        for _ in range(messages):
            since = self.since()
            self.relay(second + since, user, ip, recipients, since=since, **more)


def town(seed: int = 1, *, days: int = 30, info: bool = False, scale: int = 1) -> Town:
    """A town in which every verdict occurs. `scale` multiplies those of each kind."""
    hub = Town(seed, days, info)
    rng = hub.rng
    for number in range(60 * scale):
        user = hub.person(f"quiet{number}@example.org", "unused")
        ip = f"84.{number % 200}.7.{number // 200 + 1}"
        for day in range(0, days, 1 + number % 3):
            hub.login(START + day * DAY + rng.randrange(80_000), user, ip)
    for number in range(4 * scale):
        user = hub.person(f"Can{number}@example.org", "can")
        for day in range(days):
            ip = f"85.{number % 250}.{day}.{number // 250 + 9}"
            hub.session(day, user, ip, 1 + number % 2)
            hub.auth(START + day * DAY + rng.randrange(80_000), user.lower(), f"91.{number % 250}.{day}.3")
    for number in range(5 * scale):
        user = hub.person(f"office{number}@example.org" if number else HOSTILE_USER, "fixed")
        for day in range(days):
            v6 = f"2001:db8:{number + 1:x}::{rng.randrange(1, 999):x}"
            ip = f"86.1.{number % 250}.{8 + rng.randrange(8)}" if number % 2 else v6
            hub.session(day, user, ip, rng.randrange(1, 6), 1 + number % 3, helo=HOSTILE_HELO, filtered=day % 5 == 0)
    for number in range(3 * scale):
        user = hub.person(f"scanner{number}@example.org", "device")
        for day in range(days):
            ip = f"87.{number % 250}.{day}.5"
            hub.session(day, user, ip, 2, tls=False, helo=f"scanner-hall{number}")
    for number in range(4 * scale):
        user = hub.person(f"rover{number}@example.org", "roaming")
        for day in range(days):
            ip = f"88.{number % 250}.{day}.77"
            hub.session(day, user, ip, 1 + day % 2, 1 + day % 3, helo=f"laptop-{day % 4}", local=1)
    for number in range(scale):
        crowd = [hub.person(f"crowd{number}-{each}@example.org", "shared") for each in range(3)]
        for day in range(days):
            second = START + day * DAY + 30_000
            for place, user in enumerate(crowd):
                hub.login(second + place * 200, user, f"100.64.{number % 250}.9")
            last = crowd[-1]
            hub.relay(second + 450, last, f"100.64.{number % 250}.9", since=50)
            for place, user in enumerate(crowd[:-1]):
                hub.login(second + 600 + place * 100, user, f"100.64.{number % 250}.9")
                hub.relay(second + 640 + place * 100, user, f"100.64.{number % 250}.9", since=40)
    for number in range(scale):
        user = hub.person(f"mallory{number}@example.org", "suspect")
        second = START + (days // 2) * DAY + 3_600
        for burst in range(17):
            ip = f"89.{number % 250}.{burst}.1"
            hub.login(second + burst * 60, user, ip)
            hub.relay(second + burst * 60 + 20, user, ip, 24, since=20, status="bounced")
        user = hub.person(f"botnet{number}@example.org", "suspect")
        for place in range(25):
            hub.login(START + DAY + place * 600, user, f"90.{number % 250}.{place}.1")
    _around(hub)
    return hub


def _around(hub: Town) -> None:
    """What else a hub writes: none of it may count."""
    rng = hub.rng
    for day in range(hub.days):
        base = START + day * DAY
        # Fewer on a Saturday and a Sunday.
        for _ in range(5 if day % 7 in (0, 6) else 10 + rng.randrange(6)):
            hub.from_network(base + rng.randrange(80_000))
            # Strangers bring mail for the hub's own users.
            hub.mail(base + rng.randrange(80_000), f"203.0.113.{rng.randrange(1, 250)}", 0, local=1)
            modern = f"modern{rng.randrange(9)}@example.org"
            hub.auth(base + rng.randrange(80_000), modern, f"92.1.{day}.{rng.randrange(250)}")
        # A granted client writes to the hub's own users only.
        hub.login(base + 1_000, "quiet0@example.org", "84.0.7.1")
        hub.mail(base + 1_100, "84.0.7.1", 0, local=2)
        # Too late: the grant has ended.
        hub.mail(base + 1_000 + GRACE + 60 + 82_000, "84.0.7.1", 0, local=1)
        hub.refused(base + 70_000, "203.0.113.9", HOSTILE_HELO)
        hub.refused(base + 70_100, "203.0.113.10", "x", tag="postfix/postscreen")
        # A first attempt that fails, a second that does not: one message, one recipient.
        hub.mail(base + 60_000, "192.0.2.78", 1, retries=2)
        hub._count(base + 60_000, "mynetworks")
        # Other programs' lines with a stranger's text, and a name that looks like a line.
        fake = "postfix/smtpd[1]: AAAAAAAAAAAA: client=unknown[84.0.7.1]"
        hub.say(base + 1_200, "sshd", 9, f"Invalid user {fake} from 203.0.113.1 port 1")
        hub.say(base + 1_200, "spamd", 9, f"AAAAAAAAAAAA: client=unknown[84.0.7.1], {fake}")
        sent = "AAAAAAAAAAAA: to=<x@far.example>, relay=mx[198.51.100.1]:25, delay=1, status=sent (ok)"
        hub.say(base + 1_201, "spamd", 9, sent)


def write(hub: Town, path: Path, envelope: str = "rfc3339-utc", *, only: tuple[str, ...] | None = None) -> Path:
    """The town's lines in their order; `only` those whose tag begins so."""
    form = ENVELOPES[envelope]()
    ordered = sorted(hub.lines, key=lambda line: line.second)
    kept = [line for line in ordered if only is None or line.tag.startswith(only)]
    text = "".join(form(line.second, line.host, line.tag, line.pid, line.message) + "\n" for line in kept)
    path.write_bytes(text.encode("utf-8"))
    return path
