"""What else a hub writes: mail coming in and going out, its filter, cron, ssh. None of it carries a login.

A transaction is the lines of one mail or one visitor, in order. Some hold a stranger's text that reads like a login.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pbs_fast.bench.hublog.people import DOMAINS, People
from pbs_fast.bench.hublog.servers import FAKE, Line, posing

_QUEUE = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_FAKE_LOGIN = f"imap-login: Login: user=<x>, method=PLAIN, rip={FAKE}, lip=192.0.2.25, TLS"
_SPAM_SYMBOLS = (
    "R_SPF_ALLOW(-0.20){+ip4:192.0.2.0/24;},DMARC_POLICY_ALLOW(-0.50){example.com;none;},R_DKIM_ALLOW(-0.20)"
    "{example.com:s=s1;},MIME_GOOD(-0.10){multipart/alternative;text/plain;},ARC_NA(0.00){},ASN(0.00){asn:64500, "
    "ipnet:198.51.100.0/24, country:DE;},FROM_EQ_ENVFROM(0.00){},RCVD_COUNT_TWO(0.00){2;},TO_DN_NONE(0.00){}"
)


class Noise:
    """Transactions of one machine, whose Postfix instance has queue ids and process ids of its own."""

    def __init__(self, rng: Random, people: People, host: str) -> None:
        self._rng = rng
        self._people = people
        self._host = f"{host}.example.com"
        self._qmgr = rng.randrange(500, 9000)
        # One draw of eight bits: how often each kind of transaction comes, of 256.
        kinds: tuple[tuple[int, Callable[[], list[Line]]], ...] = (
            (110, self._incoming),
            (50, self._submission),
            (40, self._rejected),
            (20, self._deferred),
            (14, self._scanner),
            (10, self._cron),
            (12, self._ssh),
        )
        self._kinds = [make for count, make in kinds for _ in range(count)]

    def transaction(self) -> list[Line]:
        """The lines of one mail, visit or job."""
        return self._kinds[self._rng.getrandbits(8)]()

    def _queue_id(self, bits: int) -> str:
        return "4" + "".join(_QUEUE[bits >> shift & 31] for shift in range(0, 50, 5))

    def _incoming(self) -> list[Line]:
        bits = self._rng.getrandbits(64)
        ip, user, sender = self._people.stranger(), self._people.user(), DOMAINS[bits % 10]
        queue, pid, lmtp = self._queue_id(bits), 1000 + bits % 30000, 1000 + (bits >> 20) % 30000
        client = f"mail{bits % 97}.{sender}[{ip}]"
        message_id = f"{bits:016x}.{pid}@{sender}"
        if bits & 0xFFF00000 == 0:
            message_id = _FAKE_LOGIN
        size = 1200 + (bits >> 30) % 90000
        lines = [
            Line("postfix/smtpd", pid, f"connect from {client}"),
            Line("postfix/smtpd", pid, f"{queue}: client={client}"),
            Line("postfix/cleanup", pid + 7, f"{queue}: message-id=<{message_id}>"),
        ]
        if bits >> 60 < 8:
            lines.append(self._rspamd(bits, ip, user, message_id, size))
        lines += (
            Line(
                "postfix/qmgr",
                self._qmgr,
                f"{queue}: from=<news-{bits % 7919}@{sender}>, size={size}, nrcpt=1 (queue active)",
            ),
            Line(
                "dovecot",
                0,
                f"lmtp({user})<{lmtp}><{queue}a{lmtp}>: sieve: msgid=<{message_id}>: stored mail into mailbox 'INBOX'",
                posing("dovecot") if message_id is _FAKE_LOGIN else None,
            ),
            Line(
                "postfix/lmtp",
                pid + 11,
                f"{queue}: to=<{user}>, relay={self._host}[private/dovecot-lmtp], delay=0.{bits % 97:02d}, "
                f"delays=0.2/0.01/0.01/0.04, dsn=2.0.0, status=sent (250 2.0.0 <{user}> {queue} Saved)",
            ),
            Line("postfix/qmgr", self._qmgr, f"{queue}: removed"),
            Line(
                "postfix/smtpd",
                pid,
                f"disconnect from {client} ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
            ),
        )
        return lines

    def _rspamd(self, bits: int, ip: str, user: str, message_id: str, size: int) -> Line:
        score = (bits >> 9) % 2000 / 100 - 5
        return Line(
            "rspamd",
            410 + bits % 9,
            f"<{bits % 0xFFFFFF:06x}>; proxy; rspamd_task_write_log: id: <{message_id}>, "
            f"qid: <{self._queue_id(bits)}>, ip: {ip}, from: <news@example.com>, "
            f"(default: F (no action): [{score:.2f}/15.00] [{_SPAM_SYMBOLS}]), "
            f"len: {size}, time: {bits % 900}.313ms, dns req: 23, digest: <{bits:032x}>, "
            f"rcpts: <{user}>, mime_rcpts: <{user}>",
        )

    def _submission(self) -> list[Line]:
        bits = self._rng.getrandbits(64)
        ip, user = self._people.stranger(), self._people.user()
        queue, pid = self._queue_id(bits), 1000 + bits % 30000
        to, domain = self._people.user(), DOMAINS[(bits >> 8) % 10]
        return [
            Line("postfix/submission/smtpd", pid, f"connect from unknown[{ip}]"),
            Line(
                "postfix/submission/smtpd",
                pid,
                f"{queue}: client=unknown[{ip}], sasl_method=PLAIN, sasl_username={user}",
            ),
            Line("postfix/cleanup", pid + 3, f"{queue}: message-id=<{bits:016X}@{domain}>"),
            Line(
                "postfix/qmgr",
                self._qmgr,
                f"{queue}: from=<{user}>, size={2000 + bits % 500000}, nrcpt=1 (queue active)",
            ),
            Line(
                "postfix/smtp",
                pid + 5,
                f"{queue}: to=<{to}>, relay=mx1.{domain}[198.51.100.{bits % 254 + 1}]:25, delay=1.{bits % 97:02d}, "
                f"delays=0.1/0.01/0.5/0.7, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {bits % 0xFFFFFFFF:08X})",
            ),
            Line("postfix/qmgr", self._qmgr, f"{queue}: removed"),
            Line(
                "postfix/submission/smtpd",
                pid,
                f"disconnect from unknown[{ip}] ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8",
            ),
        ]

    def _rejected(self) -> list[Line]:
        bits = self._rng.getrandbits(64)
        ip, user, pid = self._people.stranger(), self._people.user(), 1000 + bits % 30000
        helo = _FAKE_LOGIN if bits & 0xFFF00000 == 0 else f"host{bits % 999}.example.net"
        return [
            Line("postfix/smtpd", pid, f"connect from unknown[{ip}]"),
            Line(
                "postfix/smtpd",
                pid,
                f"NOQUEUE: reject: RCPT from unknown[{ip}]: 454 4.7.1 <{user}>: Relay access denied; "
                f"from=<offer{bits % 7919}@{DOMAINS[bits % 10]}> to=<{user}> proto=ESMTP helo=<{helo}>",
            ),
            Line("postfix/smtpd", pid, f"lost connection after RCPT from unknown[{ip}]"),
            Line("postfix/smtpd", pid, f"disconnect from unknown[{ip}] ehlo=1 mail=1 rcpt=0/1 commands=2/3"),
        ]

    def _deferred(self) -> list[Line]:
        bits = self._rng.getrandbits(64)
        queue, user = self._queue_id(bits), self._people.user()
        return [
            Line(
                "postfix/smtp",
                1000 + bits % 30000,
                f"{queue}: to=<{user}>, relay=none, delay={bits % 90000}, delays={bits % 90000}/0.02/30/0, dsn=4.4.1, "
                f"status=deferred (connect to mx.{DOMAINS[bits % 10]}[203.0.113.{bits % 254 + 1}]:25: timed out)",
            ),
        ]

    def _scanner(self) -> list[Line]:
        bits = self._rng.getrandbits(32)
        ip, pid = self._people.stranger(), 1000 + bits % 30000
        failed = "authentication failure, sasl_username=" + (_FAKE_LOGIN if bits & 0xFF00 == 0 else self._people.user())
        return [
            Line(
                "postfix/smtpd", pid, f"warning: hostname scan{bits % 999}.example.org does not resolve to address {ip}"
            ),
            Line("postfix/smtpd", pid, f"connect from unknown[{ip}]"),
            Line("postfix/smtpd", pid, f"warning: unknown[{ip}]: SASL LOGIN authentication failed: {failed}"),
            Line(
                "postfix/anvil",
                pid + 1,
                f"statistics: max connection rate {bits % 9}/60s for (smtp:{ip}) at Nov 21 10:00:00",
            ),
            Line("postfix/smtpd", pid, f"disconnect from unknown[{ip}] ehlo=1 auth=0/1 rset=1 quit=1 commands=3/4"),
        ]

    def _cron(self) -> list[Line]:
        pid = 1000 + self._rng.getrandbits(16)
        return [
            Line("CRON", pid, "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
            Line("CRON", pid + 1, "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)"),
            Line("CRON", pid, "pam_unix(cron:session): session closed for user root"),
        ]

    def _ssh(self) -> list[Line]:
        bits = self._rng.getrandbits(32)
        ip, pid = self._people.stranger(), 1000 + bits % 60000
        user = _FAKE_LOGIN if bits & 0xF0000 == 0 else f"admin{bits % 99}"
        return [
            Line("sshd", pid, f"Invalid user {user} from {ip} port {bits % 60000 + 1024}"),
            Line("sshd", pid, f"Failed password for invalid user {user} from {ip} port {bits % 60000 + 1024} ssh2"),
            Line("sshd", pid, f"Connection closed by invalid user {user} {ip} port {bits % 60000 + 1024} [preauth]"),
        ]
