"""Real Courier with its own tools, and the lines of docs/MTA-COURIER.md; our side of it with what plays the tool."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site, login
from mta import wait_for
from mta.courier import ACCESS, ELSEWHERE, LOCAL, Courier, denied, require_courier
from mta.guide import blocks
from mta.netns import FOUR, NEAR, OTHER, OTHER6, SIX, namespace
from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import TableOptions, list_rows, open_table, parse
from pbs_fast.tables.file.notify import pending_file
from pbs_fast.tables.protocol import HEARTBEAT
from pbs_fast.tables.reap import clear, reap
from tables.conftest import Opener, grant

GUIDE = "MTA-COURIER.md"
SIX_KEY = ":2001:0db8:0000:0000:000a:0000:0000:000b"


def test_every_variant_of_the_guide_is_tested() -> None:
    assert set(blocks(GUIDE)) == {"run courier"}


@pytest.fixture(scope="module")
def laid_over() -> Iterator[Courier]:
    require_courier()
    with namespace() as made:
        yield Courier(made)


@pytest.fixture
def courier(laid_over: Courier, monkeypatch: pytest.MonkeyPatch) -> Iterator[Courier]:
    """Courier with the rules that Debian ships, compiled; started by the test."""
    courier = laid_over
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")  # without what plays the tool
    done = courier.shell(f"rm -rf {ACCESS}.* {ACCESS}/pbs-fast && makesmtpaccess")
    assert done.returncode == 0, done.stderr
    yield courier
    courier.stop()


def test_the_lines_as_they_stand(courier: Courier, directory: Path) -> None:
    """A login opens the relay, the listener stays; kill -9 changes nothing."""
    words = shlex.split(" ".join(blocks(GUIDE)["run courier"]))
    assert words[:2] == ["pbs-fast", "run"]
    site = _site(directory, words[2].removeprefix("--dbfile="))
    inside = courier.namespace.command([])
    try:
        courier.start()
        listener = courier.listener
        daemon = site.start(prefix=inside)
        assert courier.path(f"{ACCESS}.dat").exists()
        assert not courier.relays(FOUR)
        with courier.session(FOUR) as before:
            assert denied(before.rcpt(ELSEWHERE))
            for client in (FOUR, SIX):
                site.append(login(client))
                wait_for(f"{client} may relay", partial(courier.relays, client))
            assert denied(before.rcpt(ELSEWHERE)), "as the guide says of open connections"
        assert not any(courier.relays(client) for client in (OTHER, NEAR, OTHER6))
        assert courier.rcpt(OTHER, LOCAL).code == 250
        daemon.kill()
        assert courier.relays(FOUR)
        assert courier.rcpt(OTHER, LOCAL).code == 250
        site.start(prefix=inside)
        assert courier.relays(SIX)
        assert not courier.relays(OTHER)
        assert courier.listener == listener, "never restarted"
    finally:
        site.close()


def test_courier_may_start_later(courier: Courier, directory: Path) -> None:
    site = _site(directory, f"courier:{ACCESS}")
    site.append(login(FOUR))
    try:
        daemon = site.start(prefix=courier.namespace.command([]))
        courier.start()
        assert courier.relays(FOUR)
        assert not courier.relays(OTHER)
        daemon.stop()
        assert courier.relays(FOUR), "a restart shuts nobody out"
        done = courier.namespace.run(*_pbs(site, "clear"))
        assert "emptied, 1 rows removed" in done.stdout, done
        assert not courier.relays(FOUR)
        default = courier.path(f"{ACCESS}/default").read_text()
        assert "allow,RELAYCLIENT" in default, "the administrator's stay"
    finally:
        site.close()


def _site(directory: Path, spec: str) -> Site:
    site = Site(directory)
    site.spec = spec
    site.configure("[guards]\nown = false\n")  # the clients' addresses are the namespace's
    return site


def _pbs(site: Site, command: str) -> list[str]:
    return [PROGRAM, command, f"--config={site.config}", f"--dbfile={site.spec}"]


def test_a_burst_is_not_a_signal_a_login(courier: Courier, directory: Path) -> None:
    """Forty logins in two seconds: each may relay soon, and the tool runs once a second at most."""
    script = directory / "compile"
    script.write_text(f"#!/bin/sh\necho x >>{directory}/runs\nexec makesmtpaccess\n")
    script.chmod(0o755)
    site = _site(directory, f"courier:{ACCESS}?command={script}")
    try:
        site.start(prefix=courier.namespace.command([]))
        runs = directory / "runs"
        before, start = len(runs.read_text().split()), time.monotonic()
        for number in range(40):
            site.append(login(f"198.51.100.{number}"))
            time.sleep(0.05)
        text = courier.path(f"{ACCESS}.pbs-fast")
        wait_for("all rules", lambda: len(text.read_text().splitlines()) == 40)
        assert 1 <= len(runs.read_text().split()) - before <= time.monotonic() - start + 2
    finally:
        site.close()


# Our side of it: `makesmtpaccess` is that of tables/bin, and `relay` the directory of rules.


def test_our_rules_and_where_they_lie(opened: Opener, directory: Path) -> None:
    table = opened("courier")
    table.rebuild({FOUR: grant(), SIX: grant()})
    text = directory / "relay.pbs-fast"
    assert text.read_text() == f"{FOUR}\tallow,RELAYCLIENT\n{SIX_KEY}\tallow,RELAYCLIENT\n"
    assert (directory / "relay" / "pbs-fast").samefile(text)
    assert (directory / "relay.dat").read_bytes() == text.read_bytes()
    assert sorted(path.name for path in (directory / "relay").iterdir()) == ["pbs-fast"], "nothing else to be compiled"
    table.apply(Delta({}, (FOUR,)))
    assert (directory / "relay.dat").read_text() == f"{SIX_KEY}\tallow,RELAYCLIENT\n"


@pytest.mark.parametrize("what", ["relay.dat", "relay/pbs-fast", "relay.pbs-fast"])
def test_what_somebody_removes_is_put_back(what: str, opened: Opener, directory: Path) -> None:
    table = opened("courier")
    table.rebuild({FOUR: grant()})
    (directory / what).unlink()
    table.heartbeat()
    assert (directory / "relay.dat").read_text() == f"{FOUR}\tallow,RELAYCLIENT\n"
    inode = (directory / "relay.dat").stat().st_ino
    table.heartbeat()
    assert (directory / "relay.dat").stat().st_ino == inode, "nothing to do"


def test_an_administrator_may_compile_himself(opened: Opener, directory: Path) -> None:
    table = opened("courier")
    table.rebuild({FOUR: grant()})
    (directory / "new").write_text("compiled by him\n")
    (directory / "new").rename(directory / "relay.dat")
    table.heartbeat()
    assert (directory / "relay.dat").read_text() == "compiled by him\n"


def test_a_failure_is_reported_and_caught_up(directory: Path) -> None:
    script = directory / "compile"
    script.write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    script.chmod(0o755)
    spec = f"courier:{directory}/relay?command={script}"
    table = open_table(spec)
    with pytest.raises(TableError, match=r"the command .*/compile ended with status 1: 'no room'"):
        table.rebuild({FOUR: grant()})
    script.write_text("#!/bin/sh\n")
    with pytest.raises(
        TableError, match=r"succeeded but did not create a new .*/relay\.dat; use the path that ACCESSFILE has"
    ):
        table.apply(Delta())
    script.unlink()
    script.symlink_to(Path(__file__).with_name("bin") / "makesmtpaccess")
    table.apply(Delta())
    assert (directory / "relay.dat").read_text() == f"{FOUR}\tallow,RELAYCLIENT\n"
    table.close()


def test_a_pending_notification_is_made_by_the_next(directory: Path) -> None:
    """kill -9 between our rules and the tool: also `clear` and `reap` must not take the empty file for the whole."""
    plain = f"courier:{directory}/relay"
    for end in ("clear", "reap"):
        table = open_table(plain)
        table.rebuild({FOUR: grant()})
        table.close()
        failing = open_table(f"{plain}?command=/bin/false")
        with pytest.raises(TableError, match="/bin/false ended with status 1"):
            failing.rebuild({})
        failing.close()
        assert pending_file(directory / "relay.pbs-fast").exists()
        assert list_rows(plain) == []
        assert (directory / "relay.dat").read_text() != "", "still compiled"
        if end == "clear":
            assert clear(parse(plain), TableOptions()) == 0
        else:
            late = time.time() + 1800 + HEARTBEAT + 1
            assert reap(parse(plain), TableOptions(), grace=1800, now=late).state == "emptied"
        assert (directory / "relay.dat").read_text() == ""
        assert not pending_file(directory / "relay.pbs-fast").exists()


@pytest.mark.parametrize("what", ["relay", "relay/pbs-fast"])
def test_what_is_in_the_way_is_named(what: str, opened: Opener, directory: Path) -> None:
    (directory / what).parent.mkdir(exist_ok=True)
    (directory / what).write_text("10\tallow\n")
    with pytest.raises(
        TableError, match=rf"{directory}/{what} is not a .*, which courier:{directory}/relay needs; move it away"
    ):
        opened("courier").rebuild({FOUR: grant()})
    assert (directory / what).read_text() == "10\tallow\n"


@pytest.mark.parametrize("value", ["ok", "deny", "allowed", "allow,{user}", "allow\t"])
def test_bad_values_are_named(value: str, directory: Path) -> None:
    with pytest.raises(UsageError, match="value"):
        open_table(f"courier:{directory}/relay?value={value}")
    assert not list(directory.iterdir())


def test_changes_are_collected(opened: Opener) -> None:
    assert opened("courier").window >= 1
