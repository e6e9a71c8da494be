"""`pbs-fast run --watchlog=journal:` as a process: real journal files, forgeries, the end of its child."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site
from mta import private_directory, wait_for
from sources.journals import Journald, fields, message, program, store

pytestmark = pytest.mark.system

A, B, C, D = "203.0.113.5", "203.0.113.6", "2001:db8::7", "203.0.113.66"


class JournalSite(Site):
    """A site whose log is the journal of a directory."""

    spec_of_log = ""

    def arguments(self, *more: str) -> list[str]:
        others = [each for each in super().arguments(*more) if not each.startswith("--watchlog")]
        return [*others, f"--watchlog={self.spec_of_log}"]


@pytest.fixture
def site() -> Iterator[JournalSite]:
    program("systemd-journal-remote")
    site = JournalSite(private_directory("journal"))
    site.spec_of_log = f"journal:directory={site.place}/journal"
    yield site
    site.close()
    shutil.rmtree(site.place)


def journal(site: Site) -> Path:
    return site.place / "journal" / "system.journal"


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_past_and_present_grant_and_forgeries_do_not(site: JournalSite) -> None:
    now = time.time()
    store(
        journal(site),
        fields("starting", now - site.grace - 60),
        fields(message(D), now - site.grace - 5),
        fields(message(A), now - 60),
        fields(message("203.0.113.67"), now - 50, _SYSTEMD_UNIT="user@1000.service", _UID="1000"),
    )
    daemon = site.start()
    assert site.rows() == [A]
    store(
        journal(site),
        fields(message(C)),
        fields(message("203.0.113.68"), _SYSTEMD_UNIT="session-3.scope", _UID="1000"),
        fields(f"imap-login: Aborted login: user=<x\n{message('203.0.113.69')}>"),
    )
    site.wait_rows(A, C)
    child = children(daemon.pid)
    assert len(child) == 1
    assert daemon.stop() == 0
    wait_for("journalctl's end", lambda: not running(child[0]))
    assert site.rows() == sorted([A, C])
    said = site.said()
    assert "log_refused_unit=2" in said
    assert "log_entries=7" in said
    assert "lines=5" in said
    assert "tagged dovecot of user@1000.service, uid 1000, are rejected (unit)" in said


def test_stale_rows_go_when_the_journal_covers_the_window(site: JournalSite) -> None:
    store(journal(site), fields("starting", time.time() - 30))
    store(journal(site), fields(message(A), time.time() - 20))
    site.start("--grace=10000").stop()
    assert site.rows() == [A]  # explained by a window that reaches back so far, but for the coverage
    site.start("--grace=25")
    assert site.rows() == [A]
    site.close()
    site.start("--grace=10")
    assert site.rows() == []
    assert "was read back to" in site.said()


def test_a_journalctl_that_dies_is_started_again(site: JournalSite) -> None:
    store(journal(site), fields("starting", time.time() - site.grace - 60))
    daemon = site.start()
    store(journal(site), fields(message(A)))
    site.wait_rows(A)
    [child] = children(daemon.pid)
    os.kill(child, signal.SIGKILL)
    store(journal(site), fields(message(B)))
    site.wait_rows(A, B)
    assert children(daemon.pid) != [child]
    site.wait_said("journalctl ended (status -9); starting it again")
    assert daemon.stop() == 0
    assert "login=2" in site.said()


def test_nothing_of_a_killed_daemon_stays_behind(site: JournalSite) -> None:
    store(journal(site), fields(message(A)))
    daemon = site.start()
    wait_for("journalctl", lambda: children(daemon.pid))
    [child] = children(daemon.pid)
    daemon.kill()
    wait_for("journalctl's end", lambda: not running(child))


def test_reprocess_reads_the_whole_journal(site: JournalSite) -> None:
    now = time.time()
    store(journal(site), fields(message(A), now - 90_000), fields(message(B), now - 60))
    daemon = site.spawn("--reprocess", "--once")
    status, _, errors = daemon.end()
    assert (status, errors) == (0, "")
    assert site.rows() == [B]
    assert f"added {A}" in site.said()
    assert "reached end of log file" in site.said()


def test_no_journalctl_is_one_line_and_exit_1(site: JournalSite) -> None:
    site.spec_of_log = "journal:"
    (site.place / "bin").mkdir()
    done = subprocess.run(
        [PROGRAM, "run", *site.arguments("--nowrite")],
        env={"PATH": str(site.place / "bin")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "the journal is read with journalctl" in done.stderr


def test_a_spec_that_is_not_understood_exits_2(site: JournalSite) -> None:
    site.spec_of_log = "journal:units=dovecot"
    status, _, errors = site.spawn().end()
    assert status == 2
    assert errors.count("\n") == 1
    assert 'nearest: "unit="' in errors
    assert not site.file.exists()


def test_real_journald_real_unit(site: JournalSite) -> None:
    journald = Journald(f"run{os.getpid()}")
    try:
        site.spec_of_log = f"journal:unit=dovecot.service,directory={journald.directory}"
        site.start()
        journald.log(message(D), unit=None, uid=1000)
        journald.log(message(A))
        site.wait_rows(A)
        journald.rotate()
        journald.log(message(B))
        site.wait_rows(A, B)
    finally:
        journald.close()
