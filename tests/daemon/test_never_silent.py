"""The real daemon never keeps silent about a log that it does not understand, nor about a login that it refuses."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from daemon.running import Site, append, login, noise, pbs, timestamp
from mta import wait_for

A, B = "203.0.113.1", "203.0.113.2"


@pytest.fixture
def status(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The messages that systemd has heard; `words in status` asks all until now."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(site.place / "notify"))
    listener.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(site.place / "notify"))

    class Heard(list[str]):
        def __contains__(self, words: object) -> bool:
            while True:
                try:
                    self.append(listener.recv(65_536).decode())
                except BlockingIOError:
                    return any(str(words) in text for text in self)

    yield Heard()
    listener.close()


def test_a_log_that_is_not_understood_is_said_in_log_and_state(site: Site, status: list[str]) -> None:
    other = site.place / "other.log"
    other.touch()
    site.start(f"--watchlog={other}")
    append(other, *[f"{{18/Nov/2026}} {login(A)}"] * 25)
    site.append(*[noise()] * 1_000)
    site.wait_said(f"{other}: its lines are not understood: 25 of 25 lines do not begin like a line of any known log")
    site.wait_said(f"{site.log}: its lines are not understood: no line has the tag of a known server (most frequent: ")
    wait_for("the state", lambda: "; warning (and 1 more): " in status, seconds=30)
    site.append(login(B))
    site.wait_rows(B)
    site.wait_said(f"{site.log}: its lines are understood now")
    wait_for("the state", lambda: f"; warning: {other}: its lines are not understood" in status, seconds=30)


def test_a_short_run_says_it_too(site: Site) -> None:
    site.append(*[f"{{18/Nov/2026}} {login(A)}"] * 25)
    assert pbs("run", "--once", *site.arguments()).returncode == 0
    assert f"{site.log}: its lines are not understood: 25 of 25 lines" in site.said()


def test_refusals_are_logged_once_an_hour_each(site: Site) -> None:
    site.networks.write_text("127.0.0.0/8 192.0.2.0/24\n")
    site.configure('[guards]\nhosts = ["hub"]\n')
    site.start()
    old = time.time() - 7_200
    for _ in range(3):
        site.append(login("192.0.2.9"), login("169.254.1.1"), login(A, host="stranger"), login(B, "eve", at=old))
    site.append(login("203.0.113.9"))
    site.wait_rows("203.0.113.9")
    site.wait_said("added 203.0.113.9 to DB")
    said = site.said()
    for words in (
        "ignoring local-net ip=192.0.2.9",
        "refused ip=169.254.1.1 by the guard link_local: user=ann host=hub",
        f"refused ip={A} by the guard hosts: user=ann host=stranger",
        f"refused ip={B}: its login is older than grace (see log_timezone)",
    ):
        assert said.count(words) == 1, said


def test_refusals_are_seen_without_logto_but_those_of_local_networks(site: Site) -> None:
    site.networks.write_text("127.0.0.0/8 192.0.2.0/24\n")
    site.log_to_file = False
    now = time.time()
    site.append(noise(now - site.grace - 600), login("192.0.2.9"), login("169.254.1.1"), login("169.254.1.1"))
    done = pbs("run", "--once", *site.arguments())
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["refused ip=169.254.1.1 by the guard link_local: user=ann host=hub"]


def test_what_the_logging_daemon_says_of_itself_is_repeated(site: Site) -> None:
    site.start()
    site.append(
        f"{timestamp()} hub rsyslogd: imuxsock[pid: 51, name: /usr/libexec/dovecot/log]: 236 messages lost due to "
        "rate-limiting (200 allowed within 5 seconds)"
    )
    site.wait_said(f"{site.log}: the logging daemon dropped 236 lines, logins perhaps")


def test_the_default_log_is_named(site: Site) -> None:
    """Without `watchlog` the log says what is followed, and why; which one that is depends on the machine."""
    arguments = [each for each in site.arguments() if not each.startswith("--watchlog")]
    pbs("run", "--once", "--nowrite", *arguments)
    assert "no watchlog is set: following " in site.said()
