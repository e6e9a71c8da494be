#!/usr/bin/env python3
"""How long an smtpd waits for the policy service, alone and in a flood of lines, and what that costs a RCPT.

    benches/policy.py            # 4 minutes; --quick: one
    benches/policy.py --rate 50000 --seconds 20 --rounds 3

Prints one JSON object a figure. Run as root with Postfix installed.
- `flood`: answers of a daemon that follows so many lines a second, by backend and by sys.setswitchinterval: the
  default of 5 ms, and ours. The four take turns, so that a busy machine slows all alike.
- `rcpt`: one RCPT with the service in front of `lmdb:` next to `lmdb:` alone, by two Postfix that take turns.
- `rate`: RCPTs a second of 20 sessions at once that pipeline, likewise.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from livemail import daemon, page
from livemail.asking import CLIENT, ask
from livemail.runs import MAIN_CF, place, writing
from mta.postfix import Postfix, running
from pbs_fast.daemon.open_tables import SWITCH
from pbs_fast.events import Grant
from pbs_fast.tables import open_table

ROW = Grant(4_000_000_000, "anna@example.org", "dovecot", "new")
SESSIONS = 20
#: RCPTs that a session sends at once (RFC 2920).
PIPELINED = 50

_DAEMON = """
import sys
from pbs_fast.daemon import open_tables
open_tables.SWITCH = float(sys.argv.pop(1))
from pbs_fast.cli import main
sys.exit(main())
"""


def quantiles(took: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(took[len(took) // 2], 3),
        "p99_ms": round(took[len(took) * 99 // 100], 3),
        "max_ms": round(took[-1], 3),
    }


def flood(rate: int, seconds: float, rounds: int) -> Iterator[dict[str, Any]]:
    """Each round once with each backend and setting; medians of the rounds."""
    ways = [(core, switch) for core in ("rust", "python") for switch in (0.005, SWITCH)]
    found: dict[tuple[str, float], list[list[float]]] = {way: [] for way in ways}
    reached: dict[tuple[str, float], list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for core, switch in ways:
            with place() as directory:
                log, path = directory / "mail.log", directory / "policy"
                log.touch()
                program = (sys.executable, "-c", _DAEMON, str(switch))
                options = (f"--table=policy:unix:{path}", f"--core={core}")
                with (
                    writing(log, rate, seconds) as writer,
                    daemon.running(log, f"lmdb:{directory}/relay", *options, program=program),
                ):
                    writer.begin()
                    found[core, switch].append(ask(path, seconds))
                    wrote = writer.end()
                    reached[core, switch].append(wrote["lines"] / wrote["seconds"] if rate else 0)
    for core, switch in ways:
        runs = [quantiles(took) for took in found[core, switch]]
        yield {
            "figure": "flood",
            "core": core,
            "switch_ms": 1e3 * switch,
            "lines_per_s": round(statistics.median(reached[core, switch])),
            **{name: statistics.median(run[name] for run in runs) for name in runs[0]},
            "p99_of_each_round": [run["p99_ms"] for run in runs],
        }
    for core in ("rust", "python"):
        p99 = {
            switch: statistics.median(quantiles(took)["p99_ms"] for took in found[core, switch])
            for switch in (0.005, SWITCH)
        }
        yield {"figure": "flood", "core": core, "p99_ratio": round(p99[SWITCH] / p99[0.005], 3)}


def rcpts(seconds: float, rounds: int) -> Iterator[dict[str, Any]]:
    """The table alone, and with the service in front of it."""
    with place() as directory, ExitStack() as stack:
        lmdb = open_table(f"lmdb:{directory}/relay")
        stack.callback(lmdb.close)
        policy = open_table(f"policy:unix:{directory}/policy")
        stack.callback(policy.close)
        for table in (lmdb, policy):
            table.rebuild({CLIENT: ROW})
        behind = f"check_client_access {lmdb.spec}, reject_unauth_destination"
        clause = f"check_policy_service {{ unix:{directory}/policy, timeout=5s, default_action=DUNNO }}"
        main_cf = [*MAIN_CF, "smtpd_recipient_limit = 1000000", "smtpd_client_recipient_rate_limit = 0"]
        sites = {
            name: stack.enter_context(running("", restrictions=relay, smtpd_limit=SESSIONS + 5, main_cf=main_cf))
            for name, relay in (
                ("lmdb", f"permit_auth_destination, {behind}"),
                ("policy", f"permit_auth_destination, {clause}, {behind}"),
            )
        }
        yield compare("rcpt", sites, lambda site: one_after_another(site, seconds), rounds)
        yield compare("rate", sites, lambda site: at_once(site, seconds), rounds)


def compare(figure: str, sites: dict[str, Postfix], measure: Callable[[Postfix], float], rounds: int) -> dict[str, Any]:
    """Medians of the rounds, and their ratio."""
    runs: dict[str, list[float]] = {name: [] for name in sites}
    for _ in range(rounds):
        for name, site in sites.items():
            runs[name].append(measure(site))
    unit = "p50_ms" if figure == "rcpt" else "rcpts_per_s"
    found = {name: statistics.median(each) for name, each in runs.items()}
    return {
        "figure": figure,
        **{f"{name}_{unit}": round(value, 3) for name, value in found.items()},
        "ratio": round(found["policy"] / found["lmdb"], 3),
    }


class Pipe:
    """A session of SMTP without the library: its time would be most of what is measured."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._replies = self._socket.makefile("rb")
        self._sent = 0
        self._reply()
        for command in ("EHLO x", f"XCLIENT ADDR={CLIENT} NAME=[UNAVAILABLE]", "EHLO x", "MAIL FROM:<user@here.test>"):
            self._socket.sendall(f"{command}\r\n".encode())
            assert self._reply().startswith(b"2"), command

    def send(self, count: int) -> None:
        """So many RCPTs at once, each for another recipient: Postfix remembers how it resolved the last ones."""
        numbers = range(self._sent, self._sent + count)
        self._socket.sendall(b"".join(b"RCPT TO:<f%d@elsewhere.test>\r\n" % number for number in numbers))
        self._sent += count

    def receive(self, count: int) -> None:
        """Their replies; all must be accepted."""
        for _ in range(count):
            reply = self._reply()
            assert reply.startswith(b"250"), reply

    def close(self) -> None:
        self._replies.close()
        self._socket.close()

    def _reply(self) -> bytes:
        while (line := self._replies.readline())[3:4] == b"-":
            pass
        return line


