"""`--daemon=PIDFILE`: the parent tells the truth, the pid file is a lock, paths stay good, warnings arrive."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from daemon.running import PROGRAM, READY, Site, alive, end, lines_with, login, noise, pbs
from mta import dovecot, unavailable, wait_for
from mta.syslog import Syslog

A, B = "203.0.113.1", "203.0.113.2"


def test_the_parent_ends_when_the_child_is_ready(site: Site) -> None:
    site.cover()
    now = time.time()
    site.append(*(noise(now - 900, "x" * 200) for _ in range(50_000)), login(A, at=now - 60))
    done = site.background()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert READY in site.said(), "at the parent's end all is ready"
    assert site.holds(A)
    pid = site.pid()
    assert alive(pid)
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert [str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in (0, 1, 2)] == ["/dev/null"] * 3
    assert os.getsid(pid) == pid, "a session of its own"
    site.append(login(B))
    site.wait_rows(A, B)
    end(pid)
    assert "caught SIGTERM -- exiting" in site.said()
    assert not site.pid_file.exists()
    assert site.holds(A, B)


def test_the_parent_ends_with_1_and_the_reason(site: Site) -> None:
    for more, reason in (
        (f"--watchlog={site.place}", f"{site.place} is not a file, pipe or terminal"),
        (f"--dbfile=lmdb:{site.place}/nowhere/relay", f"{site.place}/nowhere"),
        (f"--logto={site.place}/nowhere/log", f"cannot open our own log {site.place}/nowhere/log"),
    ):
        done = site.background(more)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1, "said once"
        assert done.stderr.startswith("pbs-fast run: ")
        assert reason in done.stderr
        assert not site.pid_file.exists()


def test_a_held_pid_file_and_a_stale_one(site: Site) -> None:
    site.pid_file.write_text("1\n")  # left by one that was killed: a living process of somebody else
    assert site.background().returncode == 0
    pid = site.pid()
    assert pid != 1
    second = site.background(f"--dbfile=lmdb:{site.place}/other")
    assert second.returncode == 1
    assert second.stderr == (
        f"pbs-fast run: pid file {site.pid_file}: in use by the running process {pid}; stop it first\n"
    )
    assert site.pid() == pid
    assert alive(pid)
    end(pid, signal.SIGKILL)
    assert site.pid() == pid, "kill -9 leaves it"
    assert site.background().returncode == 0
    assert site.pid() != pid


def test_paths_are_those_of_the_start_also_at_a_reload(site: Site) -> None:
    site.config.write_text('mynetworks = ["127.0.0.0/8"]\ndeny = "deny.toml"\n')
    site.deny.write_text(f'[[deny]]\naddresses = ["{B}"]\n')
    options = ["--config=pbs.toml", "--watchlog=mail.log", "--dbfile=lmdb:relay", "--logto=own.log"]
    done = pbs("run", *options, "--daemon=pbs.pid", cwd=site.place)
    assert (done.returncode, done.stderr) == (0, "")
    site.append(login(B), login(A))
    site.wait_rows(A)
    for number in (1, 2):
        os.kill(site.pid(), signal.SIGHUP)
        site.wait_said("reloaded ", number)
        site.append(login(B), login(f"10.0.0.{number}"))
        site.wait_said(f"added 10.0.0.{number} ")
    assert site.holds(A, "10.0.0.1", "10.0.0.2"), "still denied"
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    os.kill(site.pid(), signal.SIGHUP)
    site.wait_rows("10.0.0.1", "10.0.0.2")
    site.append(login(A), login(B))
    site.wait_rows(B, "10.0.0.1", "10.0.0.2")
    end(site.pid())
    assert not site.pid_file.exists()


def test_a_sigterm_before_it_is_ready_is_told(site: Site) -> None:
    now = time.time()
    site.cover()
    site.append(*(noise(now - 900, "x" * 200) for _ in range(150_000)))
    parent = subprocess.Popen(
        [PROGRAM, "run", *site.arguments(f"--daemon={site.pid_file}", "--core=python")],
        stderr=subprocess.PIPE,
        text=True,
    )
    site.wait_said("table lmdb:")
    end(site.pid())
    _, err = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert err == "pbs-fast run: stopped by SIGTERM before it was ready\n"


def test_a_child_that_dies_is_told(site: Site) -> None:
    now = time.time()
    site.cover()
    site.append(*(noise(now - 900, "x" * 200) for _ in range(150_000)))
    parent = subprocess.Popen(
        [PROGRAM, "run", *site.arguments(f"--daemon={site.pid_file}", "--core=python")],
        stderr=subprocess.PIPE,
        text=True,
    )
    site.wait_said("table lmdb:")
    os.kill(site.pid(), signal.SIGKILL)
    _, err = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert err == "pbs-fast: the daemon exited before it was ready (status -9)\n"


def test_warnings_go_to_syslog_where_no_file_takes_them(site: Site) -> None:
    """In a mount namespace whose /dev/log is ours; with `--logto=FILE` nothing goes there."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("a /dev/log of our own needs root and unshare")
    heard = site.place / "syslog"
    syslog = Syslog(site.place / "dev-log", heard)
    syslog.start()
    heard.touch()
    try:
        for own in (None, "-", str(site.own)):
            site.log_to_file = False
            options = site.arguments(*([] if own is None else [f"--logto={own}"]))
            namespace = ["unshare", "--mount", "sh", "-c", dovecot._UNSHARED, "sh", f"{site.place}/dev-{own == '-'}"]
            command = [*namespace, str(syslog.path), PROGRAM, "run", *options, f"--daemon={site.pid_file}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stderr) == (0, ""), own
            pid = site.pid()
            site.append(login(A), login(B, host="other"))
            if own is None or own == "-":
                warning = rf"pbs-fast\[{pid}\]: {site.log}: contains lines of more than one host"
                wait_for("the warning", lambda warning=warning: lines_with(heard.read_text(), warning))  # type: ignore[misc]
            else:
                site.wait_said("contains lines of more than one host")
                assert f"pbs-fast[{pid}]" not in heard.read_text()
            end(pid)
    finally:
        syslog.stop()
