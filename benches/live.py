"""Live figures: from the append of a login line to the first accepted RCPT, and processor time per line followed.

Real Postfix on loopback, the real daemon, guards on. For each table type `--tries` clients that never logged in before:
a login line is appended, then sessions are opened one after the other until one may relay. The time ends with that
RCPT's reply, so it holds the daemon's reaction and Postfix's own session. Run as root with Postfix installed:

    .venv/bin/python benches/live.py --tries 200 --lines 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benches")]

from mta.postfix import running  # noqa: E402 - the harness of the tests

PROGRAM = Path(sys.executable).with_name("pbs-fast")


@contextmanager
def daemon(log: Path, table: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon on this log and table, ready."""
    own = log.with_suffix(".own")
    own.unlink(missing_ok=True)
    process = subprocess.Popen([PROGRAM, "run", f"--watchlog={log}", f"--dbfile={table}", f"--logto={own}", *options])
    try:
        while not (own.exists() and "ready:" in own.read_text()):
            assert process.poll() is None, "the daemon ended before it was ready"
            time.sleep(0.01)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def login(ip: str) -> bytes:
    """A login line of now."""
    stamp = time.strftime("%b %e %H:%M:%S")
    text = f"imap-login: Login: user=<u@here.test>, method=PLAIN, rip={ip}, lip=192.0.2.1, TLS"
    return f"{stamp} hub dovecot: {text}\n".encode()


def latency(kind: str, tries: int, pause: float) -> dict[str, object]:
    """Seconds from append to the accepted RCPT, in milliseconds, and how many were accepted at the first attempt."""
    with tempfile.TemporaryDirectory(prefix="pbs-live-") as place:
        Path(place).chmod(0o755)
        log = Path(place, "mail.log")
        log.touch()
        table = f"{kind}:{place}/relay"
        took, at_once = [], 0
        # Our sessions end after RCPT; after 100 that bring no mail Postfix would pause before each next one.
        settings = ["in_flow_delay = 0"]
        with (
            daemon(log, table),
            running(table, smtpd_limit=10, main_cf=settings) as postfix,
            log.open("ab", buffering=0) as file,
        ):
            assert postfix.rcpt("198.51.100.250").denied
            for number in range(tries):
                ip = f"203.0.{113 + number // 250}.{number % 250 + 1}"
                assert postfix.rcpt(ip).denied
                line = login(ip)
                begun = time.perf_counter()
                file.write(line)
                attempts = 1
                while not postfix.rcpt(ip).relayed:
                    attempts += 1
                    # Without a pause the attempts use up the ports of 127.0.0.1, and connect() then waits a second.
                    time.sleep(0.002)
                took.append((time.perf_counter() - begun) * 1000)
                at_once += attempts == 1
                time.sleep(pause)
    took.sort()
    return {
        "table": kind,
        "tries": tries,
        "median_ms": round(statistics.median(took), 1),
        "p99_ms": round(took[min(len(took) - 1, int(len(took) * 0.99))], 1),
        "max_ms": round(took[-1], 1),
        "accepted_at_first_attempt": at_once,
    }


def followed(lines: int) -> dict[str, object]:
    """Processor seconds for lines appended at full speed, 8 % of them logins, each granted; table `null:`."""
    from pbs_fast.bench.hublog.stream import Options, iter_lines

    with tempfile.TemporaryDirectory(prefix="pbs-live-") as place:
        log = Path(place, "mail.log")
        log.touch()
        # Stamped so that the last line is of now, and all of them lie within the grace below.
        options = Options(lines=lines)
        options = replace(options, start=int(time.time() - lines / options.rate))
        text = [line for line, _ in iter_lines(options)]
        with daemon(log, "null:", "--grace=2592000") as process, log.open("ab", buffering=0) as file:
            before = spent(process.pid)
            begun = time.perf_counter()
            for start in range(0, len(text), 1000):
                file.write(b"".join(line.rstrip(b"\n") + b"\n" for line in text[start : start + 1000]))
            wait_idle(process.pid)
            seconds = time.perf_counter() - begun
            cpu = spent(process.pid) - before
        counted = log.with_suffix(".own").read_text().splitlines()[-1].split("counted ")[1]
        counters = dict(pair.split("=") for pair in counted.split())
        assert int(counters["lines"]) == lines, counters
    return {
        "lines": lines,
        "cpu_s_per_million": round(cpu / lines * 1e6, 2),
        "wall_s": round(seconds, 2),
        "logins": int(counters["login"]),
    }


def spent(pid: int) -> float:
    """User and system seconds of a process so far (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_idle(pid: int) -> None:
    """Until the process has used next to no time for half a second."""
    last = spent(pid)
    while True:
        time.sleep(0.5)
        now = spent(pid)
        if now - last <= 0.02:
            return
        last = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--pause", type=float, default=1.1, help="seconds between two clients")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--tables", default="lmdb,hash")
    options = parser.parse_args()
    for kind in options.tables.split(","):
        print(json.dumps(latency(kind, options.tries, options.pause)), flush=True)
    print(json.dumps(followed(options.lines)), flush=True)


if __name__ == "__main__":
    main()
