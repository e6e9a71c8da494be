"""Restarts: nobody who may relay is shut out for an instant, nobody stays longer than his grace, nothing is guessed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.running import READY, Site, lines_with, login, noise
from mta import PATIENCE
from pbs_fast.events import Grant
from pbs_fast.tables import TableOptions, open_table

VALID = [f"203.0.113.{n}" for n in range(1, 41)] + [f"2001:db8::{n:x}" for n in range(1, 11)]
#: Lines between the logins, so that a replay takes several steps.
NOISE = 30_000


class Watch:
    """What the reading process saw."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def result(self) -> dict[str, Any]:
        out, _ = self._process.communicate(timeout=PATIENCE)
        found: dict[str, Any] = json.loads(out)
        return found


@contextmanager
def watching(site: Site, keys: list[str]) -> Iterator[Watch]:
    kind = site.spec.partition(":")[0]
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("watcher.py"), kind, site.file, *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        yield Watch(process)
    finally:
        process.kill()
        process.communicate()


def fill(site: Site) -> None:
    """A log that reaches back behind the window and holds a login of each valid address amid other lines."""
    site.cover()
    now = time.time()
    site.append(*(noise(now - 900) for _ in range(NOISE)))
    site.append(*(login(ip, at=now - 600) for ip in VALID))
    site.append(*(noise(now - 500) for _ in range(NOISE)))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_no_valid_row_is_missing_at_any_instant(any_site: Site, end: signal.Signals) -> None:
    site = any_site
    fill(site)
    daemon = site.start()
    assert site.holds(*VALID)
    with watching(site, VALID) as watch:
        for number in range(3):
            if end == signal.SIGTERM:
                assert daemon.stop() == 0
            else:
                daemon.kill()
            missed = f"198.51.100.{number}"
            site.append(login(missed))
            daemon = site.start()
            assert missed in site.rows(), "a login of the time when nobody looked is there after the start"
        seen = watch.result()
    assert seen["rounds"] > 10, seen
    assert seen["missing"] == seen["errors"] == {}
    assert site.holds(*VALID, "198.51.100.0", "198.51.100.1", "198.51.100.2")
    assert daemon.stop() == 0


def test_a_login_while_it_starts_does_not_wait_for_the_replay(site: Site) -> None:
    """What is appended while half an hour of log is read is granted meanwhile, and none of it is lost."""
    site.cover()
    now = time.time()
    site.append(*(noise(now - 900, "x" * 200) for _ in range(150_000)))
    daemon = site.spawn("--core=python")  # the slower one: some seconds
    daemon.wait_until("it is about to open its log", lambda: "table lmdb:" in site.said())
    appended: list[str] = []
    early = 0  # looks that saw rows before it was ready; at the replay's very end one or two may
    while READY not in site.said() and daemon.running:
        ip = f"10.9.{len(appended) // 250}.{len(appended) % 250}"
        site.append(login(ip))
        appended.append(ip)
        time.sleep(0.005)
        found = site.file.exists() and bool(site.rows())
        early += found and READY not in site.said()
    assert early > 3, f"{early} of {len(appended)} looks saw rows before it was ready"
    site.wait_rows(*appended)


def seed(site: Site, *ips: str) -> None:
    """Rows of an earlier daemon whose log says nothing of them."""
    table = open_table(site.spec)
    table.rebuild(dict.fromkeys(ips, Grant(2_000_000_000, None, "", "new")))
    table.close()


def test_with_coverage_stale_rows_go(any_site: Site) -> None:
    site = any_site
    seed(site, "203.0.113.1", "203.0.113.2")
    site.cover()
    site.append(login("203.0.113.2", at=time.time() - 60), login("203.0.113.3", at=time.time() - site.grace - 60))
    daemon = site.start()
    assert site.holds("203.0.113.2")
    assert "removed 203.0.113.1 from DB (stale: no login in the last 1800 s explains it)" in site.said()
    assert daemon.stop() == 0


def test_without_coverage_they_stay_for_one_grace(site: Site) -> None:
    seed(site, "203.0.113.1", "203.0.113.2")
    clocks = site.set_clocks()
    site.append(login("203.0.113.2"))  # the log begins within the window
    daemon = site.start()
    assert site.holds("203.0.113.1", "203.0.113.2")
    assert lines_with(
        site.said(),
        "1 rows that no log explains are kept for at most 30 min",
        "starts at",
        "does not cover the last 30 min",
    )
    assert lines_with(site.said(), "kept 203.0.113.1 in DB", "as no log explains it")
    clocks.advance(site.grace - 300)
    site.append(login("203.0.113.3", at=site.now()))
    site.wait_rows("203.0.113.1", "203.0.113.2", "203.0.113.3")  # none ends earlier
    clocks.advance(301)
    site.wait_rows("203.0.113.3")  # no login before the start lasts longer
    assert daemon.stop() == 0


