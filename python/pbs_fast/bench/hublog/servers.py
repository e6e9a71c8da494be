"""What POP and IMAP servers write: logins, ends of sessions, failures, and attacks, each with the truth about it.

A server's `session` gives a login line and the line at the session's end (None where the server writes none that tells
whose it is). Its `attempt` gives the lines of somebody who does not get in; some of them pose as a login from another
address. In the lines of an attack the fake address is always `FAKE`, which therefore must never come out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from pbs_fast.bench.hublog.people import People, Person

#: Stands in every attack where an address of the attacker's choice would.
FAKE = "192.0.2.6"


class Fact(NamedTuple):
    """The truth about one line, as far as its message tells."""

    kind: str
    """`login`, `logout` or `missed`."""
    format: str
    ip: str | None = None
    user: str | None = None
    session: str | None = None
    """Key by which a logout without address finds its login."""
    reason: str | None = None


def posing(format_: str) -> Fact:
    """A line with the right tag that holds the words of a success but is not a login: `match --missed` shows it."""
    return Fact("missed", format_, reason="no-pattern")


class Line(NamedTuple):
    """One record before its envelope; `fact` is None for a line that carries nothing."""

    tag: str
    pid: int
    message: str
    fact: Fact | None = None


Session = tuple[Line, Line | None]


def _dovecot_session_id(rng: Random) -> str:
    return base64.b64encode(rng.randbytes(12)).decode()


class Dovecot:
    """Dovecot. `version` is 1.2, 2.0, 2.2, 2.3 or 2.4; with `tag_pid` as journald and systemd write it."""

    def __init__(self, rng: Random, people: People, version: str, *, tag_pid: bool = False) -> None:
        self._rng = rng
        self._people = people
        self._version = version
        self._pid = 1000 + rng.randrange(8000) if tag_pid else 0
        self._word = "Logged in" if version == "2.4" else "Login"

    def session(self, person: Person) -> Session:
        rng = self._rng
        ip, user = person.ip, person.user
        bits = rng.getrandbits(16)
        service = "pop3" if bits & 3 == 0 else "imap"
        method = "PLAIN" if bits & 12 else "CRAM-MD5"
        lip = "2001:db8:0:1::25" if ":" in ip else "192.0.2.25"
        secured = "" if bits & 0x70 == 0 else ", TLS"
        pid = rng.randrange(300, 4_000_000)
        session = _dovecot_session_id(rng)
        if self._version == "1.2":
            elements = f"user=<{user}>, method={method}, rip={ip}, lip={lip}{secured}"
        elif self._version == "2.0":
            elements = f"user=<{user}>, method={method}, rip={ip}, lip={lip}, mpid={pid}{secured}"
        else:
            elements = f"user=<{user}>, method={method}, rip={ip}, lip={lip}, mpid={pid}{secured}, session=<{session}>"
        known = session if self._version in ("2.2", "2.3", "2.4") else None
        fact = Fact("login", "dovecot", ip, user, known)
        login = Line("dovecot", self._pid, f"{service}-login: {self._word}: {elements}", fact)
        size = bits * 7
        if self._version in ("2.3", "2.4"):
            how = "Disconnected: Logged out" if bits & 0x300 else "Connection closed (IDLE finished 0.041 secs ago)"
            tail = (
                f"in={bits} out={size} deleted=0 expunged=0 trashed=0 hdr_count=0 hdr_bytes=0 body_count=0 body_bytes=0"
            )
            if service == "pop3":
                tail = f"top=0/0, retr={bits & 15}/{size}, del=0/{bits & 1023}, size={size * 9}"
            text = f"{service}({user})<{pid}><{session}>: {how} {tail}"
            return login, Line("dovecot", self._pid, text, Fact("logout", "dovecot", None, user, session))
        if self._version == "2.2":
            return login, Line("dovecot", self._pid, f"{service}({user}): Logged out in={bits} out={size}")
        name = service.upper() if self._version == "1.2" else service
        return login, Line("dovecot", self._pid, f"{name}({user}): Disconnected: Logged out bytes={bits}/{size}")

    def attempt(self) -> list[Line]:
        rng = self._rng
        ip = self._people.stranger()
        user = self._people.user()
        kind = rng.getrandbits(6)
        tail = f"rip={ip}, lip=192.0.2.25, TLS, session=<{_dovecot_session_id(rng)}>"
        aborted = "Login aborted: Connection closed" if self._version == "2.4" else "Disconnected: Connection closed"

        def say(text: str, fact: Fact | None = None) -> list[Line]:
            return [Line("dovecot", self._pid, text, fact)]

        if kind == 0:  # a name that closes its bracket, where the server writes names as sent
            name = f"x>, method=PLAIN, rip={FAKE}, lip=192.0.2.25, TLS, session=<"
            return say(
                f"imap-login: {aborted} (auth failed, 1 attempts in 2 secs): user=<{name}>, method=PLAIN, {tail}"
            )
        if kind == 1:  # a whole login as the client's name
            fake = f"imap-login: {self._word}: user=<x>, method=PLAIN, rip={FAKE}, lip=192.0.2.25"
            return say(f"imap-login: ID sent: name={fake}: user=<>, {tail}", posing("dovecot"))
        if kind == 2:  # an element list without the address: looks like a login, says nothing
            text = f"imap-login: {self._word}: user=<{user}>, method=PLAIN, lip=192.0.2.25, TLS"
            return say(text, posing("dovecot"))
        if kind == 3:
            text = f"imap-login: {self._word}: user=<{user}>, method=PLAIN, rip=300.1.2.3, lip=192.0.2.25"
            return say(text, Fact("missed", "dovecot", reason="bad-address"))
        if kind < 20:
            return say(
                f"pop3-login: {aborted} (auth failed, 1 attempts in {kind} secs): user=<{user}>, method=PLAIN, {tail}"
            )
        if kind < 40:
            return say(f"imap-login: {aborted} (no auth attempts in {kind} secs): user=<>, {tail}")
        if kind < 50:
            return say(
                f"auth-worker({rng.randrange(9999)}): sql({user},{ip}): unknown user (SHA1 of given password: 6367c4)"
            )
        if kind < 56:
            return say(f"managesieve-login: {self._word}: user=<{user}>, method=PLAIN, {tail}")
        return say(
            f"auth: passwd-file({user},{ip},<{_dovecot_session_id(rng)}>): Password mismatch (given password: ********)"
        )


class DovecotProxy(Dovecot):
    """Dovecot 2.3 as a proxy: the login is the line that says where the session goes."""

    def session(self, person: Person) -> Session:
        user, ip, session = person.user, person.ip, _dovecot_session_id(self._rng)
        text = (
            f"imap-login: proxy({user},10.1.0.{self._rng.randrange(1, 9)}:143): Started proxying to <10.1.0.4> (0.010 "
            f"secs): user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.25, TLS, session=<{session}>"
        )
        return Line("dovecot", self._pid, text, Fact("login", "dovecot", ip, user, session)), None


class Courier:
    """Courier, on dual-stack sockets (`::ffff:` before IPv4 addresses) or the old way."""

    def __init__(self, rng: Random, people: People, *, dual_stack: bool = True) -> None:
        self._rng = rng
        self._people = people
        self._dual = dual_stack

    def _client(self, ip: str) -> str:
        return f"[::ffff:{ip}]" if self._dual and ":" not in ip else f"[{ip}]"

    def session(self, person: Person) -> Session:
        bits = self._rng.getrandbits(32)
        user, client, port = person.user, self._client(person.ip), 1024 + bits % 64000
        ssl = "-ssl" if bits & 0x700000 else ""
        end = ("LOGOUT", "LOGOUT", "LOGOUT", "DISCONNECTED", "TIMEOUT")[(bits >> 24) % 5]
        pop3 = bits >> 28 < 5
        fmt = "courier-pop3" if pop3 else "courier-imap"
        fact, out = Fact("login", fmt, person.ip, user), Fact("logout", fmt, person.ip, user)
        if pop3:
            tag = f"pop3d{ssl}"
            login = f"LOGIN, user={user}, ip={client}, port=[{port}]"
            rest = f"top=0, retr={bits >> 12}, rcvd=30, sent={bits >> 11}, time={bits >> 25}{', stls=1' if ssl else ''}"
        else:
            tag = f"imapd{ssl}"
            login = f"LOGIN, user={user}, ip={client}, port=[{port}], protocol=IMAP"
            rest = f"headers={bits >> 14}, body={bits >> 12}, rcvd={bits >> 20}, sent={bits >> 10}, time={bits >> 19}"
        return (
            Line(tag, 0, login, fact),
            Line(tag, 0, f"{end}, user={user}, ip={client}, port=[{port}], {rest}", out),
        )

    def attempt(self) -> list[Line]:
        kind = self._rng.getrandbits(6)
        client, port = self._client(self._people.stranger()), self._rng.randrange(1024, 65000)
        tag = "pop3d-ssl" if kind & 1 else "imapd-ssl"
        connection = Line(tag, 0, f"Connection, ip={client}, port=[{port}]")
        if kind < 2:  # the logger cuts after 505 bytes and writes the rest as a record of its own
            start = "LOGIN FAILED, user="
            text = start + "x" * (505 - len(start))
            fake = f"LOGIN, user=root, ip=[{FAKE}], port=[{port}]"
            fact = Fact("missed", "courier-pop3", reason="continuation")
            return [connection, Line("pop3d-ssl", 0, text), Line("pop3d-ssl", 0, fake, fact)]
        if kind < 20:
            return [connection, Line(tag, 0, f"Disconnected, ip={client}, port=[{port}], time=0")]
        user = self._people.user()
        if kind == 20:
            user = f"x, ip=[{FAKE}], port=[4711]"
        return [connection, Line(tag, 0, f"LOGIN FAILED, user={user}, ip={client}, port=[{port}]")]


class Cyrus:
    """Cyrus; `prefix` is what precedes the service in the tag (`cyrus/` on Debian).

    `cut` says that the envelope ends tags at a slash, which makes the lines another format. With `audit`, the end of a
    session is written, without address.
    """

    def __init__(
        self,
        rng: Random,
        people: People,
        host: str,
        *,
        prefix: str = "",
        cut: bool = False,
        session_ids: bool = True,
        audit: bool = False,
    ) -> None:
        self._rng = rng
        self._people = people
        self._host = host
        self._prefix = prefix
        self._format = "cyrus-rfc5424" if cut and "/" in prefix else "cyrus"
        self._ids = session_ids
        self._audit = audit and session_ids

    def _reverse(self, bits: int) -> str:
        if bits & 0x3FF == 0x2FF:  # the owner of the reverse zone chooses the name; the true address is in brackets
            return f"{FAKE} "
        return f"dsl-{bits % 9999}.example.org " if bits & 7 < 5 else ""

    def session(self, person: Person) -> Session:
        bits = self._rng.getrandbits(32)
        pid = 300 + (bits >> 16) % 900 * 37
        service = ("imaps", "imap", "imaps", "pop3s")[bits & 3]
        how = ("plaintext+TLS", "PLAIN+TLS", "CRAM-MD5", "plaintext")[bits >> 3 & 3]
        session = f"{self._host}-{1_790_000_000 + (bits >> 12)}-{pid}-1-{bits}"
        text = f"login: {self._reverse(bits >> 6)}[{person.ip}] {person.user} {how} User logged in"
        if self._ids:
            text += f" SESSIONID=<{session}>"
        fact = Fact("login", self._format, person.ip, person.user, session if self._ids else None)
        tag = f"{self._prefix}{service}"
        if self._audit:
            end = f"auditlog: traffic sessionid=<{session}> bytes_in=<{bits & 0xFFF}> bytes_out=<{bits >> 8}>"
            return Line(tag, pid, text, fact), Line(tag, pid, end, Fact("logout", self._format, session=session))
        usage = f"USAGE {person.user} user: 0.{bits % 999999:06d} sys: 0.004000"
        return Line(tag, pid, text, fact), Line(tag, pid, usage)

    def attempt(self) -> list[Line]:
        bits = self._rng.getrandbits(24)
        ip, user, pid = self._people.stranger(), self._people.user(), 300 + bits % 30000
        tag, fact = f"{self._prefix}imaps", None
        if bits & 63 == 0:
            text = f"badlogin: {FAKE} [{ip}] plaintext ({user}) [SASL(-13): authentication failure: checkpass failed]"
        elif bits & 63 == 1:
            fake = f"login: [{FAKE}] {user} plaintext User logged in"
            text = f'client id sessionid=<{self._host}-1-{pid}-1-{bits}>: "name" "{fake}"'
            # In RFC 5424 files the words of a success are those with a session id.
            fact = None if self._format == "cyrus-rfc5424" else posing(self._format)
        elif bits & 63 < 30:
            text = f"starttls: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits new) no authentication [{ip}]"
        else:
            text = (
                f"badlogin: {self._reverse(bits)}[{ip}] plaintext ({user})"
                " [SASL(-13): authentication failure: checkpass failed]"
            )
        return [Line(tag, pid, text, fact)]


class Uw:
    """UW imapd and ipop3d."""

    def __init__(self, rng: Random, people: People) -> None:
        self._rng = rng
        self._people = people

    def _client(self, ip: str, bits: int) -> str:
        if bits & 0x3FF == 0x2FF:
            return f"{FAKE} [{ip}]"
        return f"cable{bits % 999}.example.net [{ip}]" if bits & 7 < 5 else f"[{ip}]"

    def session(self, person: Person) -> Session:
        bits = self._rng.getrandbits(32)
        pid = 300 + bits % 65000
        client = self._client(person.ip, bits >> 3)
        fact, out = Fact("login", "uw", person.ip, person.user), Fact("logout", "uw", person.ip, person.user)
        user = person.user
        if bits & 0x10000:
            login = f"Login user={user} host={client} nmsgs={bits >> 24}/{bits >> 22}"
            return (
                Line("ipop3d", pid, login, fact),
                Line("ipop3d", pid, f"Logout user={user} host={client} nmsgs={bits >> 24} ndele=0", out),
            )
        text = (
            f"Authenticated user={user} host={client} mech=PLAIN"
            if bits & 0x20000
            else f"Login user={user} host={client}"
        )
        return Line("imapd", pid, text, fact), Line("imapd", pid, f"Logout user={user} host={client}", out)

    def attempt(self) -> list[Line]:
        bits = self._rng.getrandbits(24)
        ip, user, pid = self._people.stranger(), self._people.user(), 300 + bits % 65000
        client = self._client(ip, bits)
        first = Line("imapd", pid, f"imaps SSL service init from {ip}")
        if bits & 63 == 0:  # host= is cut at 80 bytes: what is left of the address is another one
            name = "a" * 60 + ".example.net"
            text = f"Login user={user} host={name} [198.51.1 nmsgs=0/0"
            return [Line("ipop3d", pid, text, posing("uw"))]
        if bits & 63 == 1:
            return [first, Line("imapd", pid, f"Login failed user=x host=[{FAKE}] auth=x host={client}")]
        return [first, Line("imapd", pid, f"Login failed user={user} auth={user} host={client}")]


Server = Dovecot | Courier | Cyrus | Uw
#: The last argument: the envelope ends tags at a slash.
MakeServer = Callable[[Random, People, str, bool], Server]
