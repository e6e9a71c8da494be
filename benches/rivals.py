#!/usr/bin/env python3
"""`pbs-fast bench` beside its rivals, in alternation: both twins, `rg -c -j1` and a Python `re` loop with one pattern.

    benches/rivals.py [--lines N] [--rounds N] [--log FILE] [--json FILE]

A round runs every contender once, so that a busy machine harms all alike; medians and ratios come from at least three.
Counts are asserted: bench against the generator's truth, the pattern's count in ripgrep against Python's. Method and
bias: benches/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pbs_fast.bench.hublog import Options, write_log

DATA = Path(__file__).parent / "data"

#: One pattern: the logins of one server, Dovecot from 1.0 to 2.4, in the wording that ripgrep is best at.
PATTERN = r"(?:imap|pop3)-login: (?:Login|Logged in): user=<([^>]*)>.*, rip=([0-9a-f.:]+)"

Sample = dict[str, float]


def log_and_totals(lines: int) -> tuple[Path, dict[str, Any]]:
    """The log of this size, generated once, and the truth about it."""
    DATA.mkdir(exist_ok=True)
    log = DATA / f"hub-{lines}.log"
    totals = log.with_suffix(".json")
    if not totals.exists():
        print(f"generating {log.name} ...", file=sys.stderr)
        totals.write_text(json.dumps(write_log(log, Options(lines=lines))))
    return log, json.loads(totals.read_text())


def bench(log: Path, totals: dict[str, Any] | None, *options: str) -> Sample:
    """One replay; its own clock, which starts at the first read."""
    command = [sys.executable, "-m", "pbs_fast", "bench", "--json", "--log-timezone=UTC", *options, str(log)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    truth = totals or {}
    for key in truth.keys() & found.keys():
        assert found[key] == truth[key], f"{key}: found {found[key]}, true is {truth[key]}"
    stages = found["stages"]
    columns = found["seconds"] - stages["ledger"] - stages["table"]
    return {"seconds": found["seconds"], "columns": columns, "lines": found["lines"]}


def ripgrep(log: Path) -> Sample:
    """Wall time of the process: its start takes some 3 ms."""
    started = time.perf_counter()
    done = subprocess.run(["rg", "--no-config", "-c", "-j1", PATTERN, str(log)], capture_output=True, check=True)
    return {"seconds": time.perf_counter() - started, "count": int(done.stdout)}


def python_loop(log: Path) -> Sample:
    """The simplest program that finds the same lines."""
    search = re.compile(PATTERN.encode()).search
    count = 0
    started = time.perf_counter()
    with log.open("rb") as lines:
        for line in lines:
            if search(line):
                count += 1
    return {"seconds": time.perf_counter() - started, "count": count}


def machine() -> str:
    """What the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)):
        model = found[1]
    version = subprocess.run(
        [sys.executable, "-m", "pbs_fast", "version", "--json"], capture_output=True, check=True
    ).stdout
    facts = json.loads(version)
    return (
        f"{model}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {facts['python']};"
        f" pbs-fast {facts['version']} ({facts['core']}, {facts['build']})"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure pbs-fast bench beside its rivals.")
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--log", type=Path, help="a log of your own instead of a generated one")
    parser.add_argument("--json", type=Path, help="write all samples there")
    given = parser.parse_args()
    log, totals = (given.log, None) if given.log else log_and_totals(given.lines)
    log.read_bytes()  # everything below reads from memory
    contenders: dict[str, Callable[[], Sample]] = {
        "rust, 1 thread": lambda: bench(log, totals, "--core=rust", "--threads=1"),
        "rust, default threads": lambda: bench(log, totals, "--core=rust"),
        "python": lambda: bench(log, totals, "--core=python"),
        "re loop, one pattern": lambda: python_loop(log),
    }
    if shutil.which("rg"):
        contenders["rg -c -j1, one pattern"] = lambda: ripgrep(log)
    else:
        print("rg is not installed: no ratios to it", file=sys.stderr)
    print(machine())
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(given.rounds):
        for name, run in contenders.items():
            samples[name].append(run())
        print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
    assert len({sample["count"] for runs in samples.values() for sample in runs if "count" in sample}) == 1
    lines = samples["python"][0]["lines"]
    print(f"{log.name}: {lines:,} lines, {log.stat().st_size / 1e6:.0f} MB, {given.rounds} rounds in alternation\n")
    print(f"{'':<24}{'median s':>10}{'best s':>10}{'lines/s':>14}{'x rg':>8}   scan to columns: median s, x rg")
    rivals = samples.get("rg -c -j1, one pattern")
    base = statistics.median(sample["seconds"] for sample in rivals) if rivals else None
    for name, runs in samples.items():
        median = statistics.median(sample["seconds"] for sample in runs)
        best = min(sample["seconds"] for sample in runs)
        row = f"{name:<24}{median:>10.3f}{best:>10.3f}{lines / median:>14,.0f}{_ratio(median, base):>8}"
        # With several threads the ledger works while others scan, so that the difference says nothing.
        if "columns" in runs[0] and "default" not in name:
            columns = statistics.median(sample["columns"] for sample in runs)
            row += f"   {columns:.3f}, {_ratio(columns, base)}"
        print(row)
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "samples": samples}, indent=1) + "\n")
    return 0


def _ratio(seconds: float, base: float | None) -> str:
    return "-" if base is None else f"{seconds / base:.2f}"


if __name__ == "__main__":
    sys.exit(main())
