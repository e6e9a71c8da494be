#!/usr/bin/env python3
"""How long `pbs-fast why` takes over a big log: a generated hub log of which all lines are within the window.

Runs it without a daemon, for an address with one login, one with a thousand, and a user, with each backend, and the
same with every line scanned, in turn. Prints the median of wall and processor seconds. The limit is 2 s over 200 MB.

    .venv/bin/python benches/why.py --megabytes 200 --runs 3
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from pbs_fast.bench.hublog.stream import Options, iter_lines

#: Bytes of a generated line, about.
_LINE = 167
_WINDOW = 1_700
_RARE, _OFTEN, _USER = "203.0.113.5", "203.0.113.6", "anna@example.org"
#: Replaces the needles before the command runs.
_ALL = "from pbs_fast.control.why import judge; judge.for_addresses = judge.for_user = lambda *_: None; "


def write(log: Path, megabytes: int) -> int:
    """Write the log; the number of its lines."""
    lines = megabytes * 10**6 // _LINE
    begin = int(time.time()) - _WINDOW
    rate = lines / _WINDOW
    with log.open("wb") as file:
        for number, (line, _) in enumerate(iter_lines(Options(lines=lines, start=begin, rate=rate))):
            file.write(line + b"\n")
            if number == lines // 2 or number % (lines // 1000) == 0:
                ip = _RARE if number == lines // 2 else _OFTEN
                at = datetime.fromtimestamp(begin + number / rate, UTC).isoformat(timespec="milliseconds")
                login = f"{at} mx1 dovecot: imap-login: Login: user=<{_USER}>, method=PLAIN, rip={ip}, lip=192.0.2.1\n"
                file.write(login.encode())
    return lines


def run(config: Path, whom: str, core: str, everything: bool) -> tuple[float, float]:
    """Wall and processor seconds of one command."""
    code = f"import sys; {_ALL if everything else ''}from pbs_fast.cli import main; sys.exit(main(sys.argv[1:]))"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "why", whom, f"--config={config}", f"--core={core}"],
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "by the logs alone it may relay" in done.stdout, done.stdout + done.stderr
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        log, config = place / "mail.log", place / "why.toml"
        config.write_text(f'watchlog = "{log}"\nmynetworks = ["127.0.0.0/8"]\n[control]\ndirectory = "{place}/none"\n')
        lines = write(log, given.megabytes)
        print(f"{os.path.getsize(log) / 1e6:.0f} MB, {lines:,} lines")  # noqa: PTH202
        print(f"{'asked':<28}{'backend':<9}{'lines scanned':<15}{'wall s':>7}{'cpu s':>7}")
        cases = [
            (what, whom, core, everything)
            for what, whom in (("one login", _RARE), ("a thousand logins", _OFTEN), ("a user", _USER))
            for core in ("rust", "python")
            for everything in (False, True)
        ]
        times: dict[tuple[str, str, str, bool], list[tuple[float, float]]] = {case: [] for case in cases}
        for _ in range(given.runs):
            for case in cases:
                times[case].append(run(config, *case[1:]))
        for case, found in times.items():
            wall, cpu = (median(values) for values in zip(*found, strict=True))
            print(f"{case[0]:<28}{case[2]:<9}{'all' if case[3] else 'near hits':<15}{wall:>7.2f}{cpu:>7.2f}")


if __name__ == "__main__":
    main()
