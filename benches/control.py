#!/usr/bin/env python3
"""What the control sockets cost the daemon: turns of its loop under 64 clients, a status at a million rows, memory.

    benches/control.py                # a minute
    benches/control.py --rate 50000   # lines a second in the log; by default 1 000

Prints one JSON object. The turns are those of one real daemon in alternating phases, without and with the clients, so
that a busy machine slows both alike; a turn is timed without its waiting.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from pbs_fast.caps.counter import CapCounter
from pbs_fast.caps.limits import Limits
from pbs_fast.config import Guards as GuardConfig
from pbs_fast.config.model import Share as ShareKeys
from pbs_fast.control.client import ask
from pbs_fast.control.protocol import Ping, Status, Watch
from pbs_fast.control.wire import encode_request
from pbs_fast.daemon.cap_state import CapState
from pbs_fast.daemon.cap_watch import CapWatch
from pbs_fast.daemon.live import LiveState
from pbs_fast.daemon.log_set import LogSet
from pbs_fast.daemon.manual import ManualRows
from pbs_fast.daemon.publisher import Publisher
from pbs_fast.daemon.refusals import RING, Refusals
from pbs_fast.daemon.share import Share
from pbs_fast.daemon.share_view import ShareView
from pbs_fast.daemon.status import StatusBoard
from pbs_fast.events import Batch
from pbs_fast.guards import Guards, Refusal, read_machine
from pbs_fast.guards.deny import DenyList
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.health.notices import Notices
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.util.clock import Clock

CLIENTS = 64
MILLION = 1_000_000
#: Bounds of OPERATIONS: the ratio of the turns' p99, a snapshot in milliseconds, what the rings hold in MiB.
RATIO, SNAPSHOT_MS, RINGS_MIB = 1.10, 1.0, 2.25

_TIMED = """
import json, sys, time
from pbs_fast.cli import main
from pbs_fast.daemon import loop
turns, turn = [], loop.Daemon._turn
def timed(self):
    begun = time.monotonic()
    turn(self)
    turns.append((begun, time.monotonic() - begun))
loop.Daemon._turn = timed
out = sys.argv.pop(1)
status = main()
with open(out, "w") as file:
    json.dump(turns, file)