def one_after_another(site: Postfix, seconds: float) -> float:
    """The median of single RCPTs, in milliseconds."""
    session, took = Pipe(site.port), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        session.send(1)
        session.receive(1)
        took.append(1e3 * (time.perf_counter() - begun))
    session.close()
    return statistics.median(took)


def at_once(site: Postfix, seconds: float) -> float:
    """RCPTs a second of SESSIONS, by one process that writes to all before it reads."""
    context = multiprocessing.get_context("fork")
    count = context.Value("L", 0)
    asking = context.Process(target=_at_once, args=(site.port, seconds, count))
    asking.start()
    asking.join()
    return float(count.value) / seconds


def _at_once(port: int, seconds: float, count: Any) -> None:
    sessions = [Pipe(port) for _ in range(SESSIONS)]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for session in sessions:
            session.send(PIPELINED)
        for session in sessions:
            session.receive(PIPELINED)
        count.value += SESSIONS * PIPELINED
    for session in sessions:
        session.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    parser.add_argument("--rate", type=int, default=50_000, help="lines a second of the flood")
    parser.add_argument("--seconds", type=float, help="length of each run; by default 10, quick 4")
    parser.add_argument("--rounds", type=int, help="by default 4, quick 2")
    given = parser.parse_args()
    if (reason := page.obstacle()) is not None:
        print(f"policy.py: {reason}", file=sys.stderr)
        return 1
    seconds, rounds = given.seconds or (4 if given.quick else 10), given.rounds or (2 if given.quick else 4)
    print(json.dumps({"load": os.getloadavg()[0]}), flush=True)
    for figure in rcpts(seconds / 4, rounds):
        print(json.dumps(figure), flush=True)
    for figure in flood(given.rate, seconds, rounds):
        print(json.dumps(figure), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
