"""Who else reads logs, where it is installed: ripgrep, grep, wc, Python's `re`, fail2ban, sshguard, the Perl program.

Two patterns, both honest. `RARE` is what ripgrep is best at: one server's login with a literal that few lines hold.
`JOB` is what an administrator would write to find the logins of all the log's servers with their addresses, which is
the job, though without a tag, a timestamp or an attacker in mind: it finds some lines too many.
"""

from __future__ import annotations

import mmap
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure.contenders import Contender, Sample, timed
from measure.logs import Log

#: The logins of one server, Dovecot from 1.0 to 2.4.
RARE = r"(?:imap|pop3)-login: (?:Login|Logged in): user=<([^>]*)>.*, rip=([0-9a-f.:]+)"
_RARE_POSIX = RARE.replace("(?:", "(")
_RARE_FAIL2BAN = RARE.replace("([0-9a-f.:]+)", "<HOST>").replace("([^>]*)", "[^>]*")

#: The same for Python's `re` over a whole file: it searches fast only for a literal at the pattern's start, so the
#: alternative comes after it, looking back (tried: 13 M lines/s; RARE as it stands finds 1.2 M).
_RARE_WHOLE = rb"-login: Log(?<=(?:imap|pop3)-login: Log)(?:in|ged in): user=<([^>\n]*)>.*, rip=([0-9a-f.:]+)"

#: Dovecot and its proxy, Courier, Cyrus, UW.
JOB = "|".join(
    (
        r"(imap|pop3)-login: ((Login|Logged in): user=<|proxy.*: Started proxying ).*, rip=[0-9a-f.:]+",
        r"LOGIN, user=.*, ip=\[[0-9a-f.:]+\]",
        r"login: .*\[[0-9a-f.:]+\] .* User logged in",
        r"(Login|Authenticated) user=.* host=.*\[[0-9a-f.:]+\]",
    )
)

RG_RARE = "rg -c -j1, one server's logins, rare literal"
RG_JOB = "rg -c -j1, all servers' logins"
_FLOOR = "wc -l: counts lines and nothing else"

#: Where distributions put a program that nobody calls by hand.
_SSHGUARD = ("/usr/libexec/sshguard/sshg-parser", "/usr/lib/sshguard/sshg-parser", "/usr/libexec/sshg-parser")


def _lines_of(log: Log) -> int:
    if "lines" in log.totals:
        return int(log.totals["lines"])
    with log.path.open("rb") as file:
        return sum(data.count(b"\n") for data in iter(lambda: file.read(1 << 20), b""))


def rare_lines(log: Log) -> int:
    """How many lines hold RARE, by the plainest program; not timed."""
    search = re.compile(RARE.encode()).search
    with log.path.open("rb") as lines:
        return sum(search(line) is not None for line in lines)


def _search(log: Log, *command: str) -> Sample:
    seconds, cpu, out = timed([*command, str(log.path)], fine=(0, 1))
    return Sample(seconds, cpu, _lines_of(log), int(out.split()[0]) if out else 0, {})


def _re_loop(log: Log) -> Sample:
    search = re.compile(RARE.encode()).search
    count = total = 0
    started, used = time.perf_counter(), time.process_time()
    with log.path.open("rb") as lines:
        for line in lines:
            total += 1
            if search(line):
                count += 1
    return Sample(time.perf_counter() - started, time.process_time() - used, total, count, {})


def _re_whole(log: Log) -> Sample:
    finditer = re.compile(_RARE_WHOLE).finditer
    started, used = time.perf_counter(), time.process_time()
    with log.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        count = sum(1 for _ in finditer(data))
    return Sample(time.perf_counter() - started, time.process_time() - used, _lines_of(log), count, {})


def _fail2ban(log: Log, program: str) -> Sample:
    # Without look-ups of names, and without keeping the lines it misses.
    options = ("--usedns=no", "--print-no-missed", "--print-no-ignored")
    seconds, cpu, out = timed([program, *options, str(log.path), _RARE_FAIL2BAN], fine=(0, 1, 255))
    found = re.search(rb"Lines: (\d+) lines, .* (\d+) matched", out)
    assert found, out[-500:]
    return Sample(seconds, cpu, int(found[1]), int(found[2]), {})


def _sshguard(log: Log, program: str) -> Sample:
    seconds, cpu, out = timed([program], stdin=log.path)
    return Sample(seconds, cpu, _lines_of(log), out.count(b"\n"), {})


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
        return Sample(cpu, cpu, _lines_of(log), own.read_bytes().count(b"added "), {})


def ripgrep() -> list[Contender]:
    """Both references where it is installed: the first is the base of the suite's ratios and budgets."""
    found = shutil.which("rg")
    if found is None:
        return []
    command = (found, "--no-config", "-c", "-j1", "-e")
    return [
        Contender(RG_RARE, lambda log: _search(log, *command, RARE), agrees=rare_lines),
        Contender(RG_JOB, lambda log: _search(log, *command, JOB)),
    ]


def rivals(perl: Path | None) -> tuple[list[Contender], list[str]]:
    """Those that are installed, and the names of the others."""
    found = ripgrep()
    missing = [] if found else ["ripgrep"]

    def add(name: str, program: str | None, make: Callable[[str], Contender]) -> None:
        if program is None:
            missing.append(name)
        else:
            found.append(make(program))

    add("wc", shutil.which("wc"), lambda wc: Contender(_FLOOR, lambda log: _search(log, wc, "-l")))
    env = ("/usr/bin/env", "LC_ALL=C")
    add(
        "grep",
        shutil.which("grep"),
        lambda grep: Contender(
            "LC_ALL=C grep -cE, one server's logins",
            lambda log: _search(log, *env, grep, "-cE", _RARE_POSIX),
            agrees=rare_lines,
        ),
    )
    found += [
        Contender("Python re, one server's logins, whole file mapped", _re_whole, agrees=rare_lines),
        Contender("Python re, one server's logins, line by line", _re_loop, agrees=rare_lines),
    ]
    add(
        "sshguard's parser",
        next(filter(None, map(shutil.which, ("sshg-parser", *_SSHGUARD))), None),
        lambda parser: Contender("sshguard's parser, its attacks", lambda log: _sshguard(log, parser), 400_000),
    )
    add(
        "fail2ban-regex",
        shutil.which("fail2ban-regex"),
        lambda program: Contender(
            "fail2ban-regex, one server's logins", lambda log: _fail2ban(log, program), 100_000, rare_lines
        ),
    )
    add(
        "the Perl program (--perl PATH)",
        str(perl) if perl else None,
        lambda program: Contender(
            "the Perl program, no table (processor time)", lambda log: _perl(log, Path(program)), 50_000
        ),
    )
    return found, missing