sys.exit(status)
"""


def write(log: Path, rate: int, stop: Event) -> None:
    """Lines of a hub, a twelfth of them logins, in a hundred writes a second."""
    chance = random.Random(1)
    with log.open("a") as file:
        while not stop.is_set():
            now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
            for number in range(max(1, rate // 100)):
                if number % 12:
                    file.write(f"{now} hub postfix/smtpd[71]: connect from unknown[203.0.113.{number % 250}]\n")
                else:
                    ip = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"
                    file.write(
                        f"{now} hub dovecot: imap-login: Login: user=<u{number}>, method=PLAIN, rip={ip}, "
                        "lip=192.0.2.10, mpid=71, TLS, session=<9mVjWnQ7pQDLAHEF>\n"
                    )
            file.flush()
            stop.wait(0.01)


def clients(place: str, go: Any, stop: Any, answered: Any) -> None:
    """CLIENTS that ask for the status in a loop while `go` is set; one watcher that reads, one that does not."""
    os.nice(10)  # what their own work takes from the daemon's processor is not what is asked here
    connections: list[socket.socket] = []
    request = encode_request(1, Status())
    while not stop.is_set():
        if not go.wait(0.05):
            continue
        for _ in range(CLIENTS - 2):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(5)
            connection.connect(f"{place}/run/status")
            connections.append(connection)
        watchers = []
        for _ in range(2):
            watcher = socket.socket(socket.AF_UNIX)
            watcher.connect(f"{place}/run/status")
            watcher.sendall(encode_request(1, Watch()))
            watchers.append(watcher)
        threads = [Thread(target=loop_of, args=(each, request, go, answered)) for each in connections]
        threads.append(Thread(target=read_all, args=(watchers[0], go)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for each in (*connections, *watchers):
            each.close()
        connections.clear()


def loop_of(connection: socket.socket, request: bytes, go: Any, answered: Any) -> None:
    with connection.makefile("rb") as replies, suppress(OSError):
        while go.is_set():
            connection.sendall(request)
            if replies.readline():
                answered.value += 1  # roughly: it only has to be many


def read_all(watcher: socket.socket, go: Any) -> None:
    watcher.settimeout(0.1)
    while go.is_set():
        with suppress(TimeoutError):
            watcher.recv(1 << 16)


def turns(rate: int, rounds: int, seconds: float) -> dict[str, float]:
    """p50 and p99 of the turns in milliseconds, without and with the clients, and the ratio of the p99."""
    with tempfile.TemporaryDirectory(prefix="control") as name:
        place = Path(name)
        (place / "c.toml").write_text(
            f'mynetworks = ["127.0.0.0/8"]\ndeny = "{place}/deny"\ncontrol.directory = "{place}/run"\n'
            f'state_directory = "{place}"\nguards.max_new_per_minute = 1000000\n'
        )
        log, out = place / "mail.log", place / "turns"
        log.touch()
        options = [f"--config={place}/c.toml", f"--watchlog={log}", f"--dbfile=lmdb:{place}/relay"]
        daemon = subprocess.Popen([sys.executable, "-c", _TIMED, str(out), "run", *options, f"--logto={place}/own"])
        stop, context = Event(), multiprocessing.get_context("fork")
        go, over, answered = context.Event(), context.Event(), context.Value("L", 0)
        asking = context.Process(target=clients, args=(name, go, over, answered))
        asking.start()
        writer = Thread(target=write, args=(log, rate, stop))
        phases: list[tuple[bool, float, float]] = []
        try:
            end = time.monotonic() + 30
            while time.monotonic() < end:
                with suppress(Exception):
                    ask(place / "run" / "status", Ping())
                    break
                time.sleep(0.1)
            writer.start()
            time.sleep(1)
            for number in range(2 * rounds):
                busy = number % 4 in (1, 2)
                (go.set if busy else go.clear)()
                time.sleep(0.5)
                phases.append((busy, time.monotonic(), time.monotonic() + seconds))
                time.sleep(seconds)
            go.clear()
        finally:
            stop.set()
            over.set()
            writer.join()
            asking.join(10)
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
        record = json.loads(out.read_text())
    found: dict[bool, list[float]] = {True: [], False: []}
    for busy, begun, end in phases:
        found[busy] += [1e3 * took for at, took in record if begun <= at < end]
    result: dict[str, float] = {"answered_per_s": round(answered.value / (rounds * seconds))}
    for busy, words in ((False, "alone"), (True, "asked")):
        # Questions add short turns. So it is not the asked daemon's own p99, but what as many turns a second exceed.
        slowest = sorted(found[busy], reverse=True)[len(found[False]) // 100]
        middle = statistics.median(found[busy])
        result |= {f"turns_{words}": len(found[busy]), f"p50_{words}_ms": middle, f"p99_{words}_ms": slowest}
    result["p99_ratio"] = result["p99_asked_ms"] / result["p99_alone_ms"]
    return {name: round(value, 3) for name, value in result.items()}


def snapshot() -> dict[str, float]:
    """Milliseconds of a status with a million rows, the median and the slowest of 200."""
    ledger = Ledger(1800)
    clock = Clock()
    now = int(clock.now())
    for start in range(0, MILLION, 100_000):
        ledger.observe(
            logins([f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(start, start + 100_000)], now), now
        )
    guards = Guards(GuardConfig(), read_netblocks((), "postconf"), read_machine(), DenyList(), ledger.counters)
    notices, counter = Notices(), CapCounter(Limits())
    caps = CapWatch(counter, clock, notices, CapState(counter, None, clock))
    manual = ManualRows(None, clock, ledger.window)
    live = LiveState(ledger, guards, Publisher([]), manual, LogSet([]), clock, caps)
    share = Share(ShareKeys(), "", lambda _: (), b"", ledger=ledger, clock=clock)
    board = StatusBoard(live, notices, "rust", ShareView(share, clock))
    took = []
    for _ in range(200):
        begun = time.perf_counter()
        board.snapshot(ready=True)
        took.append(1e3 * (time.perf_counter() - begun))
    begun = time.perf_counter()
    ledger.addresses()
    addresses = 1e3 * (time.perf_counter() - begun)
    return {
        "snapshot_p50_ms": round(statistics.median(took), 3),
        "snapshot_max_ms": round(max(took), 3),
        "addresses_ms": round(addresses, 1),
    }


def logins(ips: list[str], now: int) -> Batch:
    count = len(ips)
    columns = (ips, [now] * count, [now] * count, [1] * count, ["login"] * count, ["dovecot"] * count, ["mx"] * count)
    more = ([0] * count, [None] * count, [False] * count, [None] * count, ["u"] * count, ["u"] * count, [1] * count)
    return Batch("bench", *columns, *more, [""] * count)  # type: ignore[arg-type]


def memory() -> dict[str, float]:
    """MiB of a full ring of refusals, each with texts of its own."""
    tracemalloc.start()
    ring = Refusals()
    for number in range(2 * RING):
        name = f"user{number}@example.org"
        ring.add(
            [Refusal(f"203.0.{number >> 8}.{number & 255}", "deny", 1, name, "mx1", 1_796_000_000 + number, "log")]
        )
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"refusals_mib": round(used / (1 << 20), 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=1_000, help="lines a second")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a phase")
    given = parser.parse_args()
    found = {"load": round(os.getloadavg()[0], 1), "rate": given.rate}
    found |= turns(given.rate, given.rounds, given.seconds) | snapshot() | memory()
    print(json.dumps(found, indent=1))
    within = (
        found["p99_ratio"] <= RATIO
        and found["snapshot_p50_ms"] <= SNAPSHOT_MS
        and found["refusals_mib"] <= RINGS_MIB
        and found["answered_per_s"] > CLIENTS
    )
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
