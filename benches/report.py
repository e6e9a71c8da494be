#!/usr/bin/env python3
"""How fast `pbs-fast report` is next to `pbs-fast bench` on the same log, in alternating runs; and its memory.

benches/report.py                      # 2 million lines of the generated hub log
benches/report.py --lines=200000 --core=python
benches/report.py --log /var/log/mail.log
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = [sys.executable, "-m", "pbs_fast"]
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", help="your own log, instead of the generated one")
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--core", default="auto")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        log = options.log or f"{place}/hub.log"
        if options.log is None:
            subprocess.run([*PROGRAM, "bench", f"--generate={options.lines}", f"--keep={log}"], check=True, stdout=-3)
        shared = ["--log-timezone=UTC", f"--core={options.core}", f"--threads={options.threads}", log]
        commands = {
            "bench": [*PROGRAM, "bench", "--json", *shared],
            "report": [*PROGRAM, "report", "--mynetworks=127.0.0.0/8", *shared],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                seconds[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        size = Path(log).stat().st_size / 1e6
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    for name, used in seconds.items():
        print(f"{name:<7} {statistics.median(used):6.2f} s of processor, {size / statistics.median(used):6.0f} MB/s")
    ratio = statistics.median(bench / report for bench, report in zip(*seconds.values(), strict=True))
    print(f"report runs at {ratio:.2f} of the speed of bench; most memory of either: {peak:.0f} MB")


if __name__ == "__main__":
    main()
