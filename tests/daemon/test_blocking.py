"""examples/blocking.toml: failed logins into a program's hands and, by examples/block-nft, into a real firewall."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site, login, pbs, timestamp
from mta import unavailable, wait_for
from mta.guide import blocks
from pbs_fast.tables.file.command import run

EXAMPLES = Path(__file__).parents[2] / "examples"
A, B, SIX, LOCAL = "203.0.113.5", "203.0.113.6", "2001:db8::5", "127.0.0.3"


def sshd(ip: str, user: str = "root", at: float | None = None) -> str:
    return f"{timestamp(at)} hub sshd[71]: Failed password for invalid user {user} from {ip} port 40022 ssh2"


def dovecot(ip: str) -> str:
    return (
        f"{timestamp()} hub dovecot: imap-login: Disconnected (auth failed, 2 attempts in 9 secs): user=<ann>, "
        f"method=PLAIN, rip={ip}, lip=192.0.2.10, TLS, session=<0kQm3vQ7p9wgAQ24>"
    )


class Blocking:
    """A site with the shipped example, its paths moved into the site's directory, and a program that takes notes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._told = site.place / "told"
        self.program = site.place / "block"
        self.program.write_text(f'#!/bin/sh\necho "$*" >> {self._told}\n')
        self.program.chmod(0o755)
        self.use(self.program)

    def use(self, program: Path) -> None:
        site = self.site
        site.spec = f"exec:{site.place}/blocked?command={program}"
        text = (EXAMPLES / "blocking.toml").read_text()
        for old, new in (
            ('["/var/log/auth.log", "/var/log/mail.log"]', f'["{site.log}"]'),
            ("/var/lib/pbs-fast/blocked", f"{site.place}/blocked"),
            ("/usr/local/sbin/block-nft", str(program)),
            ("/etc/pbs-fast/never-block.toml", str(site.deny)),
            ('logto = "syslog"\n', ""),
            ("/var/lib/pbs-fast-blocking", f"{site.place}/state"),
            ("/run/pbs-fast-blocking", f"{site.place}/control"),
        ):
            assert old in text
            text = text.replace(old, new)
        site.config.write_text(text)

    def told(self) -> list[str]:
        return self._told.read_text().splitlines() if self._told.exists() else []

    def wait_told(self, *told: str) -> None:
        try:
            wait_for("the program to be told", lambda: self.told() == list(told))
        except AssertionError:
            raise AssertionError(f"told {self.told()}, not {told}\n{self.site.said()}") from None


@pytest.fixture
def blocking(new_site: Callable[[str], Site]) -> Blocking:
    return Blocking(new_site("exec"))


def test_failures_are_blocked_and_nothing_else(blocking: Blocking) -> None:
    site = blocking.site
    site.cover()
    site.append(sshd(A))
    daemon = site.start()
    blocking.wait_told(f"add {A}")
    site.append(
        login("198.51.100.1"),
        sshd(LOCAL),
        sshd("198.51.100.2", user="x from 198.51.100.3 port 1 ssh2"),
        f"{timestamp()} hub postfix/smtpd[9]: warning: Failed password for root from 198.51.100.4 port 1 ssh2",
        dovecot(SIX),
        f'{timestamp()} hub vsftpd[71]: [bob] FAIL LOGIN: Client "::ffff:{B}"',
    )
    blocking.wait_told(f"add {A}", f"add {SIX}", f"add {B}")
    site.append(sshd(A))  # again: nothing new to tell
    site.append(sshd("203.0.113.7"))
    blocking.wait_told(f"add {A}", f"add {SIX}", f"add {B}", "add 203.0.113.7")
    assert site.rows() == sorted([A, SIX, B, "203.0.113.7"])
    assert daemon.stop() == 0
    assert len(blocking.told()) == 4, "stopping lets nobody in"


