"""Real Exim reads our tables, with exactly the lines of docs/MTA-EXIM.md."""

from __future__ import annotations

import grp
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.running import Site as Hub
from daemon.running import login
from mta.exim import LOCAL, Exim, configured, require_exim
from mta.guide import blocks
from pbs_fast.events import Delta
from pbs_fast.tables import Table, TableOptions, open_table
from pbs_fast.tables.file.modes import exim_group
from tables.conftest import grant

FOUR, SIX = "203.0.113.5", "2001:db8::a:0:0:b"
OTHERS = ("203.0.113.50", "203.0.113.6", "2001:db8::a:0:0:c", "2001:db8::a")
GUIDE = "MTA-EXIM.md"
#: The guide's variants, and the look-up that Exim must have for each.
NAMES = {
    "cdb": "cdb",
    "lmdb": "lmdb",
    "hash": "dbmnz",
    "text": "lsearch",
    "lsearch": "lsearch",
    "iplsearch": "iplsearch",
}


def test_every_variant_of_the_guide_is_tested() -> None:
    found = blocks(GUIDE)
    assert set(found) == {"acl", "caps", *(f"{what} {name}" for what in ("main", "run") for name in NAMES)}


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


def spec_of(name: str, lines: dict[str, list[str]]) -> str:
    """The table in the guide's command."""
    words = shlex.split(" ".join(lines[f"run {name}"]))
    assert words[:2] == ["pbs-fast", "run"]
    return words[2].removeprefix("--dbfile=")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    require_exim(NAMES[request.param])
    return str(request.param)


@pytest.fixture
def site(name: str, directory: Path) -> Iterator[Site]:
    lines = blocks(GUIDE, directory)
    table = open_table(spec_of(name, lines))
    try:
        with configured(lines[f"main {name}"], lines["acl"], NAMES[name]) as exim:
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


@pytest.mark.parametrize(
    ("spec", "lookup", "file"),
    [("cdb", "cdb", "relay.cdb"), ("hash", "dbmnz", "relay.db"), ("lmdb", "lmdb", "relay.exim-lmdb")],
)
def test_lookups_of_the_table_itself(spec: str, lookup: str, file: str, directory: Path) -> None:
    require_exim(lookup)
    table = open_table(f"{spec}:{directory}/relay?keys=exim")
    table.rebuild({FOUR: grant(), SIX: grant()})
    table.close()
    with configured([], [], lookup) as exim:
        for key, value in (
            (FOUR, "ok"),
            ("2001.0db8.0000.0000.000a.0000.0000.000b", "ok"),
            (SIX, "none"),
            ("203.0.113", "none"),
        ):
            assert exim.expand(f"${{lookup{{{key}}}{lookup}{{{directory}/{file}}}{{$value}}{{none}}}}") == value


def test_a_cap_for_each_login(directory: Path) -> None:
    """The guide's statements with small numbers: by login and not by address, and nothing that Exim does not relay."""
    require_exim("cdb")
    lines = blocks(GUIDE, directory)
    caps = [line.replace("200 / 1h", "3 / 1h").replace("500 / 1h", "5 / 1h") for line in lines["caps"]]
    assert caps != lines["caps"]
    table = open_table(f"cdb:{directory}/relay?keys=exim", options=TableOptions(value="ok {user}"))
    users = {FOUR: "Anna", SIX: "anna", "203.0.113.6": "a/noupdate", "203.0.113.7": None}
    table.rebuild({ip: grant()._replace(user=user) for ip, user in users.items()})
    table.close()
    with configured(lines["main cdb"], [*caps, *lines["acl"]]) as exim:

        def codes(client: str, recipients: int, domain: str = "elsewhere.test") -> list[int]:
            replies = exim.session(client, [f"r{each}@{domain}" for each in range(recipients)], real=True)
            return [reply.code for reply in replies]

        assert codes(FOUR, 2) == [250, 250]
        assert codes(FOUR, 3) == [250, 451, 451], "over several sessions"
        assert codes(SIX, 1) == [451], "the same login from elsewhere"
        assert codes(FOUR, 2, LOCAL) == [250, 250], "mail for this site is not counted"
        assert codes("203.0.113.6", 5) == [250, 250, 250, 451, 451], "a name cannot set options"
        assert codes("203.0.113.7", 6) == [250] * 5 + [451], "a login without a name has the cap of its address"
        assert codes("203.0.113.9", 1) == [550]


