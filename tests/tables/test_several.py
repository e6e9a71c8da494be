"""Several tables of one daemon: each fails and recovers by itself, and a site moves from one to another under mail."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.running import NOBODY, Site, login, require_nobody
from mta import wait_for
from mta.guide import blocks
from mta.postfix import LOCAL, Postfix, require_postfix, running
from pbs_fast.errors import TableError
from pbs_fast.tables import list_rows
from tables.conftest import Reader

A, B, C, D = "203.0.113.5", "203.0.113.6", "2001:db8::6", "203.0.113.8"
OTHER = "203.0.113.99"


@pytest.fixture
def site(directory: Path) -> Iterator[Site]:
    site = Site(directory)
    yield site
    site.close()


def holds(spec: str, *ips: str) -> bool:
    try:
        return [key for key, _ in list_rows(spec)] == sorted(ips)
    except TableError:
        return False


def wait_rows(spec: str, *ips: str) -> None:
    wait_for(f"{ips} in {spec}", lambda: holds(spec, *ips))


def test_one_that_cannot_be_written_holds_up_no_other(site: Site, reader: Reader) -> None:
    """First btree, given first, loses its directory; then readers of hash, given last, never let go of their lock."""
    require_nobody()
    places = {kind: site.place / kind for kind in ("btree", "lmdb", "hash")}
    for place in (site.place, *places.values()):
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
    specs = {kind: f"{kind}:{place}/relay" for kind, place in places.items()}
    site.spec = specs["btree"]
    clocks = site.set_clocks(busy=3600)
    daemon = site.start(f"--table={specs['lmdb']}", f"--table={specs['hash']}", prefix=[*NOBODY, *clocks.prefix])
    site.append(login(A))
    for spec in specs.values():
        wait_rows(spec, A)
    places["btree"].chmod(0o555)
    site.append(login(B))
    for kind in ("lmdb", "hash"):
        wait_rows(specs[kind], A, B)
    site.wait_said("changes wait and are tried again")
    site.append(login(C))
    for kind in ("lmdb", "hash"):
        wait_rows(specs[kind], A, B, C)
    assert holds(specs["btree"], A), "the old one stays whole"
    assert not re.search("(lmdb|hash)/relay.*changes wait", site.said())
    places["btree"].chmod(0o777)
    wait_rows(specs["btree"], A, B, C)
    reader.hold(places["hash"] / "relay.db", "flock")
    site.append(login(D))
    for kind in ("btree", "lmdb"):
        wait_rows(specs[kind], A, B, C, D)
    assert holds(specs["hash"], A, B, C)
    reader.release()
    wait_rows(specs["hash"], A, B, C, D)
    assert daemon.stop() == 0


def test_the_move_to_lmdb(site: Site) -> None:
    """hash alone, both, Postfix told, lmdb alone: at each step who logged in relays, others do not, mail goes on."""
    require_postfix("hash", "lmdb")
    words = " ".join(blocks("MTA-POSTFIX.md", site.place)["run both"]).split()
    specs = [word.partition("=")[2] for word in words[2:]]
    assert [spec.partition(":")[0] for spec in specs] == ["hash", "lmdb"]
    site.spec = specs[0]
    with running(specs[0], start=False) as postfix:
        daemon = site.start()
        postfix.start()
        site.append(login(A))
        site.wait_rows(A)
        check(postfix, A)
        assert daemon.stop() == 0
        daemon = site.start(f"--table={specs[1]}")
        check(postfix, A)
        site.append(login(B))
        for spec in specs:
            wait_rows(spec, A, B)
        check(postfix, A, B)
        main = postfix.config / "main.cf"
        main.write_text(main.read_text().replace(specs[0], specs[1]))
        os.utime(main, (0, 0))
        served = len(postfix.smtpd_pids())
        before = postfix.smtpd_pids()[-1]
        postfix.reload()
        wait_for("another smtpd", lambda: check(postfix, A, B) or postfix.smtpd_pids()[-1] != before)
        assert len(postfix.smtpd_pids()) > served
        assert daemon.stop() == 0
        site.spec = specs[1]
        site.start()
        check(postfix, A, B)
        site.append(login(C))
        site.wait_rows(A, B, C)
        check(postfix, A, B, C)
        assert holds(specs[0], A, B), "Postfix reads the other one now"


def check(postfix: Postfix, *clients: str) -> None:
    for client in clients:
        assert postfix.rcpt(client).relayed
    assert postfix.rcpt(OTHER).denied
    assert postfix.rcpt(OTHER, f"bob@{LOCAL}").code == 250
