"""The SysV start file, run by the shells that run such files, with the real daemon."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.conftest import new_site, site
from daemon.running import PROGRAM, READY, Site, alive, login
from mta import wait_for
from packages import PACKAGING, tool

__all__ = ["new_site", "site"]

Script = Callable[[str], "subprocess.CompletedProcess[str]"]
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


@pytest.fixture(params=SHELLS)
def script(request: pytest.FixtureRequest, site: Site) -> Iterator[Script]:
    """Calls the start file; what it starts is ended with the test."""
    tool("flock")
    site.cover()
    defaults = site.place / "defaults"
    defaults.write_text(
        f"PROGRAM='{PROGRAM}'\nOPTIONS='{' '.join(site.arguments())}'\nPIDFILE='{site.place}/pid'\n"
        f"STATE='{site.place}/state'\nLOGS='{site.place}/logs'\nOWNER=nobody\n"
    )
    shell = [str(shutil.which(request.param)), *(["sh"] if request.param == "busybox" else [])]

    def call(action: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*shell, PACKAGING / "sysv" / "pbs-fast", *action.split()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": "/nowhere", "PBS_FAST_DEFAULTS": str(defaults)},
        )

    yield call
    if (site.place / "pid").exists() and call("status").returncode == 0:
        os.kill(pid(site), signal.SIGKILL)


def pid(site: Site) -> int:
    return int((site.place / "pid").read_text())


def test_life(script: Script, site: Site) -> None:
    done = script("status")
    assert (done.returncode, done.stdout) == (3, "pbs-fast: does not run\n")
    site.append(login("203.0.113.5"))
    done = script("start")
    assert (done.returncode, done.stdout, done.stderr) == (0, "pbs-fast: started\n", "")
    assert site.holds("203.0.113.5"), "start returns when the tables are in order"
    first = pid(site)
    done = script("status")
    assert (done.returncode, done.stdout) == (0, f"pbs-fast: runs (process {first})\n")
    assert (site.place / "state").stat().st_mode & 0o777 == 0o755
    done = script("start")
    assert (done.returncode, done.stdout) == (0, f"pbs-fast: runs already (process {first})\n")
    assert script("reload").returncode == 0
    site.wait_said("reloaded ")
    assert script("restart").returncode == 0
    assert pid(site) != first
    assert site.said().count(READY) == 2
    done = script("stop")
    assert done.returncode == 0
    assert "caught SIGTERM" in site.said().splitlines()[-2]
    assert script("status").returncode == 3
    assert script("stop").returncode == 0, "to stop what does not run is no fault"
    assert script("reload").returncode == 7
    assert script("try-restart").returncode == 0
    assert script("status").returncode == 3


def test_a_dead_daemon_is_told_from_a_living_process(script: Script, site: Site) -> None:
    assert script("start").returncode == 0
    first = pid(site)
    os.kill(first, signal.SIGKILL)
    wait_for("its end", lambda: script("status").returncode == 1)
    with subprocess.Popen(["sleep", "60"]) as other:
        (site.place / "pid").write_text(f"{other.pid}\n")  # the number went to a process that lives
        done = script("status")
        assert (done.returncode, "is dead" in done.stdout) == (1, True)
        assert script("stop").returncode == 0
        assert script("reload").returncode == 7
        assert other.poll() is None
        other.kill()
    assert script("start").returncode == 0
    assert script("stop").returncode == 0


def test_only_the_daemon_is_ever_signalled(script: Script, site: Site) -> None:
    """The daemon's account can write any number into the file that it holds open and locked."""
    assert script("start").returncode == 0
    first = pid(site)
    with subprocess.Popen(["sleep", "60"]) as other:
        for text in (f"{other.pid}\n", "-1\n", f"{first} {other.pid}\n", "0\n", "1\n", "$(reboot)\n", ""):
            (site.place / "pid").write_text(text)
            for action in ("stop", "reload", "restart"):
                done = script(action)
                assert done.returncode in (1, 7), (text, action, done)
                assert "nothing is signalled" in done.stderr
        assert other.poll() is None
        other.kill()
    assert alive(first)
    (site.place / "pid").write_text(f"{first}\n")
    assert script("stop").returncode == 0


def test_a_link_in_the_place_of_the_pid_file_is_not_followed(script: Script, site: Site) -> None:
    (site.place / "other").write_text("1\n")
    (site.place / "pid").symlink_to(site.place / "other")
    for action in ("stop", "start"):
        done = script(action)
        assert done.returncode == 1, done
        assert "not a plain file" in done.stderr
    assert (site.place / "other").read_text() == "1\n"


def test_a_start_that_fails_says_why(script: Script, site: Site) -> None:
    site.config.write_text("grace = 0\n")
    done = script("start")
    assert done.returncode == 1
    assert "grace must be" in done.stderr
    assert script("status").returncode == 3


@pytest.mark.parametrize("action", ["", "stat"])
def test_bad_use(action: str, script: Script) -> None:
    done = script(action)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


def test_the_header_is_complete() -> None:
    text = (PACKAGING / "sysv" / "pbs-fast").read_text()
    head = text.partition("### BEGIN INIT INFO\n")[2].partition("### END INIT INFO")[0]
    keys = {line[2:].partition(":")[0] for line in head.splitlines()}
    assert keys >= {"Provides", "Required-Start", "Required-Stop", "Default-Start", "Default-Stop", "Short-Description"}
    assert Path(PACKAGING / "sysv" / "pbs-fast").stat().st_mode & 0o111
