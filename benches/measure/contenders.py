"""Programs that are given a log: pbs-fast, and its rivals where they are installed. Each run is a Sample.

A rival looks for one pattern or, where that is all it can, for its own. What it counts must be the same in every run.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from measure.logs import Log

#: One pattern: the logins of one server, Dovecot from 1.0 to 2.4, in the wording that ripgrep is best at.
PATTERN = r"(?:imap|pop3)-login: (?:Login|Logged in): user=<([^>]*)>.*, rip=([0-9a-f.:]+)"
_POSIX = r"(imap|pop3)-login: (Login|Logged in): user=<([^>]*)>.*, rip=([0-9a-f.:]+)"

#: Where distributions put a program that nobody calls by hand.
_SSHGUARD = ("/usr/libexec/sshguard/sshg-parser", "/usr/lib/sshguard/sshg-parser", "/usr/libexec/sshg-parser")


class Sample(NamedTuple):
    """One run."""

    seconds: float
    """Wall time; of pbs-fast by its own clock, from its first read to its last update."""
    cpu: float
    """Processor time of the whole process, start included."""
    lines: int
    count: object
    """What was found; equal in all runs of one contender."""
    record: dict[str, Any]
    """Of pbs-fast: the JSON object of `bench`."""


class Contender(NamedTuple):
    """Somebody who reads a log; `limit` lines at most where it would take minutes."""

    name: str
    run: Callable[[Log], Sample]
    limit: int | None = None


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _timed(
    command: list[str], *, stdin: Path | None = None, fine: tuple[int, ...] = (0,)
) -> tuple[float, float, bytes]:
    """Wall time, processor time and output of a command that must end with a `fine` status."""
    with (stdin or Path(os.devnull)).open("rb") as given:
        before, started = _children(), time.perf_counter()
        done = subprocess.run(command, stdin=given, capture_output=True, check=False)
        seconds, cpu = time.perf_counter() - started, _children() - before
    assert done.returncode in fine, f"{command}: status {done.returncode}, {done.stderr.decode()[-500:]}"
    return seconds, cpu, done.stdout


def lines_of(log: Log) -> int:
    """Newlines in the log."""
    if "lines" in log.totals:
        return int(log.totals["lines"])
    with log.path.open("rb") as file:
        return sum(data.count(b"\n") for data in iter(lambda: file.read(1 << 20), b""))


def bench(log: Log, *options: str) -> Sample:
    """One replay; asserts what the log's truth says."""
    zone = [f"--log-timezone={log.zone}"] if log.zone else []
    command = [sys.executable, "-m", "pbs_fast", "bench", "--json", *zone, *options, str(log.path)]
    _, cpu, out = _timed(command)
    found = json.loads(out)
    for key in log.totals.keys() & found.keys():
        assert found[key] == log.totals[key], f"{key}: found {found[key]}, true is {log.totals[key]}"
    return Sample(found["seconds"], cpu, found["lines"], found["digest"], found)


def _re_loop(log: Log) -> Sample:
    """The simplest program that finds the same lines."""
    search = re.compile(PATTERN.encode()).search
    count = total = 0
    started, used = time.perf_counter(), time.process_time()
    with log.path.open("rb") as lines:
        for line in lines:
            total += 1
            if search(line):
                count += 1
    return Sample(time.perf_counter() - started, time.process_time() - used, total, count, {})


def _search(log: Log, *command: str) -> Sample:
    seconds, cpu, out = _timed([*command, str(log.path)], fine=(0, 1))
    return Sample(seconds, cpu, lines_of(log), int(out or 0), {})


def _fail2ban(log: Log, program: str) -> Sample:
    failregex = PATTERN.replace("([0-9a-f.:]+)", "<HOST>").replace("([^>]*)", "[^>]*")
    seconds, cpu, out = _timed([program, str(log.path), failregex], fine=(0, 1, 255))
    found = re.search(rb"Lines: (\d+) lines, .* (\d+) matched", out)
    assert found, out[-500:]
    return Sample(seconds, cpu, int(found[1]), int(found[2]), {})


def _sshguard(log: Log, program: str) -> Sample:
    seconds, cpu, out = _timed([program], stdin=log.path)
    return Sample(seconds, cpu, lines_of(log), out.count(b"\n"), {})


