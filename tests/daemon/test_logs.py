"""What is followed: rotated, truncated, several logs, patterns, Dovecot's own layout; and timestamps that are off."""

from __future__ import annotations

import gzip
import shutil
import signal
import subprocess
import time

import pytest

from daemon.running import Site, append, lines_with, login, noise

A, B, C, D = "203.0.113.1", "203.0.113.2", "2001:db8::3", "203.0.113.4"


def test_rename_rotation(site: Site) -> None:
    """The old file is read to its end, also what its writer adds before it is told."""
    site.start()
    old = site.log.with_name("mail.log.1")
    site.append(login(A))
    site.log.rename(old)
    append(old, login(B))
    site.log.touch()
    append(old, login(C))
    site.append(login(D))
    site.wait_rows(A, B, C, D)
    assert len(lines_with(site.said(), "mail.log was rotated")) == 1


def test_a_rotation_is_no_warning(site: Site) -> None:
    """It happens each night; without --logto only what an administrator must know is written."""
    site.log_to_file = False
    daemon = site.spawn()
    daemon.wait_until("there is a table", site.file.exists)
    site.append(login(A))
    site.wait_rows(A)
    site.log.rename(site.log.with_name("mail.log.1"))
    site.append(login(B))
    site.wait_rows(A, B)
    daemon.send(signal.SIGTERM)
    assert daemon.end() == (0, "", "")


def test_copytruncate(site: Site) -> None:
    site.start()
    site.append(login(A))
    site.wait_rows(A)
    shutil.copy(site.log, site.log.with_name("mail.log.1"))
    with site.log.open("r+b") as log:
        log.truncate(0)
    site.append(login(B))
    site.wait_rows(A, B)
    site.wait_said("was truncated after byte")


def test_logs_that_were_rotated_and_compressed_while_it_was_suspended(site: Site) -> None:
    """As logrotate does without `delaycompress`: what it never saw in the clear is read from the compressed files."""
    site.cover()
    daemon = site.start()
    site.append(login(A))
    site.wait_rows(A)
    daemon.send(signal.SIGSTOP)
    ips = []
    for number in range(6):
        ips.append(f"198.51.100.{number}")
        site.append(login(ips[-1]))
        for old in range(number, 0, -1):
            site.log.with_name(f"mail.log.{old}.gz").rename(site.log.with_name(f"mail.log.{old + 1}.gz"))
        rotated = site.log.with_name("mail.log.1")
        site.log.rename(rotated)
        site.log.touch()
        subprocess.run(["gzip", rotated], check=True)
    site.append(login(B))
    daemon.send(signal.SIGCONT)
    site.wait_rows(A, B, *ips)
    assert daemon.stop() == 0
    (counted,) = lines_with(site.said(), "counted ")
    assert " lines=9 " in counted, "each once"
    assert " log_overtaken=5 " in counted
    assert "log_lost" not in counted
    assert len(lines_with(site.said(), "compressed before it was read")) == 5


def test_the_replay_reaches_into_rotated_files(site: Site) -> None:
    now = time.time()
    append(site.log.with_name("mail.log.1"), login(B, at=now - 1200))
    with gzip.open(site.log.with_name("mail.log.2.gz"), "wb") as packed:
        packed.write(f"{noise(now - 9000)}\n{login(C, at=now - 1500)}\n{login(D, at=now - 2500)}\n".encode())
    site.append(login(A, at=now - 10))
    site.start()
    assert site.holds(A, B, C)
    assert lines_with(site.said(), "read back to .*mail.log.2.gz, which starts at")


def test_several_logs(site: Site) -> None:
    other = site.place / "other.log"
    site.start(f"--watchlog={other}")  # the second is not there yet
    site.append(login(A))
    append(other, login(B, host="there"))
    site.wait_rows(A, B)
    assert "more than one host" not in site.said(), "each has one"


