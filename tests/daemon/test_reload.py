"""SIGHUP on whatever stands in the files: the daemon goes on with what was in force, and says what is wrong."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from config.test_hostile_files import CONFIG, DENY, mutated
from daemon.running import Site, login
from pbs_fast.config import load, merge
from pbs_fast.daemon import parts as parts_module
from pbs_fast.guards.deny import DenyList
from pbs_fast.log.handlers import own_log
from support.clock import FakeClock

A, B, C = "203.0.113.1", "203.0.113.2", "2001:db8::3"
STAYS = "the previous settings stay in force"


def test_files_that_hang_fill_or_cannot_be_reckoned_with(site: Site) -> None:
    """Each as deny list, configuration and file of networks, one after the other."""
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    daemon = site.start()
    config, networks = site.config.read_text(), site.networks.read_text()
    for path, good in ((site.deny, site.deny.read_text()), (site.config, config), (site.networks, networks)):
        for number, bad in enumerate((b"[" * 5_000, b"a = " + b"[" * 5_000 + b"]" * 5_000, "fifo", "/dev/zero", "dir")):
            path.unlink()
            if bad == "fifo":
                os.mkfifo(path)
            elif bad == "dir":
                path.mkdir()
            elif isinstance(bad, str):
                path.symlink_to(bad)
            else:
                path.write_bytes(bad)
            if path == site.networks and isinstance(bad, bytes):
                path.write_bytes(b"10.0.0.1/99999999\n" if number else b"[" * 5_000)
            daemon.reload(STAYS)
            if bad == "dir":
                path.rmdir()
            else:
                path.unlink()
            path.write_text(good)
    site.append(login(A), login(B))
    site.wait_rows(B)
    daemon.reload()
    site.append(login(A), login(C))
    site.wait_rows(B, C)
    assert daemon.stop() == 0


def test_a_date_before_all_clocks(site: Site) -> None:
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    daemon = site.start()
    site.deny.write_text(f'[[deny]]\naddresses = ["{B}"]\nuntil = 0001-01-01T00:00:00\n')
    daemon.reload("reload")
    assert daemon.running
    assert "please report it" not in site.said()
    site.append(login(C))
    site.wait_rows(C)
    assert daemon.stop() == 0


def test_a_fault_that_no_parser_knows_is_logged_as_ours(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: str) -> DenyList:
        raise ZeroDivisionError("a bug")

    with own_log(str(site.own)) as own:
        parts = parts_module.Parts(merge(load(str(site.config)), ()), own, "/", FakeClock())
        monkeypatch.setattr(parts_module, "read_deny", breaks)
        assert not parts.reload()
    assert f"reload failed, {STAYS}: ZeroDivisionError: a bug (this is a bug; please report it)" in site.said()
    parts.hints.close()


@pytest.mark.parametrize("seed", range(2))
def test_thousands_of_reloads_of_mutated_files_end_no_daemon(site: Site, seed: int) -> None:
    r = random.Random(seed)
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    daemon = site.start()
    own, config = f"deny = '{site.deny}'\nmynetworks = []\n", site.config.read_text()
    plain = CONFIG.replace('mynetworks = ["127.0.0.0/8", "!10.0.0.1"]\n', "")
    for _ in range(150):
        site.deny.write_bytes(mutated(DENY, r))
        site.config.write_bytes(own.encode() + mutated(plain, r) if r.random() < 0.3 else config.encode())
        for _ in range(10):
            daemon.send(signal.SIGHUP)
            time.sleep(r.random() * 0.004)
        assert daemon.running, site.said()[-2000:]
    site.config.write_text(config)
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    daemon.reload()
    assert "Traceback" not in site.said()
    assert "please report it" not in site.said(), "each fault of a file is known to its parser"
    site.append(login(A), login(B))
    site.wait_rows(B)
    assert daemon.stop() == 0
