"""Programs that are given a log: each run is a Sample. pbs-fast in its forms; its rivals are in `rivals`."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from measure.logs import Log


class Sample(NamedTuple):
    """One run."""

    seconds: float
    """Wall time; of pbs-fast by its own clock, from its first read to its last update."""
    cpu: float
    """Processor time of the whole process, start included."""
    lines: int
    found: object
    """What was found; equal in all runs of one contender."""
    record: dict[str, Any]
    """Of pbs-fast: the JSON object of `bench`."""


class Contender(NamedTuple):
    """Somebody who reads a log."""

    name: str
    run: Callable[[Log], Sample]
    limit: int | None = None
    """Gets so many lines at most, where it would take minutes for more."""
    agrees: Callable[[Log], int] | None = None
    """What it must find in a generated log; of a contender that looks for the same as others do."""


Samples = dict[str, list[Sample]]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(
    command: list[str],
    *,
    stdin: Path | None = None,
    fine: tuple[int, ...] = (0,),
    environment: Mapping[str, str] | None = None,
) -> tuple[float, float, bytes]:
    """Wall time, processor time and output of a command that must end with a `fine` status."""
    with (stdin or Path(os.devnull)).open("rb") as given:
        before, started = _children(), time.perf_counter()
        done = subprocess.run(command, stdin=given, capture_output=True, check=False, env=environment)
        seconds, cpu = time.perf_counter() - started, _children() - before
    assert done.returncode in fine, f"{command}: status {done.returncode}, {done.stderr.decode()[-500:]}"
    return seconds, cpu, done.stdout


def bench(log: Log, *options: str) -> Sample:
    """One replay; asserts what the log's truth says."""
    zone = [f"--log-timezone={log.zone}"] if log.zone else []
    command = [sys.executable, "-m", "pbs_fast", "bench", "--json", *zone, *options, str(log.path)]
    _, cpu, out = timed(command)
    found = json.loads(out)
    for key in log.totals.keys() & found.keys():
        assert found[key] == log.totals[key], f"{key}: found {found[key]}, true is {log.totals[key]}"
    return Sample(found["seconds"], cpu, found["lines"], found["digest"], found)


RUST_1 = Contender("pbs-fast, Rust, everything on, 1 thread", lambda log: bench(log, "--core=rust", "--threads=1"))
RUST_N = Contender("pbs-fast, Rust, everything on, default threads", lambda log: bench(log, "--core=rust"))
PYTHON = Contender("pbs-fast, Python, everything on", lambda log: bench(log, "--core=python"))


def alternate(contenders: list[Contender], log: Log, rounds: int) -> Samples:
    """Each contender once a round, so that a busy machine harms all alike.

    Raises AssertionError when one finds now this, now that, or something else than it must.
    """
    logs = {each.name: log.head(each.limit) if each.limit else log for each in contenders}
    samples: Samples = {each.name: [] for each in contenders}
    for number in range(rounds):
        for each in contenders:
            samples[each.name].append(each.run(logs[each.name]))
        print(f"  round {number + 1} of {rounds}", file=sys.stderr)
    for each in contenders:
        counts = {sample.found for sample in samples[each.name]}
        assert len(counts) == 1, f"{each.name}: finds now this, now that: {counts}"
        # Logs of a site's own may hold lines (no timestamp, no UTF-8) about which regex engines rightly differ.
        if each.agrees is not None and log.totals:
            true = each.agrees(logs[each.name])
            assert counts == {true}, f"{each.name}: finds {counts}, others {true}"
    return samples


def median(samples: list[Sample]) -> float:
    """Median wall time."""
    return statistics.median(sample.seconds for sample in samples)


def spread(samples: list[Sample]) -> float:
    """How far the runs lie apart, as a share of the median."""
    seconds = [sample.seconds for sample in samples]
    return (max(seconds) - min(seconds)) / median(samples)


def stage(samples: list[Sample], name: str) -> float:
    """Median time of one stage of pbs-fast."""
    return statistics.median(float(sample.record["stages"][name]) for sample in samples)


def to_columns(samples: list[Sample]) -> float:
    """Median time without guards, ledger and table. Only of runs with one thread, where the stages do not overlap."""
    return statistics.median(
        sample.seconds - float(sample.record["stages"]["ledger"]) - float(sample.record["stages"]["table"])
        for sample in samples
    )
