"""Clients that log in at a steady rate, each soon to relay: what they wait for, minute by minute.

They arrive at random (a Poisson process). One half opens session after session until one may relay: that is the
latency. The other half opens one session `SOON` seconds after the login and never another: these must all be accepted.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from livemail import daemon
from livemail.clients import LOST, Took, login_line
from livemail.runs import MAIN_CF, place
from mta.postfix import Postfix, running
from mtatables.load import one_session

#: When the clients of the second half try, in seconds after their login.
SOON = 0.2
#: Between two sessions of a client that is not yet accepted, in seconds.
AGAIN = 0.004
#: Clients under way at a time.
WORKERS = 40
#: How long a row lives, in seconds; clients that log in before the measured time make as many rows end as begin.
GRACE = 30
SMTPDS = 10


class Minute(NamedTuple):
    """What the clients of one minute found."""

    took: Took
    tried_once: int
    accepted: int
    """Of these, how many at that try."""
    load: float


class Steady(NamedTuple):
    """One run."""

    table: str
    rate: float
    minutes: list[Minute]
    took: Took
    """Of all minutes."""
    writes: float | None
    """Changes of the file a second; None if it was replaced meanwhile."""
    restarts: float
    """Restarts of all smtpds together, a second."""
    busiest: int
    """The most restarts of one second, shared among `SMTPDS`."""
    share: float
    """The daemon's, of one processor."""


class _Clients:
    """What each client found, by the minute of its login."""

    def __init__(self, log: Path, postfix: Postfix) -> None:
        self._log = log.open("ab", buffering=0)
        self._port = postfix.port
        self.logins = 0
        self.seconds: dict[int, list[float]] = {}
        self.codes: dict[int, list[int]] = {}
        self.loads: dict[int, float] = {}

    def arrive(self, pool: ThreadPoolExecutor, rate: float, seconds: float, seed: int) -> None:
        """Log in, `rate` clients a second, for so many seconds; the pool's threads relay."""
        chance = random.Random(seed)
        begun = due = time.monotonic()
        under_way = []
        while due < begun + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            self.logins += 1
            minute = int((due - begun) / 60)
            self.loads.setdefault(minute, os.getloadavg()[0])
            ip = f"198.{18 + (self.logins >> 16)}.{self.logins >> 8 & 255}.{self.logins & 255}"
            self._log.write(login_line(ip))
            work = self._once if self.logins % 2 else self._until_accepted
            under_way.append(pool.submit(work, ip, time.perf_counter(), minute))
            due += chance.expovariate(rate)
        for each in under_way:
            each.result()

    def _until_accepted(self, ip: str, begun: float, minute: int) -> None:
        while one_session(self._port, ip) != 250:
            if time.perf_counter() > begun + LOST:
                raise AssertionError(f"{ip} was never granted")
            time.sleep(AGAIN)
        self.seconds.setdefault(minute, []).append(time.perf_counter() - begun)

    def _once(self, ip: str, begun: float, minute: int) -> None:
        time.sleep(max(0.0, begun + SOON - time.perf_counter()))
        self.codes.setdefault(minute, []).append(one_session(self._port, ip))

    def forget(self) -> None:
        """Begin anew to collect."""
        self.seconds, self.codes, self.loads = {}, {}, {}

    def close(self) -> None:
        self._log.close()


def steady(kind: str, rate: float, seconds: float) -> Steady:
    """One run on a table of this type."""
    with place() as directory:
        log = directory / "mail.log"
        log.touch()
        table = f"{kind}:{directory}/relay"
        with (
            daemon.running(log, table, f"--grace={GRACE}") as ours,
            running(table, smtpd_limit=SMTPDS, main_cf=MAIN_CF) as postfix,
            ThreadPoolExecutor(WORKERS) as pool,
        ):
            file = next(each for each in directory.iterdir() if each.suffix in (".db", ".cdb", ".lmdb"))
            clients = _Clients(log, postfix)
            clients.arrive(pool, rate, GRACE + 5, seed=1)
            clients.forget()
            before, spent, said = file.stat(), ours.spent(), len(postfix.logged())
            begun = time.monotonic()
            clients.arrive(pool, rate, seconds, seed=2)
            took = time.monotonic() - begun
            after, spent = file.stat(), ours.spent() - spent
            restarted = restarts_by_second(postfix.logged()[said:])
            clients.close()
    same = (before.st_ino, before.st_dev) == (after.st_ino, after.st_dev)
    return Steady(
        kind,
        rate,
        [_minute(clients, minute) for minute in sorted(clients.loads)],
        Took.of([each for found in clients.seconds.values() for each in found]),
        (after.st_mtime - before.st_mtime) / took if same and kind == "hash" else None,
        sum(restarted) / took,
        max(restarted, default=0),
        spent / took,
    )


def _minute(clients: _Clients, minute: int) -> Minute:
    codes = clients.codes.get(minute, [])
    return Minute(Took.of(clients.seconds[minute]), len(codes), codes.count(250), clients.loads[minute])


def restarts_by_second(text: str) -> Sequence[int]:
    """How many smtpds ended because the table had changed, in each second of Postfix' log that has any."""
    seconds: dict[str, int] = {}
    for found in re.finditer(r"^(\w+ +\d+ [\d:]+) .* has changed -- restarting$", text, re.MULTILINE):
        seconds[found[1]] = seconds.get(found[1], 0) + 1
    return list(seconds.values())
