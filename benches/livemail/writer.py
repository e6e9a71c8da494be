"""A process of its own that appends a hub's log to a file at a steady rate: RATE lines a second for SECONDS.

    writer.py LOG RATE SECONDS

Says `ready` when the lines are made, begins on a line from standard input, and ends with a JSON object of what it
wrote. Lines that are due go out in one write a millisecond, as rsyslog writes what has gathered; a write that comes
late is made up for, so that the rate holds.
"""

from __future__ import annotations

import json
import os
import sys
import time

from pbs_fast.bench.hublog import Options, iter_lines

#: Seconds between two writes, where more than one line is due in that time.
TICK = 0.001
#: Seconds that it takes to make a line.
MAKE = 3e-6


def ticks(rate: int, seconds: float) -> tuple[list[bytes], int, int]:
    """What is to be written each tick, how many lines that is, and how many of them are logins.

    Timestamped as of when they will be written, give or take some seconds.
    """
    lines = int(rate * seconds)
    start = int(time.time() + MAKE * lines)
    each = max(1, round(rate * TICK))
    found: list[bytes] = []
    gathered: list[bytes] = []
    logins = 0
    for line, truth in iter_lines(Options(lines=lines, rate=rate, start=start)):
        logins += truth.kind == "login"
        gathered.append(line)
        if len(gathered) == each:
            found.append(b"\n".join(gathered) + b"\n")
            gathered = []
    if gathered:
        found.append(b"\n".join(gathered) + b"\n")
    return found, lines, logins


def write(log: str, blocks: list[bytes], pause: float) -> tuple[float, float]:
    """Seconds that it took, and by how many the latest block came late."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    latest = 0.0
    begun = due = time.perf_counter()
    for block in blocks:
        early = due - time.perf_counter()
        if early > 0:
            time.sleep(early)
        else:
            latest = max(latest, -early)
        os.write(descriptor, block)
        due += pause
    os.close(descriptor)
    return time.perf_counter() - begun, latest


def main() -> None:
    log, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    blocks, lines, logins = ticks(rate, seconds)
    print("ready", flush=True)
    sys.stdin.readline()
    took, latest = write(log, blocks, max(1, round(rate * TICK)) / rate)
    print(json.dumps({"lines": lines, "logins": logins, "seconds": took, "latest_ms": 1000 * latest}))


if __name__ == "__main__":
    main()
