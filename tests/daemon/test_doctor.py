"""The whole `pbs-fast doctor` on a site at work, with a real Postfix's tools; and what the daemon says at its start."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.running import NOBODY, PROGRAM, Site, login, noise, pbs, readable_to_all, require_nobody
from doctor.installations import BROKEN, GOOD, build
from mta import require, wait_for

SHAPES = {"sound": GOOD["Debian's default with our guide's lines"], "broken": BROKEN["another type"]}


def _connect(site: Site, shape: str) -> None:
    """Give the site a Postfix that asks its table, or does not."""
    require("postmap", "Postfix")
    etc = site.place / "etc"
    etc.mkdir(exist_ok=True)
    command, _ = build(SHAPES[shape], etc)
    main = (etc / "main.cf").read_text().replace(f"{etc}/relay", f"{site.place}/relay")
    (etc / "main.cf").write_text(main)
    os.utime(etc / "main.cf", (0, 0))
    site.configure(f'postconf = "{command}"\n')


def _doctor(site: Site) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and findings."""
    options = [f"--config={site.config}", f"--watchlog={site.log}", f"--dbfile={site.spec}"]
    done = pbs("doctor", "--json", *options)
    assert not done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == done.returncode
    text = pbs("doctor", *options)
    assert text.returncode == done.returncode
    assert all(len(line) <= 80 for line in text.stdout.splitlines() if str(site.place) not in line)
    return done.returncode, found["findings"]


def _alarms(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["code"], each["level"]) for each in findings if each["level"] in ("warn", "fail")]


def _level(findings: list[dict[str, Any]], code: str, part: str = "") -> str:
    return next(str(each["level"]) for each in findings if each["code"] == code and part in each["evidence"])


def _snapshot(place: Path) -> dict[str, tuple[int, int, int, bytes]]:
    found = {}
    for file in sorted(place.rglob("*")):
        state = file.lstat()
        content = file.read_bytes() if file.is_file() else b""
        found[str(file)] = (state.st_mode, state.st_mtime_ns, state.st_nlink, content)
    return found


def test_a_site_at_work_and_one_that_stopped(site: Site) -> None:
    _connect(site, "sound")
    site.cover()
    daemon = site.start()
    site.append(*(login(f"203.0.113.{i}", f"user{i}") for i in range(1, 6)))
    site.wait_rows(*(f"203.0.113.{i}" for i in range(1, 6)))
    status, found = _doctor(site)
    assert (status, _alarms(found)) == (0, []), found
    for code in ("log.read", "log.tags", "table.read", "table.owner", "postfix.wired", "postfix.order", "daemon"):
        assert _level(found, code) == "ok", found
    assert "postfix: ok" in next(each["evidence"] for each in found if each["code"] == "table.read")
    assert "no smtpd asks" not in site.said()

    daemon.stop()
    before = _snapshot(site.place)
    status, found = _doctor(site)
    assert _snapshot(site.place) == before, "it changed something"
    assert (status, _alarms(found)) == (1, [("table.owner", "fail")]), found


def test_postfix_that_asks_another_table(site: Site) -> None:
    """The daemon says so once it is ready; doctor finds the same."""
    _connect(site, "broken")
    site.append(noise())
    site.start()
    site.wait_said("not hash:")
    status, found = _doctor(site)
    assert (status, _level(found, "postfix.wired")) == (1, "fail"), found
    assert site.said().count("not hash:") == 1


def test_a_postconf_that_hangs_delays_no_start_and_no_stop(site: Site) -> None:
    """It is asked only once the daemon is ready, and nothing waits for it."""
    asked = site.place / "asked"
    postconf = site.place / "postconf"
    postconf.write_text(f"#!/bin/sh\necho $$ >> {asked}\nexec sleep 600\n")
    postconf.chmod(0o755)
    site.configure(f'postconf = "{postconf}"\n')
    daemon = site.start()
    wait_for("postconf", asked.exists)
    site.append(login("203.0.113.9"))
    site.wait_rows("203.0.113.9")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 300
    for pid in asked.read_text().split():
        os.kill(int(pid), 9)


def test_a_daemon_whose_networks_are_listed_asks_no_postfix(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an administrator may want it who lets the daemon run no other program."""
    asked = site.place / "asked"
    program = site.place / "bin" / "postconf"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {asked}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    daemon = site.start()
    site.append(login("203.0.113.9"))
    site.wait_rows("203.0.113.9")
    daemon.stop()
    assert not asked.exists()


def test_an_ordinary_user_sees_their_own_part(new_site: Callable[[str], Site]) -> None:
    """Without root it says as whom it looked."""
    require_nobody()
    site = new_site("lmdb")
    _connect(site, "sound")
    site.append(login("203.0.113.9"))
    command = [*readable_to_all(), *NOBODY, PROGRAM, "doctor", f"--config={site.config}", f"--watchlog={site.log}"]
    done = subprocess.run([*command, f"--dbfile={site.spec}"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert not done.stderr
    assert "run as nobody" in done.stdout
