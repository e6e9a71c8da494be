"""Logs and tables that cannot be used: at the start one line and status 1; once running, said once and tried again."""

from __future__ import annotations

import fcntl
import signal
import time
from pathlib import Path

import pytest

from daemon.controlled import status
from daemon.running import NOBODY, Site, lines_with, login, noise, require_nobody

A, B, C = "203.0.113.1", "203.0.113.2", "203.0.113.3"


def fails(site: Site, *more: str, prefix: tuple[str, ...] = ()) -> str:
    """The one line of a start that fails with status 1."""
    status, out, err = site.spawn(*more, prefix=prefix).end()
    assert (status, out) == (1, ""), err
    assert len(err.splitlines()) == 1, err
    assert err.startswith("pbs-fast run: ")
    return err


def test_a_log_that_is_not_there_yet_is_waited_for(site: Site) -> None:
    site.log.unlink()
    daemon = site.start()
    missing = f"{site.log} does not exist; waiting for it"
    assert site.said().count(missing) == 1
    time.sleep(1.5)  # several looks, of which none may say it again
    assert status(site)["logs"][0]["coverage"]["reason"] == missing
    site.append(login(A))
    site.wait_rows(A)
    found = status(site)["logs"][0]
    assert (found["state"], found["coverage"]["complete"]) == ("following", False)
    assert found["coverage"]["reason"] == f"when the daemon started: {site.log} does not exist"
    assert site.said().count(missing) == 1
    assert site.said().count(f"{site.log} is there; following it") == 1
    site.append(login(B))
    site.wait_rows(A, B)
    assert daemon.stop() == 0


@pytest.mark.parametrize("more", [(), ("--reprocess",)])
def test_a_run_over_the_log_that_is_there_needs_a_log(site: Site, more: tuple[str, ...]) -> None:
    site.log.unlink()
    line = fails(site, "--once", *more)
    assert line == (
        f"pbs-fast run: {site.log} does not exist; name a log that exists, or leave out --once to wait for it\n"
    )


def test_the_tables_directory_is_missing(site: Site) -> None:
    line = fails(site, f"--dbfile=lmdb:{site.place}/new/relay")
    assert f"install -d -m755 -o ACCOUNT {site.place}/new" in line


def test_a_second_daemon_writes_nothing_into_the_log_of_the_first(site: Site) -> None:
    daemon = site.start()
    before = site.said()
    assert "starting up" in before
    assert "another pbs-fast" in fails(site)
    assert site.said() == before
    assert daemon.stop() == 0
    assert site.said().startswith(before)


def test_a_directory_and_a_device_are_no_logs(site: Site) -> None:
    site.log.unlink()
    site.log.mkdir()
    assert f"{site.log} is not a file, pipe or terminal" in fails(site)
    site.log.rmdir()
    assert f"{site.log}/x" in fails(site, f"--dbfile=lmdb:{site.log}/x/relay")


def test_an_unreadable_log_at_the_start(site: Site) -> None:
    require_nobody()
    site.log.chmod(0o600)
    site.place.chmod(0o777)
    line = fails(site, prefix=NOBODY)
    advice = f"`chgrp adm {site.log}; chmod g+r {site.log}; usermod -aG adm nobody`"
    for word in (str(site.log), "user nobody", "-rw------- root:root", advice):
        assert word in line
    assert not lines_with(site.said(), "waiting")


def test_a_log_that_becomes_unreadable(site: Site) -> None:
    require_nobody()
    site.place.chmod(0o777)
    site.log.chmod(0o644)
    daemon = site.start(prefix=NOBODY)
    site.append(login(A))
    site.wait_rows(A)
    site.log.rename(site.log.with_name("mail.log.1"))
    site.log.touch(mode=0o600)
    site.append(login(B))
    site.wait_said("-rw------- root:root")
    time.sleep(1.0)  # several looks, of which none may say it again
    assert len(lines_with(site.said(), str(site.log), "-rw-------")) == 1, site.said()
    site.log.chmod(0o644)
    site.wait_rows(A, B)
    assert lines_with(site.said(), "is there; following it")
    assert daemon.stop() == 0


