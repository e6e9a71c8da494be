#!/usr/bin/env python3
"""What metrics cost the daemon: the loop's own part of them in relation to its turns, and the time of one snapshot.

    benches/metrics.py    # a quarter of a minute

Prints one JSON object. It is one real daemon that is scraped each second while logins come, so a busy machine slows
both alike. `ratio` is a turn with what it does for metrics to a turn without.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

from pbs_fast.cli import main
from pbs_fast.daemon.measures import Measures
from pbs_fast.metrics.snapshot import Snapshot

SECONDS = 12.0
PORT = 29_871
#: OPERATIONS: at most this for the local path.
RATIO = 1.1


def play(log: Path) -> None:
    """Logins, some 1,700 a second, and a scrape each second; then the daemon is asked to stop."""
    time.sleep(2)
    number, end, scraped = 0, time.monotonic() + SECONDS, 0.0
    with log.open("ab", buffering=0) as file:
        while (now := time.monotonic()) < end:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
            for _ in range(10):
                number += 1
                ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
                file.write(
                    f"{stamp} hub dovecot: imap-login: Login: user=<u{number}>, method=PLAIN, rip={ip}, "
                    "lip=192.0.2.10, mpid=71, TLS, session=<9mVjWnQ7pQDLAHEF>\n".encode()
                )
            if now - scraped >= 1:
                scraped = now
                with urlopen(f"http://127.0.0.1:{PORT}/metrics") as answer:
                    answer.read()
            time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGTERM)


def run() -> int:
    turns: list[float] = []
    own: list[float] = []
    snapshots: list[float] = []
    turned, snapshot = Measures.turned, Measures.snapshot

    def timed_snapshot(self: Measures) -> Snapshot:
        begun = time.perf_counter()
        found = snapshot(self)
        snapshots.append(time.perf_counter() - begun)
        return found

    def timed(self: Measures, seconds: float) -> None:
        begun = time.perf_counter()
        turned(self, seconds)
        own.append(time.perf_counter() - begun)
        turns.append(seconds)

    Measures.snapshot = timed_snapshot  # type: ignore[method-assign]
    Measures.turned = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        log = place / "mail.log"
        log.touch()
        (place / "networks").write_text("127.0.0.0/8\n")
        (place / "pbs.toml").write_text(
            f'mynetworks = ["{place}/networks"]\ndeny = "{place}/deny.toml"\nstate_directory = "{place}"\n'
            f'watchlog = "{log}"\ndbfile = "lmdb:{place}/relay"\nlogto = "{place}/own.log"\n[guards]\n'
            f'max_new_per_minute = 1000000\n[control]\ndirectory = "{place}/run"\n'
            f'[metrics]\nlisten = "127.0.0.1:{PORT}"\n'
        )
        Thread(target=play, args=(log,), daemon=True).start()
        with suppress(SystemExit):
            main(["run", f"--config={place}/pbs.toml"])
    ratio = (sum(turns) + sum(own)) / sum(turns)
    print(
        json.dumps(
            {
                "turns": len(turns),
                "turn_us": round(1e6 * sum(turns) / len(turns), 1),
                "metrics_us_per_turn": round(1e6 * sum(own) / len(own), 1),
                "ratio": round(ratio, 4),
                "snapshot_us": round(1e6 * sum(snapshots) / len(snapshots), 1),
            }
        )
    )
    return 0 if ratio <= RATIO else 1


if __name__ == "__main__":
    sys.exit(run())
