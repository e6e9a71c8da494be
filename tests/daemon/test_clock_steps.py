"""Clocks that are set: the real daemon on a wall clock that jumps by hours and a boot clock that counts a suspension.

The clocks are injected (clocked.py), because no namespace steps CLOCK_REALTIME. One test runs the unchanged program in
a real time namespace, whose boot clock is another one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.running import Daemon, Site, lines_with, login, noise
from mta import unavailable

A, B, C = "203.0.113.1", "203.0.113.2", "203.0.113.3"
HOURS = 5 * 3600
GRACE = 6


class Clocks:
    """What the daemon's clocks show, beside this machine's."""

    def __init__(self, site: Site) -> None:
        self._file = site.place / "steps"
        self.wall = self.boot = 0.0
        self.set()

    def set(self, wall: float = 0.0, boot: float = 0.0) -> None:
        """Seconds ahead of the machine's."""
        self.wall, self.boot = wall, boot
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{wall} {boot}")
        fresh.replace(self._file)

    def now(self) -> float:
        """What timestamps are written by."""
        return time.time() + self.wall

    @property
    def prefix(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("clocked.py")), str(self._file)]


def start(site: Site, clocks: Clocks) -> Daemon:
    site.grace = GRACE
    site.append(noise(clocks.now() - 4 * 3600))
    return site.start(prefix=clocks.prefix)


@pytest.mark.parametrize("step", [HOURS, -HOURS])
def test_a_step_neither_extends_nor_drops_a_grant(any_site: Site, step: int) -> None:
    site = any_site
    clocks = Clocks(site)
    daemon = start(site, clocks)
    site.append(login(A, at=clocks.now()))
    begun = time.monotonic()
    site.wait_rows(A)
    clocks.set(wall=step)
    time.sleep(2.5)
    assert site.holds(A), "not dropped"
    site.append(login(B, at=clocks.now()))
    second = time.monotonic()
    site.wait_rows(A, B, seconds=4)
    site.wait_rows(B)
    # A timestamp is cut to its second, and the row is looked for every 10 ms.
    assert GRACE - 1.1 < time.monotonic() - begun < GRACE + 4
    site.wait_rows()
    assert GRACE - 2.1 < time.monotonic() - second < GRACE + 4
    assert "in the past" not in site.said()
    assert not lines_with(site.said(), "refused")
    assert daemon.stop() == 0
    assert lines_with(site.said(), "counted expired=2 granted=2 ")


def test_steps_to_and_fro(site: Site) -> None:
    clocks = Clocks(site)
    daemon = start(site, clocks)
    begun = time.monotonic()
    site.append(login(A, at=clocks.now()))
    site.wait_rows(A)
    for number in range(8):
        clocks.set(wall=HOURS * (-1) ** number)
        time.sleep(0.3)
        assert site.holds(A)
    assert time.monotonic() - begun < GRACE - 1, "else nothing was tested"
    site.wait_rows()
    assert GRACE - 1.1 < time.monotonic() - begun < GRACE + 4
    assert daemon.stop() == 0


def test_a_suspension_counts(site: Site) -> None:
    """Both clocks go on while the machine sleeps, as CLOCK_BOOTTIME does: grants end, new ones are whole."""
    clocks = Clocks(site)
    site.grace = 1800
    daemon = site.start(prefix=clocks.prefix)
    site.append(login(A, at=clocks.now()))
    site.wait_rows(A)
    clocks.set(wall=1700, boot=1700)
    site.append(login(B, at=clocks.now()))
    site.wait_rows(A, B)
    clocks.set(wall=1900, boot=1900)
    site.wait_rows(B, seconds=5)
    clocks.set(wall=1700 + 1801, boot=1700 + 1801)
    site.wait_rows(seconds=5)
    assert daemon.stop() == 0


def test_a_restart_after_a_step_back_drops_nothing_that_was_granted(site: Site) -> None:
    """The log then holds lines of the future, so that what it says of now is not known: the rows stay for a grace."""
    clocks = Clocks(site)
    site.grace = 1800
    site.append(noise(clocks.now() - 9 * 3600))
    daemon = site.start(prefix=clocks.prefix)
    site.append(login(A, at=clocks.now()))
    site.wait_rows(A)
    clocks.set(wall=-HOURS)
    site.append(login(B, at=clocks.now()))
    site.wait_rows(A, B)
    assert daemon.stop() == 0
    daemon = site.start(prefix=clocks.prefix)
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
    site.grace = 3
    site.append(noise(time.time() - 7200))
    daemon = site.start(prefix=[*words, "--"])
    begun = time.monotonic()
    site.append(login(A))
    site.wait_rows(A)
    site.wait_rows()
    assert 1.9 < time.monotonic() - begun < 3 + 4
    daemon.kill()