def test_a_pattern_and_what_fits_it_later(site: Site) -> None:
    pattern = f"--watchlog={site.place}/mail-*.log"
    status, _, err = site.spawn(pattern).end()
    assert status == 2
    assert "no file matches this pattern" in err
    first, second, third = (site.place / f"mail-{day}.log" for day in (1, 2, 3))
    append(first, login(A))
    append(second, noise())
    site.start(pattern)
    assert site.holds(A)
    append(second, login(B))
    site.wait_rows(A, B)
    append(third, login(C))
    append(site.place / "mail-2.log.1", login(D))
    site.wait_rows(A, B, C)
    site.wait_said(f"{third} is a new log")
    append(third, login("203.0.113.5"))
    site.wait_rows(A, B, C, "203.0.113.5")


def own_line(ip: str, at: float | None = None) -> str:
    """A login in Dovecot's own log: local time, no host, no tag."""
    timestamp = time.strftime("%b %d %H:%M:%S", time.localtime(at))
    return (
        f"{timestamp} imap-login: Info: Login: user=<ann>, method=PLAIN, rip={ip}, lip=192.0.2.10, mpid=5, "
        "session=<9mVjWnQ7pQDLAHEF>"
    )


def test_dovecots_own_log(site: Site) -> None:
    site.append(own_line(A, time.time() - 60))
    site.start()
    assert site.holds(A)
    site.append(own_line(B))
    site.wait_rows(A, B)
    site.append(login(C))  # a syslog line has no place in it
    site.append(own_line(D))
    site.wait_rows(A, B, D)


def test_a_layout_is_found_out_although_the_log_was_empty(site: Site) -> None:
    site.start()
    site.append("Nov  1 00:00:00 master: Info: Dovecot starting up")
    site.append(own_line(A))
    site.wait_rows(A)


def test_a_live_line_stamped_ahead_counts_as_its_arrival(site: Site) -> None:
    """A clock that is fast grants no longer life; in a replay such a line grants nothing."""
    site.grace = 600
    clocks = site.set_clocks()
    site.append(login(D, at=time.time() + 86_400))
    daemon = site.start("--debug", f"--logto={site.own}")
    assert site.holds()
    assert f"ip={D} changes nothing: refused ahead" in site.said()
    site.append(login(A, at=site.now() + 86_400))
    site.wait_rows(A)
    clocks.advance(site.grace / 2)
    site.append(login(B, at=site.now()))
    site.wait_rows(A, B)
    clocks.advance(site.grace / 2)
    site.wait_rows(B)
    assert daemon.stop() == 0
    assert lines_with(site.said(), "counted ahead=1 ", "refused_ahead=1")


@pytest.mark.parametrize("hosts", [("hub",), ("hub", "other")])
def test_a_zone_fault_is_said_once_a_host(site: Site, hosts: tuple[str, ...]) -> None:
    """Timestamps of two hours ago on lines of now: nobody gets a grant, and without the warning nobody would know."""
    site.start()
    for number in range(6):
        site.append(*(login(f"203.0.113.{number}", at=time.time() - 7200, host=host) for host in hosts))
    site.append(login("198.51.100.1", host="good"))
    site.wait_rows("198.51.100.1")
    for host in hosts:
        assert (
            site.said().count(f"the logins of host {host} have timestamps 2 h in the past, so they grant nothing") == 1
        )
    assert "the logins of host good" not in site.said()


def test_one_late_line_is_no_zone_fault(site: Site) -> None:
    site.start()
    site.append(login(A, at=time.time() - 7200), login(B), *(login(C, at=time.time() - 7200) for _ in range(5)))
    site.wait_rows(B)
    assert "in the past" not in site.said()


def test_log_timezone_reads_stamps_without_zone(site: Site) -> None:
    site.configure('log_timezone = "Asia/Tokyo"\n')
    site.start()
    tokyo = time.strftime("%b %d %H:%M:%S", time.gmtime(time.time() + 9 * 3600))
    site.append(f"{tokyo} hub dovecot: " + login(A).partition("dovecot: ")[2])
    site.wait_rows(A)
