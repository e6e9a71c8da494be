"""Clocks that are set: the real daemon on a wall clock that jumps by hours and a boot clock that counts a suspension.

The clocks are injected (clocked.py), because no namespace steps CLOCK_REALTIME. One test runs the unchanged program in
a real time namespace, whose boot clock is another one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from daemon.running import Daemon, Site, lines_with, login, noise
from mta import unavailable

A, B = "203.0.113.1", "203.0.113.2"
HOURS = 5 * 3600
#: A machine that stalls for a quarter of it changes nothing.
GRACE = 6000


def start(site: Site) -> Daemon:
    site.grace = GRACE
    site.append(noise(site.now() - 4 * 3600))
    return site.start()


def mark(number: int) -> str:
    """A login that shows, once its row is there, that the daemon has looked at its clocks since: expiry comes first."""
    return f"10.0.0.{number}"


@pytest.mark.parametrize("step", [HOURS, -HOURS])
def test_a_step_neither_extends_nor_drops_a_grant(any_site: Site, step: int) -> None:
    site = any_site
    clocks = site.set_clocks()
    daemon = start(site)
    site.append(login(A, at=site.now()))
    site.wait_rows(A)
    clocks.set(wall=step)
    site.append(login(mark(1), at=site.now()))
    site.wait_rows(A, mark(1))
    clocks.advance(GRACE / 2)
    site.append(login(B, at=site.now()))
    site.wait_rows(A, B, mark(1))
    clocks.advance(GRACE / 4)
    site.append(login(mark(2), at=site.now()))
    site.wait_rows(A, B, mark(1), mark(2))
    clocks.advance(GRACE / 2)
    site.wait_rows(B, mark(2))
    clocks.advance(GRACE / 4 + 1)
    site.wait_rows(mark(2))
    assert "in the past" not in site.said()
    assert not lines_with(site.said(), "refused")
    assert daemon.stop() == 0
    assert lines_with(site.said(), "counted expired=3 granted=4 ")


def test_steps_to_and_fro(site: Site) -> None:
    clocks = site.set_clocks()
    daemon = start(site)
    site.append(login(A, at=site.now()))
    site.wait_rows(A)
    marks = []
    for number in range(8):
        clocks.set(wall=HOURS * (-1) ** number)
        marks.append(mark(number))
        site.append(login(marks[-1], at=site.now()))
        site.wait_rows(A, *marks)
    clocks.advance(GRACE * 3 / 4)
    site.append(login(B, at=site.now()))
    site.wait_rows(A, *marks, B)
    clocks.advance(GRACE / 2)
    site.wait_rows(B)
    assert daemon.stop() == 0


def test_a_suspension_counts(site: Site) -> None:
    """Both clocks go on while the machine sleeps, as CLOCK_BOOTTIME does: grants end, new ones are whole."""
    clocks = site.set_clocks()
    daemon = start(site)
    site.append(login(A, at=site.now()))
    site.wait_rows(A)
    clocks.advance(GRACE * 3 / 4)
    site.append(login(B, at=site.now()))
    site.wait_rows(A, B)
    clocks.advance(GRACE / 2)
    site.wait_rows(B)
    clocks.advance(GRACE / 2 + 1)
    site.wait_rows()
    assert daemon.stop() == 0


def test_a_restart_after_a_step_back_drops_nothing_that_was_granted(site: Site) -> None:
    """The log then holds lines of the future, so that what it says of now is not known: the rows stay for a grace."""
    clocks = site.set_clocks()
    site.grace = 1800
    site.append(noise(site.now() - 9 * 3600))
    daemon = site.start()
    site.append(login(A, at=site.now()))
    site.wait_rows(A)
    clocks.set(wall=-HOURS)
    site.append(login(B, at=site.now()))
    site.wait_rows(A, B)
    assert daemon.stop() == 0
    daemon = site.start()
    assert site.holds(A, B)
    assert lines_with(
        site.said(), "1 rows that no log explains are kept for at most 30 min", "timestamps in the future"
    )
    assert daemon.stop() == 0


def test_in_a_time_namespace_with_another_boot_clock(site: Site) -> None:
    """The unchanged program where the machine seems to be up for months: grants end by the clock that counts sleep."""
    words = ["unshare", "--time", "--boottime", "9000000", "--monotonic", "1000"]
    done = subprocess.run([*words, "true"], capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if done is None or done.returncode or shutil.which("unshare") is None:
        unavailable("a time namespace needs root and a kernel that has it")
    site.grace = 6
    site.append(noise(time.time() - 7200))
    daemon = site.start(prefix=[*words, "--"])
    begun = time.monotonic()
    site.append(login(A))
    site.wait_said(f"removed {A}")
    site.wait_rows()
    assert time.monotonic() - begun > 4.9  # a timestamp is cut to its second
    daemon.kill()