def test_three_hours_are_over(blocking: Blocking) -> None:
    """The grace time of the example is 10800 s: an older failure is deleted at the start, a younger one added again."""
    site = blocking.site
    assert "grace = 10800\n" in site.config.read_text()
    site.grace = 10_800
    clocks = site.set_clocks()
    site.cover()
    site.append(sshd(A, at=time.time() - 10_000), sshd(B, at=time.time() - 60))
    (site.place / "blocked").write_text(f"{SIX}\n{B}\n")  # what an earlier daemon had told
    daemon = site.start()
    clocks.advance(900)
    wait_for("A's end", lambda: blocking.told()[-1:] == [f"del {A}"])
    assert sorted(blocking.told()[:-1]) == sorted([f"del {SIX}", f"add {A}", f"add {B}"])
    site.wait_rows(B)  # the state file forgets an address when the program has been told
    daemon.stop()


def test_the_lines_of_the_guide(blocking: Blocking) -> None:
    """Installed, tried and shown as docs/BLOCKING.md says, below a root directory of our own; then cleared."""
    site = blocking.site
    where = [("/usr/local", site.place / "local"), ("/etc/pbs-fast", site.place / "etc"), ("/var/log", site.place)]
    (site.place / "local/sbin").mkdir(parents=True)
    site.append(sshd(A, at=time.time() - 5))
    shutil.copy(site.log, site.place / "auth.log")
    lines = blocks("BLOCKING.md")["install"]
    for old, new in where:
        lines = [line.replace(old, str(new)) for line in lines]
    said = []
    for number, line in enumerate(lines):
        if number == 2:  # both files are installed: the paths within
            shutil.copy(site.config, site.place / "etc/blocking.toml")
        done = subprocess.run(
            shlex.split(line.replace("pbs-fast ", f"{PROGRAM} ", 1) if line.startswith("pbs-fast ") else line),
            capture_output=True, text=True, timeout=60, check=False, cwd=EXAMPLES.parent,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stderr)
        said.append(done.stdout)
    assert os.access(site.place / "local/sbin/block-nft", os.X_OK)
    assert f"login   {A} " in said[2]
    assert f"would add {A} to DB" in said[3], said[3]
    assert blocking.told() == [], "--nowrite tells nobody"
    daemon = site.start()
    blocking.wait_told(f"add {A}")
    assert A in pbs("list", f"--config={site.config}").stdout
    daemon.stop()
    assert pbs("clear", f"--config={site.config}").returncode == 0
    blocking.wait_told(f"add {A}", f"del {A}")


def test_without_its_formats_nothing_would_be_read(blocking: Blocking) -> None:
    blocking.site.config.write_text("grace = 10\ncatalogue = false\n")
    done = pbs("run", *blocking.site.arguments())
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1
    assert "pbs.toml:2: catalogue is false and there is no [[format]], so no line would be read" in done.stderr


def test_a_real_firewall(blocking: Blocking) -> None:
    """In a network of its own: addresses come into the sets of nftables and leave them, told twice or not."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("a network namespace needs root and unshare")
    if shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        unavailable("needs nftables")
    site = blocking.site
    blocking.use(EXAMPLES / "block-nft")
    site.cover()
    site.append(sshd(A), sshd(SIX))
    daemon = site.start(prefix=("unshare", "--net"))

    def inside(*words: str) -> str:
        command = ["nsenter", f"--net=/proc/{daemon.pid}/ns/net", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def blocked() -> set[str]:
        return set(
            re.findall(
                r"[0-9a-f.:]{6,}", " ".join(re.findall(r"elements = \{([^}]*)\}", inside("nft", "list", "ruleset")))
            )
        )

    wait_for("both in the firewall", lambda: blocked() == {A, SIX})
    assert inside("nft", "list", "ruleset").count("reject") == 2, "the rules stand there once"
    daemon.kill()  # -9; another takes over the same state, but a reboot has emptied the firewall
    site.append(sshd(B))
    daemon = site.start(prefix=("unshare", "--net"))
    wait_for("all in the firewall", lambda: blocked() == {A, SIX, B})
    program = str(EXAMPLES / "block-nft")
    for words in (["add", B], ["add", B], ["del", B], ["del", B], ["del", SIX]):
        run(["nsenter", f"--net=/proc/{daemon.pid}/ns/net", program, *words], table="test", limit=10)
    assert blocked() == {A}
    daemon.stop()
