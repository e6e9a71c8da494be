"""docs/MTA-POSTFIX.md, line by line: its command starts the real daemon, its lines are Postfix's configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.running import Site, login
from mta import wait_for
from mta.guide import blocks
from mta.postfix import LOCAL, Postfix, require_postfix, running
from pbs_fast.tables import list_rows, parse

GUIDE = "MTA-POSTFIX.md"
NAMES = ("lmdb", "socketmap", "policy", "policy alone", "hash", "cdb")
#: Those that leave nothing behind for Postfix to ask when the daemon is down.
IN_MEMORY = ("socketmap", "policy alone")
A, SIX, OTHER = "203.0.113.5", "2001:db8::6", "203.0.113.99"


def test_every_variant_of_the_guide_is_tested() -> None:
    variants = {f"{what} {name}" for what in ("run", "main.cf") for name in NAMES}
    assert set(blocks(GUIDE)) >= {"run both", *variants}


@pytest.fixture
def site(directory: Path) -> Iterator[Site]:
    site = Site(directory)
    yield site
    site.close()


def options(words: list[str]) -> list[str]:
    """What stands behind `pbs-fast run` in the guide."""
    command = shlex.split(" ".join(words))
    assert command[:2] == ["pbs-fast", "run"]
    return command[2:]


@pytest.mark.parametrize("name", NAMES)
def test_the_lines_as_they_stand(name: str, site: Site) -> None:
    """A login opens the relay; kill -9 of the daemon touches no inbound mail, and relaying as the guide says."""
    lines = blocks(GUIDE, site.place)
    dbfile, *tables = options(lines[f"run {name}"])
    site.spec = dbfile.removeprefix("--dbfile=")
    require_postfix(site.spec.partition(":")[0])
    with running("static:none", main_cf=lines[f"main.cf {name}"], start=False) as postfix:
        queue = postfix.directory / "queue"
        (queue / "pbs").mkdir()
        site.spec, *tables = (_below(queue, each) for each in (site.spec, *tables))
        daemon = site.start(*tables)
        postfix.start()
        assert postfix.rcpt(A).denied
        assert postfix.rcpt(OTHER, f"bob@{LOCAL}").code == 250
        for client in (A, SIX):
            site.append(login(client))
            assert _relays_soon(postfix, client)
        assert postfix.rcpt(OTHER).denied
        daemon.kill()
        for client in (A, OTHER):
            assert postfix.rcpt(client, f"bob@{LOCAL}").code == 250
        # What "When the daemon is not running" says: rows in files stay, those in memory are a temporary error to
        # everybody.
        codes = [postfix.rcpt(client).code for client in (A, SIX, OTHER)]
        assert codes == ([451] * 3 if name in IN_MEMORY else [250, 250, 554])
        site.start(*tables)
        assert postfix.rcpt(A).relayed
        assert postfix.rcpt(OTHER).denied
        if (file := parse(site.spec).file) is not None:  # the order keeps a fault of ours away from ordinary mail
            file.unlink()
            assert postfix.rcpt(OTHER, f"bob@{LOCAL}").code == 250
            granted = 250 if name == "policy" else 451  # which decides before the broken table is asked
            assert [postfix.rcpt(client).code for client in (A, OTHER)] == [granted, 451]


def _below(queue: Path, spec: str) -> str:
    """A table with the queue directory of this Postfix, if it has a relative socket there."""
    return spec + f"{'&' if '?' in spec else '?'}queue={queue}" if ":unix:pbs/" in spec else spec


def _relays_soon(postfix: Postfix, client: str) -> bool:
    def relays() -> bool:
        reply = postfix.rcpt(client)
        assert reply.relayed or reply.denied, reply
        return reply.relayed

    return wait_for(f"{client} may relay", relays)


def test_two_tables_for_the_move(site: Site) -> None:
    first, second = options(blocks(GUIDE, site.place)["run both"])
    site.spec = first.removeprefix("--dbfile=")
    site.start(second)
    site.append(login(A))
    site.wait_rows(A)
    assert [key for key, _ in list_rows(second.removeprefix("--table="))] == [A]