def test_a_directory_that_cannot_be_written_at_the_start(any_site: Site) -> None:
    site = any_site
    require_nobody()
    site.own = site.place / "free" / "own.log"
    site.own.parent.mkdir()
    site.own.parent.chmod(0o777)
    line = fails(site, prefix=NOBODY)
    for word in (f"{site.place}/relay", "user nobody", "0755 root:root"):
        assert word in line
    site.spec = f"{site.spec.partition(':')[0]}:{site.place}/nowhere/relay"
    assert f"{site.place}/nowhere" in fails(site)


def test_a_table_that_cannot_be_written_for_a_while(site: Site) -> None:
    """btree, which needs its directory for each change. The line comes once; afterwards all is caught up."""
    require_nobody()
    own, tables = site.place / "own", site.place / "tables"
    for directory in (own, tables):
        directory.mkdir()
        directory.chmod(0o777)
    site.own = own / "own.log"
    site.spec = f"btree:{tables}/relay"
    daemon = site.start(prefix=NOBODY)
    site.append(login(A))
    site.wait_rows(A)
    tables.chmod(0o555)
    site.append(login(B))
    site.wait_said("changes wait and are tried again")
    site.append(login(C))
    time.sleep(1.0)  # several attempts, of which none may say it again
    assert len(lines_with(site.said(), "cannot write")) == 1
    (line,) = lines_with(site.said(), "cannot write")
    for word in (f"{tables}/relay.db", "Permission denied", "user nobody", "0555 root:root"):
        assert word in line
    assert site.holds(A), "the old table stays whole"
    tables.chmod(0o777)
    site.wait_rows(A, B, C)
    site.wait_said("works again; 2 changes caught up")  # the reader may see the rows before the daemon has said it
    assert daemon.stop() == 0


def test_a_table_that_vanishes_comes_back(any_site: Site) -> None:
    site = any_site
    site.start()
    site.append(login(A))
    site.wait_rows(A)
    site.file.unlink()
    site.append(login(B))
    site.wait_rows(A, B)
    site.wait_said("another program; restored")  # as above


def test_what_cannot_be_written_at_the_end_is_said(site: Site) -> None:
    """Status 1 and a line; the next start has it from the log."""
    site.cover()
    daemon = site.start()
    site.append(login(A))
    site.wait_rows(A)
    with site.file.open("r+b") as reader:
        fcntl.lockf(reader, fcntl.LOCK_SH)  # a reader that hangs
        site.append(login(B))
        site.wait_said(f"added {B}")
        assert daemon.stop(signal.SIGTERM) == 1
    assert lines_with(
        site.said(), "another process has held its fcntl lock", "are missing from that table until the next start"
    )
    assert site.holds(A)
    site.start()
    assert site.holds(A, B)


def test_no_line_ends_the_daemon(site: Site) -> None:
    """Bytes of all kinds, before and after the start; what is good between them counts."""
    bad = [
        b"\x00" * 300,
        bytes(range(256)).replace(b"\n", b""),
        b"x" * 70_000,
        login("1.2.3").encode(),
        login("203.0.113.1\x00").encode(),
        login(A).encode().replace(b"<ann>", b"<\xff\xfe\x1b[2J>"),
        b"9999-99-99T99:99:99Z hub dovecot: imap-login: Login: user=<a>, rip=203.0.113.77",
        b"",
    ]
    with site.log.open("ab") as log:
        log.write(b"\n".join(bad) + b"\n" + noise().encode() + b"\n")
    daemon = site.start("--debug", f"--logto={site.own}")
    with site.log.open("ab") as log:
        log.write(b"\n".join(bad) + b"\n")
    site.append(login(B))
    site.wait_rows(A, B)
    assert daemon.running
    assert "\x1b" not in site.said(), "no terminal obeys our log"
    assert daemon.stop() == 0


def test_our_own_log_that_cannot_be_opened(site: Site) -> None:
    own = site.place / "nowhere" / "own.log"
    assert f"cannot open our own log {own}" in fails(site, f"--logto={own}")


def test_a_full_disk_below_our_own_log_ends_nothing(site: Site) -> None:
    """/dev/full refuses each write."""
    assert Path("/dev/full").exists()
    daemon = site.spawn("--logto=/dev/full")
    daemon.wait_until("there is a table", site.file.exists)
    site.append(login(A))
    site.wait_rows(A)
    assert daemon.stop() == 0