@pytest.mark.parametrize("spec", ["cdb:{}/relay?keys=exim", "hash:{}/relay?keys=exim"])
def test_a_file_that_names_users_is_for_the_group_of_its_mta(spec: str, directory: Path) -> None:
    require_exim("cdb")
    for text, group in ((spec, exim_group()), (spec.partition("?")[0].replace("relay", "postfix"), "postfix")):
        table = open_table(text.format(directory), options=TableOptions(value="ok {user}"))
        assert table.file is not None
        found = table.file.stat()
        table.close()
        assert found.st_mode & 0o777 == 0o640
        assert grp.getgrgid(found.st_gid).gr_name == group


def test_what_an_open_session_sees(site: Site) -> None:
    """What it was told first, in both directions and over many changes, until it ends."""
    site.table.rebuild({SIX: grant()})
    with site.exim.open(FOUR) as refused, site.exim.open(SIX) as accepted:
        assert refused.rcpt().denied
        assert accepted.rcpt().relayed
        site.table.apply(Delta({FOUR: grant()}, (SIX,)))
        for i in range(20):
            site.table.apply(Delta({f"192.0.2.{i}": grant()}, (f"192.0.2.{i - 1}",)))
        assert refused.rcpt().denied
        assert accepted.rcpt().relayed
        site.table.rebuild({FOUR: grant()})
        assert refused.rcpt("x@other.test").denied
        assert accepted.rcpt("x@other.test").relayed
        assert refused.rcpt(f"bob@{LOCAL}").relayed, "mail for this site"
    assert site.relays(FOUR)
    assert not site.relays(SIX)


def test_the_real_daemon_killed(name: str, directory: Path) -> None:
    """The guide's command and lines: a login opens the relay; kill -9 touches no inbound mail and opens nothing."""
    lines = blocks(GUIDE, directory)
    hub = Hub(directory)
    hub.spec = spec_of(name, lines)
    try:
        with configured(lines[f"main {name}"], lines["acl"], NAMES[name]) as exim:
            daemon = hub.start()
            for client in (FOUR, SIX):
                assert exim.rcpt(client).denied
                hub.append(login(client))
            hub.wait_rows(FOUR, SIX)
            assert exim.rcpt(FOUR).relayed
            assert exim.rcpt(SIX).relayed
            daemon.kill()
            assert exim.rcpt(FOUR).relayed, "the rows stay"
            assert exim.rcpt(OTHERS[0]).denied
            assert exim.rcpt(OTHERS[0], f"bob@{LOCAL}", real=True).code == 250
            hub.start()
            assert exim.rcpt(FOUR).relayed
            assert exim.rcpt(OTHERS[0]).denied
            hub.append(login(OTHERS[0]))
            hub.wait_rows(*sorted((FOUR, SIX, OTHERS[0])))
            assert exim.rcpt(OTHERS[0]).relayed
    finally:
        hub.close()


def test_lmdb_for_an_exim_that_may_not_register_is_a_temporary_error(directory: Path) -> None:
    """Without write access to the lock file no answer is given, neither yes nor no, and inbound mail goes on."""
    require_exim("lmdb")
    lines = blocks(GUIDE, directory)
    table = open_table(f"lmdb:{directory}/relay?keys=exim&group=root")
    table.rebuild({FOUR: grant()})
    with configured(lines["main lmdb"], lines["acl"], "lmdb") as exim:
        reply = exim.rcpt(FOUR, real=True)
        assert 400 <= reply.code < 500, reply
        assert exim.rcpt(FOUR, f"bob@{LOCAL}", real=True).code == 250
    table.close()