def test_a_log_that_is_gone_removes_nothing_early(any_site: Site) -> None:
    site = any_site
    seed(site, *VALID)
    site.log.unlink()
    daemon = site.start()
    assert site.holds(*VALID)
    assert lines_with(site.said(), "50 rows that no log explains are kept", "mail.log does not exist")
    assert daemon.stop() == 0
    assert site.holds(*VALID)


def test_the_end_of_a_row_that_says_it_is_not_put_off(site: Site) -> None:
    """A value with {expires} says when the row ends: no restart makes it later, and a dead one goes at once."""
    site.configure('value = "ok {expires}"\n')
    clocks = site.set_clocks()
    now = int(time.time())
    table = open_table(site.spec, options=TableOptions(value="ok {expires}"))
    ends = {"203.0.113.1": now - 5, "203.0.113.2": now + 400, "203.0.113.3": now + 1700}
    table.rebuild({ip: Grant(end, None, "", "new") for ip, end in ends.items()})
    table.close()
    site.start()
    assert site.holds("203.0.113.2", "203.0.113.3")
    assert "removed 203.0.113.1 from DB" in site.said()
    clocks.advance(401)
    site.wait_rows("203.0.113.3")
    clocks.advance(1300)
    site.wait_rows()


def test_a_foreign_file_is_not_touched(any_site: Site) -> None:
    site = any_site
    kind = site.spec.partition(":")[0]
    foreign = site.place / "access"
    foreign.write_text("example.com REJECT\n10 OK\n203.0.113.1 OK\nuser@example.com DISCARD\n")
    if kind == "hash":
        from berkeleydb import db

        handle = db.DB()
        handle.open(str(site.file), None, db.DB_HASH, db.DB_CREATE)
        for line in foreign.read_text().splitlines():
            key, _, value = line.partition(" ")
            handle.put(key.encode() + b"\0", value.encode() + b"\0")
        handle.close()
    else:
        import lmdb

        env = lmdb.open(str(site.file), subdir=False, lock=False)
        with env.begin(write=True) as txn:
            for line in foreign.read_text().splitlines():
                key, _, value = line.partition(" ")
                txn.put(key.encode(), value.encode())
        env.close()
    before = (site.file.read_bytes(), site.file.stat().st_mtime_ns)
    status, out, err = site.spawn().end()
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert sum(name in err for name in ("example.com", "'10", "203.0.113.1", "user@example.com")) >= 3, err
    assert (site.file.read_bytes(), site.file.stat().st_mtime_ns) == before
    assert not site.file.with_name(site.file.name + ".tmp").exists()


def test_the_second_daemon_on_a_table_ends_with_1(any_site: Site) -> None:
    site = any_site
    site.cover()
    site.append(login("203.0.113.1"))
    first = site.start()
    status, out, err = site.spawn().end()
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert f"another pbs-fast (pid {first.pid}) owns {site.file}" in err
    assert first.running
    assert site.holds("203.0.113.1")
    site.append(login("203.0.113.2"))
    site.wait_rows("203.0.113.1", "203.0.113.2")
    first.kill()
    second = site.start()
    assert site.holds("203.0.113.1", "203.0.113.2"), "a lock dies with its holder"
    assert second.stop() == 0


def test_a_sigterm_during_the_start_removes_nothing(site: Site) -> None:
    """Neither in a replay nor in a reprocess is a log that was read half a reason to drop rows, or to say ready."""
    seed(site, *VALID)
    site.cover()
    now = time.time()
    site.append(*(noise(now - 900, "x" * 200) for _ in range(150_000)))
    site.append(*(login(ip, at=now - 600) for ip in VALID))
    for more in ((), ("--reprocess",)):
        daemon = site.spawn("--core=python", *more)  # the slower one: some seconds
        daemon.wait_until("it has opened its table", lambda: "table lmdb:" in site.said())
        assert daemon.stop() == 0
        assert READY not in site.said(), "it was stopped before"
        assert "reached end of log file" not in site.said()
        assert site.holds(*VALID)
        site.own.unlink()


def test_rows_that_a_guard_refuses_are_not_kept(site: Site) -> None:
    """Without coverage a row is kept in doubt, but not against the administrator's word."""
    seed(site, "203.0.113.1", "203.0.113.2", "203.0.113.3")
    site.log.unlink()
    site.deny.write_text('[[deny]]\naddresses = ["203.0.113.1"]\n')
    site.networks.write_text("203.0.113.2\n")
    daemon = site.start()
    assert site.holds("203.0.113.3")
    assert "removed 203.0.113.1 from DB (refused by the guard deny)" in site.said()
    assert "removed 203.0.113.2 from DB (may relay anyway)" in site.said()
    assert "1 rows that no log explains are kept" in site.said()
    assert daemon.stop() == 0
