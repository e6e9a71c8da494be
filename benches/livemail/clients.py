"""Clients of a real Postfix: how long from a login's line in the log until the client may relay.

Three ways to look at it, in turns:
- `fresh`: the line is appended, then sessions are opened one after the other until one may relay. This is the figure.
- `plain`: one session of a client that was granted long ago. It is Postfix' own part of the above, and the bench's.
- `inside`: the session stands already, MAIL is sent; the line is appended and RCPT is asked until it is accepted. It is
  our part with one RCPT of Postfix', for tables whose changes a session sees.
"""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path
from typing import NamedTuple

from mta.postfix import Postfix

#: Between two attempts, in seconds. Without a pause they use up the ports of 127.0.0.1, and connect() waits a second.
AGAIN = 0.001
#: A client that may not relay after so many seconds is lost.
LOST = 30.0


class Took(NamedTuple):
    """Milliseconds of many tries."""

    tries: int
    median: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: list[float]) -> Took:
        """99 % of the tries took `p99` at most (the nearest rank)."""
        found = sorted(1000 * each for each in seconds)
        return cls(len(found), statistics.median(found), found[-(len(found) // 100) - 1], found[-1])


class Clients:
    """Fresh addresses that log in into this log and relay through this Postfix."""

    def __init__(self, log: Path, postfix: Postfix, *, inside: bool) -> None:
        self._log = log.open("ab", buffering=0)
        self._postfix = postfix
        self._inside = inside
        self._random = random.Random(1)
        self.logins = 0
        self.at_once = 0
        """How many fresh ones were accepted at the first attempt."""
        self.seconds: dict[str, list[float]] = {"fresh": [], "plain": [], "inside": []}

    def go_on(self, end: float, pause: float) -> None:
        """Try until `end` on the monotonic clock, with some `pause` seconds between two clients, never in step."""
        while time.monotonic() < end:
            known = self._fresh()
            time.sleep(pause * self._random.uniform(0.5, 1.5))
            self._plain(known)
            if self._inside:
                self._session()
            time.sleep(pause * self._random.uniform(0.5, 1.5))

    def close(self) -> None:
        self._log.close()

    def _fresh(self) -> str:
        ip = self._address()
        assert self._postfix.rcpt(ip).denied, ip
        line = login_line(ip)
        begun = time.perf_counter()
        self._log.write(line)
        attempts = 1
        while not self._postfix.rcpt(ip).relayed:
            attempts += 1
            assert time.perf_counter() < begun + LOST, f"{ip} was never granted"
            time.sleep(AGAIN)
        self.seconds["fresh"].append(time.perf_counter() - begun)
        self.at_once += attempts == 1
        return ip

    def _plain(self, ip: str) -> None:
        begun = time.perf_counter()
        assert self._postfix.rcpt(ip).relayed, ip
        self.seconds["plain"].append(time.perf_counter() - begun)

    def _session(self) -> None:
        ip = self._address()
        with self._postfix.session(ip) as session:
            assert session.rcpt().denied, ip
            line = login_line(ip)
            begun = time.perf_counter()
            self._log.write(line)
            while not session.rcpt().relayed:
                assert time.perf_counter() < begun + LOST, f"{ip} was never granted"
            self.seconds["inside"].append(time.perf_counter() - begun)

    def _address(self) -> str:
        """One that nobody else has: 198.18.0.0/15 is for measurements (RFC 2544)."""
        self.logins += 1
        return f"198.{18 + (self.logins >> 16)}.{self.logins >> 8 & 255}.{self.logins & 255}"


def login_line(ip: str) -> bytes:
    """A login from this address, now."""
    timestamp = time.strftime("%b %e %H:%M:%S")
    text = f"imap-login: Login: user=<u@here.test>, method=PLAIN, rip={ip}, lip=192.0.2.1, TLS"
    return f"{timestamp} mx1 dovecot: {text}\n".encode()
