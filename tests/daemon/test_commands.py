"""`list`, `reap`, `clear` and `config` beside a daemon and without one."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from daemon.running import Site, login, pbs

A, B = "203.0.113.2", "203.0.113.10"


def here(site: Site, *more: str) -> list[str]:
    return [f"--config={site.config}", f"--dbfile={site.spec}", *more]


def owner(site: Site) -> Path:
    return site.file.with_name(site.file.name + ".owner")


def test_list_beside_a_running_daemon(any_site: Site) -> None:
    site = any_site
    site.start()
    assert pbs("list", *here(site)).stdout == "The database holds 0 IPs.\n"
    site.append(login(A))
    site.wait_rows(A)
    assert pbs("list", *here(site)).stdout == f"The database holds 1 IP:\n\t{A}\n"
    site.append(login(B))
    site.wait_rows(A, B)
    assert pbs("list", *here(site)).stdout == f"The database holds 2 IPs:\n\t{B}\n\t{A}\n", "sorted by bytes"
    assert json.loads(pbs("list", "--json", *here(site)).stdout) == {
        "table": site.spec,
        "rows": {A: "ok", B: "ok"},
    }
    site.append(login("203.0.113.3"))
    site.wait_rows(A, B, "203.0.113.3")


def test_clear_needs_the_daemon_stopped(any_site: Site) -> None:
    site = any_site
    daemon = site.start()
    site.append(login(A), login(B))
    site.wait_rows(A, B)
    done = pbs("clear", *here(site))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"another pbs-fast (pid {daemon.pid}) owns {site.file}" in done.stderr
    assert site.holds(A, B)
    assert daemon.stop() == 0
    done = pbs("clear", *here(site))
    assert (done.returncode, done.stdout) == (0, f"{site.spec}: emptied, 2 rows removed\n")
    assert site.holds(), "the empty table stays"
    assert site.file.exists()


def test_reap_waits_for_grace_after_the_last_owner(any_site: Site) -> None:
    site = any_site
    site.grace = 300
    reap = here(site, f"--grace={site.grace}")
    assert pbs("reap", *reap).stdout == f"{site.spec}: no such table\n"
    assert not list(site.place.glob("relay*"))
    daemon = site.start()
    site.append(login(A))
    site.wait_rows(A)
    assert pbs("reap", *reap).stdout == f"{site.spec}: in use by the running daemon\n"
    daemon.kill()
    waiting = pbs("reap", *reap).stdout
    assert waiting.startswith(f"{site.spec}: no daemon is running; will be emptied in 6 min"), waiting
    assert site.holds(A)
    long_ago = time.time() - site.grace - 61
    os.utime(owner(site), (long_ago, long_ago))
    assert pbs("reap", *reap).stdout == f"{site.spec}: emptied, 1 rows removed\n"
    assert site.holds()
    site.start()
    site.append(login(B))
    site.wait_rows(A, B)  # the log still explains the one that was reaped


@pytest.mark.parametrize("command", ["clear", "reap", "list"])
def test_one_table_that_fails_keeps_no_other_from_its_turn(command: str, site: Site) -> None:
    site.start().stop()
    (site.place / "bad.lmdb").write_text("not LMDB\n")
    (site.place / "bad.lmdb.owner").touch()
    for owner_file in site.place.glob("*.owner"):
        os.utime(owner_file, (1, 1))
    done = pbs(command, f"--config={site.config}", f"--dbfile=lmdb:{site.place}/bad", f"--table={site.spec}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"pbs-fast {command}: {site.place}/bad.lmdb is not an LMDB file; ")
    assert site.spec in done.stdout


@pytest.mark.parametrize(
    ("command", "used"),
    [
        ("list", {"--dbfile", "--table", "--flock"}),
        ("clear", {"--dbfile", "--table", "--flock"}),
        ("reap", {"--dbfile", "--table", "--flock", "--grace"}),
    ],
)
def test_a_command_takes_only_the_options_it_uses(command: str, used: set[str]) -> None:
    text = pbs(command, "--help").stdout
    all_of_run = {"--watchlog", "--dbfile", "--table", "--grace", "--write", "--flock", "--debug", "--daemon", "--core"}
    assert {option for option in all_of_run if f"  {option}" in text} == used
    done = pbs(command, "--watchlog=/x")
    assert done.returncode == 2
    assert done.stderr.startswith(f"pbs-fast {command}: no such option --watchlog")


def test_config_shows_what_run_would_do(site: Site) -> None:
    site.configure("grace = 77\n")
    shown = site.place / "shown.toml"
    shown.write_text(pbs("config", f"--config={site.config}", f"--watchlog={site.log}", f"--dbfile={site.spec}").stdout)
    assert f"{site.config}:3" in shown.read_text(), "where the value comes from"
    site.config = shown
    daemon = site.start("--grace=78")
    assert daemon.stop() == 0
    assert "grace: 78\n" in pbs("run", "--dumpconfig", f"--config={shown}", "--grace=78").stdout
    assert "grace: 77\n" in pbs("run", "--dumpconfig", f"--config={shown}").stdout
