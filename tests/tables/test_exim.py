"""Real Exim reads our tables, with exactly the lines of docs/MTA-EXIM.md."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.exim import ELSEWHERE, LOCAL, Exim, configured, require_exim
from mta.guide import blocks
from pbs_fast.events import Delta
from pbs_fast.tables import Table, open_table
from tables.conftest import grant

FOUR, SIX = "203.0.113.5", "2001:db8::a:0:0:b"
OTHERS = ("203.0.113.50", "203.0.113.6", "2001:db8::a:0:0:c", "2001:db8::a")
GUIDE = "MTA-EXIM.md"
NAMES = ("cdb", "hash", "text", "lsearch", "iplsearch")


def test_every_variant_of_the_guide_is_tested() -> None:
    found = blocks(GUIDE)
    assert set(found) == {"acl", *(f"{what} {name}" for what in ("main", "run") for name in NAMES)}


class Site:
    """A table and the Exim that reads it, both as the guide says."""

    def __init__(self, table: Table, exim: Exim) -> None:
        self.table = table
        self.exim = exim

    def relays(self, client: str) -> bool:
        """Whether a new session from this client may relay; anything but yes and the permanent no is an error."""
        reply = self.exim.rcpt(client)
        assert reply.relayed or reply.denied, reply
        return reply.relayed


@pytest.fixture(params=NAMES)
def site(request: pytest.FixtureRequest, directory: Path) -> Iterator[Site]:
    require_exim()
    lines = blocks(GUIDE, directory)
    words = shlex.split(" ".join(lines[f"run {request.param}"]))
    assert words[:2] == ["pbs-fast", "run"]
    table = open_table(words[2].removeprefix("--dbfile="))
    try:
        with configured(lines[f"main {request.param}"], lines["acl"]) as exim:
            yield Site(table, exim)
    finally:
        table.close()


def test_clients_come_and_go(site: Site) -> None:
    assert not site.relays(FOUR), "the empty table refuses, and breaks nothing"
    site.table.rebuild({})
    assert not site.relays(SIX)
    site.table.apply(Delta({FOUR: grant(), SIX: grant()}))
    assert site.relays(FOUR)
    assert site.relays(SIX)
    assert not any(site.relays(other) for other in OTHERS)
    site.table.apply(Delta({}, (SIX,)))
    assert site.relays(FOUR)
    assert not site.relays(SIX)
    site.table.close()
    assert site.relays(FOUR), "our end shuts nobody out"


def test_inbound_mail_never_depends_on_the_table(site: Site) -> None:
    assert site.exim.rcpt(OTHERS[0], f"bob@{LOCAL}", real=True).code == 250
    assert site.table.file is not None
    site.table.file.unlink()
    assert site.exim.rcpt(OTHERS[0], f"bob@{LOCAL}", real=True).code == 250
    reply = site.exim.rcpt(FOUR, real=True)
    assert 400 <= reply.code < 500, reply
    site.table.heartbeat()
    assert not site.relays(FOUR), "put back, it is read at once"


def test_lookups_of_the_table_itself(directory: Path) -> None:
    require_exim()
    for spec, lookup in (("cdb", f"cdb{{{directory}/relay.cdb}}"), ("hash", f"dbmnz{{{directory}/relay.db}}")):
        table = open_table(f"{spec}:{directory}/relay?keys=exim")
        table.rebuild({FOUR: grant(), SIX: grant()})
        table.close()
        with configured([], []) as exim:
            for key, value in (
                (FOUR, "ok"),
                ("2001.0db8.0000.0000.000a.0000.0000.000b", "ok"),
                (SIX, "none"),
                ("203.0.113", "none"),
            ):
                assert exim.expand(f"${{lookup{{{key}}}{lookup}{{$value}}{{none}}}}") == value


def test_the_answer_is_kept_for_a_session(directory: Path) -> None:
    """One look-up a session: this is what the guide says of connections already open."""
    require_exim()
    lines = blocks(GUIDE, directory)
    table = open_table(f"cdb:{directory}/relay?keys=exim")
    table.rebuild({FOUR: grant()})
    # The second RCPT's ACL takes the table away; a look-up anew would then be a temporary error.
    acl = ["  warn domains = second.test", f"       set acl_m0 = ${{run{{/bin/rm {directory}/relay.cdb}}}}"]
    directory.chmod(0o777)  # Exim gives up root for -bh
    with configured(lines["main cdb"], [*acl, *lines["acl"]]) as exim:
        assert [reply.code for reply in exim.session(FOUR, [ELSEWHERE, "x@second.test", ELSEWHERE])] == [250] * 3
    assert table.file is not None
    assert not table.file.exists(), "it was taken away"
    table.close()