def _perl(log: Log, program: Path) -> Sample:
    """The processor time until it says that it has read all: it then waits five seconds for more, without using any."""
    with tempfile.TemporaryDirectory(prefix="pbs-bench-") as place:
        own = Path(place, "log")
        own.touch()
        command = [str(program), "--reprocess", "--nowrite", f"--watchlog={log.path}", f"--logto={own}"]
        # Files of its own, should it want to write in spite of --nowrite.
        command += [f"--dbfile={place}/relay", f"--pidfile={place}/pid"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + 120
                while b"reached end of log file" not in own.read_bytes():
                    assert process.poll() is None, f"{program}: ended with status {process.returncode}"
                    assert time.monotonic() < deadline, f"{program}: has not reached the log's end after 120 s"
                    time.sleep(0.05)
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            finally:
                process.send_signal(signal.SIGKILL)
        return Sample(cpu, cpu, lines_of(log), own.read_bytes().count(b"added "), {})


RUST_1 = Contender("pbs-fast, Rust, everything on, 1 thread", lambda log: bench(log, "--core=rust", "--threads=1"))
RIPGREP = "rg -c -j1, one pattern"


def ours() -> list[Contender]:
    """pbs-fast in its forms."""
    return [
        RUST_1,
        Contender("pbs-fast, Rust, everything on, default threads", lambda log: bench(log, "--core=rust")),
        Contender("pbs-fast, Python, everything on", lambda log: bench(log, "--core=python")),
    ]


def ripgrep() -> list[Contender]:
    """ripgrep where it is installed: the base of ratios and budgets."""
    found = shutil.which("rg")
    command = (found or "", "--no-config", "-c", "-j1", PATTERN)
    return [Contender(RIPGREP, lambda log: _search(log, *command))] if found else []


def rivals(perl: Path | None) -> tuple[list[Contender], list[str]]:
    """Those that are installed, and the names of the others."""
    found = [*ripgrep(), Contender("Python re loop, one pattern", _re_loop)]
    missing = [] if ripgrep() else ["ripgrep"]
    if grep := shutil.which("grep"):
        found.append(Contender("LC_ALL=C grep -cE, one pattern", lambda log: _grep(log, grep)))
    else:
        missing.append("grep")
    if fail2ban := shutil.which("fail2ban-regex"):
        found.append(Contender("fail2ban-regex, one pattern", lambda log: _fail2ban(log, fail2ban), 50_000))
    else:
        missing.append("fail2ban-regex")
    if sshguard := next(filter(None, map(shutil.which, ("sshg-parser", *_SSHGUARD))), None):
        found.append(Contender("sshguard's parser", lambda log: _sshguard(log, sshguard), 400_000))
    else:
        missing.append("sshguard's parser")
    if perl:
        found.append(Contender("the Perl program, no table (processor time)", lambda log: _perl(log, perl), 50_000))
    else:
        missing.append("the Perl program (--perl PATH)")
    return found, missing


def _grep(log: Log, program: str) -> Sample:
    return _search(log, "/usr/bin/env", "LC_ALL=C", program, "-cE", _POSIX)


Samples = dict[str, list[Sample]]


def alternate(contenders: list[Contender], log: Log, rounds: int) -> Samples:
    """Each contender once a round, so that a busy machine harms all alike. Asserts that each finds the same always."""
    logs = {each.name: log.head(each.limit) if each.limit else log for each in contenders}
    samples: Samples = {each.name: [] for each in contenders}
    for number in range(rounds):
        for each in contenders:
            samples[each.name].append(each.run(logs[each.name]))
        print(f"  round {number + 1} of {rounds}", file=sys.stderr)
    for name, runs in samples.items():
        assert len({sample.count for sample in runs}) == 1, f"{name}: finds now this, now that"
    return samples


def median(samples: list[Sample]) -> float:
    """Median wall time."""
    return statistics.median(sample.seconds for sample in samples)


def stage(samples: list[Sample], name: str) -> float:
    """Median time of one stage of pbs-fast."""
    return statistics.median(sample.record["stages"][name] for sample in samples)
