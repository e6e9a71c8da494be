"""What the options of `run` do, in their old meaning; and configurations that are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.running import NOBODY, Site, lines_with, login, noise, pbs, require_nobody
from pbs_fast import __version__

A, B, C = "203.0.113.1", "203.0.113.2", "2001:db8::3"


def test_nowrite_does_not_even_open_the_table(site: Site) -> None:
    site.spec = f"lmdb:{site.place}/no/such/directory/relay"
    daemon = site.start("--nowrite")
    site.append(login(A))
    site.wait_said(f"would add {A} to DB")
    assert daemon.stop() == 0
    assert "added" not in site.said()
    site.spec = f"hash:{site.place}/relay"
    site.file.write_bytes(b"not a table at all")
    daemon = site.start("--nowrite")
    assert daemon.stop() == 0
    assert site.file.read_bytes() == b"not a table at all"
    assert not list(site.place.glob("relay*.owner"))


def test_debug_explains_each_address(site: Site) -> None:
    site.networks.write_text("127.0.0.0/8 192.0.2.0/24\n")
    site.configure(f'[guards]\nproxies = ["{B}"]\n')
    site.grace = 60
    clocks = site.set_clocks()
    daemon = site.start("--debug", f"--logto={site.own}")
    now = time.time()
    site.append(
        login("192.0.2.9"),
        login(B, "bob"),
        login("127.0.0.1"),
        login("169.254.1.1"),
        login(A, "ann", at=now),
        login(C, "eve", at=now - 90),
        login("198.51.100.1", lip="198.51.100.1"),
    )
    site.wait_said(f"added {A} to DB")
    site.append(login(A, "ann", at=now + 1), login(A, "ann", at=now - 1))
    site.wait_said(f"ip={A} changes nothing: late")
    clocks.advance(site.grace + 1)
    site.wait_said(f"removed {A} from DB")
    said = site.said()
    assert "ignoring local-net ip=192.0.2.9" in said
    assert f"refused ip={B} by the guard proxies: user=bob host=hub" in said
    assert "ignoring local-net ip=127.0.0.1" in said
    assert "refused ip=169.254.1.1 by the guard link_local" in said
    assert "refused ip=198.51.100.1 by the guard loop" in said
    assert lines_with(said, f"added {A} to DB user=ann format=dovecot host=hub until=20..-..-..T..:..:..Z$")
    assert lines_with(said, f"renewed ip={A} user=ann format=dovecot host=hub until=")
    assert f"ip={A} changes nothing: late" in said
    assert f"refused ip={C}: its login is older than grace" in said
    assert lines_with(said, f"removed {A} from DB user=ann .* \\(expired\\)$")
    assert daemon.stop() == 0


def test_the_lines_of_one_login_without_debug(site: Site) -> None:
    """One audit line a grant and one a removal, one an hour of what is refused; renewals are for --debug."""
    site.grace = 60
    clocks = site.set_clocks()
    site.start()
    site.append(login(A, "ann"), login(A, "bob"), login("127.0.0.1"), login("127.0.0.1"))
    site.wait_rows(A)
    clocks.advance(site.grace + 1)
    site.wait_said("(expired)")
    lines = [line[16:] for line in site.said().splitlines()]
    about = [line.split(" until=")[0] for line in lines if A in line or "127.0.0.1" in line]
    assert [line.split(" user=")[0] for line in about] == [
        "ignoring local-net ip=127.0.0.1",
        f"added {A} to DB",
        f"removed {A} from DB",
    ]


def old_log(site: Site) -> float:
    """Logins of long ago, of an hour ago and of just now; the time of the newest."""
    now = time.time()
    site.append(
        login(A, at=now - 86_400),
        login(A, at=now - 86_400 + 600),
        login(B, at=now - 3_600),
        noise(now - 3_000),
        login(C, at=now - 60),
    )
    return now - 60


def test_reprocess_once_grants_only_what_holds_now(any_site: Site) -> None:
    site = any_site
    old_log(site)
    daemon = site.spawn("--reprocess", "--once", "--debug", f"--logto={site.own}")
    status, _, err = daemon.end()
    assert (status, err) == (0, "")
    assert site.holds(C)
    events = [line.split()[3:6] for line in site.said().splitlines() if A in line]
    assert [" ".join(words[:2]) for words in events] == [f"added {A}", f"renewed ip={A}", f"removed {A}"], "as it was"
    assert lines_with(site.said(), f"removed {B} from DB", "expired")
    assert site.said().count("------ reached end of log file ------") == 1
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400 + 600 + site.grace))
    assert lines_with(site.said(), f"renewed ip={A}", f"until={day}"), "each line's timestamp is the clock"


def test_reprocess_without_debug_tells_the_same_grants(site: Site) -> None:
    """Lines are then taken by the piece, and still each by its own timestamp."""
    old_log(site)
    assert site.spawn("--reprocess", "--once").end()[0] == 0
    said = site.said()
    assert [bool(lines_with(said, f"added {ip} to DB")) for ip in (A, B, C)] == [True] * 3
    assert [bool(lines_with(said, f"removed {ip} from DB", "expired")) for ip in (A, B, C)] == [True, True, False]
    assert site.holds(C)


def test_reprocess_goes_on_following(site: Site) -> None:
    old_log(site)
    daemon = site.start("--reprocess")
    assert site.holds(C)
    site.append(login(A))
    site.wait_rows(A, C)
    assert daemon.stop() == 0


def test_reprocess_says_when_no_stamp_could_be_read(site: Site) -> None:
    site.append("no timestamp at all", "nor here")
    status, _, _ = site.spawn("--reprocess", "--once").end()
    assert status == 0
    assert f"{site.log}: no line has a readable timestamp" in site.said()
    assert "------ reached end of log file ------" in site.said()


def test_any_user_may_reprocess_a_readable_log(site: Site) -> None:
    require_nobody()
    old_log(site)
    status, out, err = site.spawn("--nowrite", "--debug", "--reprocess", "--once", prefix=NOBODY).end()
    assert (status, err) == (0, "")
    assert f"would add {C} to DB" in out
    assert "added" not in out
    assert "------ reached end of log file ------" in out
    assert not site.own.exists()


@pytest.mark.parametrize("debug_last", [True, False])
def test_the_later_of_debug_and_logto_wins(site: Site, debug_last: bool) -> None:
    order = [f"--logto={site.own}", "--debug"] if debug_last else ["--debug", f"--logto={site.own}"]
    site.log_to_file = False
    done = pbs("run", *site.arguments("--nowrite", "--once", *order))
    assert done.returncode == 0
    assert ("ready:" in done.stdout, "ready:" in site.said()) == (debug_last, not debug_last)


def test_without_logto_only_warnings_are_written(site: Site) -> None:
    site.append(login(A), login(B, host="other"))
    site.log_to_file = False
    done = pbs("run", *site.arguments("--once"))
    assert (done.returncode, done.stdout) == (0, "")
    assert len(done.stderr.splitlines()) == 1
    assert "contains lines of more than one host" in done.stderr


def test_version_dumpconfig_and_list_together(any_site: Site) -> None:
    site = any_site
    missing = pbs("run", "--list", *site.arguments())
    assert (missing.returncode, missing.stdout) == (1, "")
    assert not site.file.exists()
    assert not list(site.place.glob("relay*")), "to look creates nothing"
    site.append(login(B), login(A))
    site.start().stop()
    done = pbs("run", "--list", "--version", "--dumpconfig", *site.arguments())
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[0] == f"version: {__version__}"
    assert lines[1:5] == [
        f"config file: {site.config}",
        f"watchlog: {site.log}",
        f"dbfile: {site.spec}",
        f"logto: {site.own}",
    ]
    assert lines[-3:] == ["The database holds 2 IPs:", f"\t{A}", f"\t{B}"]
    again = pbs("run", "--version", "--list", *site.arguments())
    assert again.stdout == f"version: {__version__}\nThe database holds 2 IPs:\n\t{A}\n\t{B}\n"


def refused(site: Site, text: str) -> str:
    """The one line with which `run` ends at once for this configuration; status 2."""
    site.configure(text)
    status, out, err = site.spawn().end()
    assert (status, out) == (2, ""), err
    assert len(err.splitlines()) == 1
    assert not list(site.place.glob("relay*")), "no table was opened"
    return err


def test_a_wrong_configuration_is_refused_with_its_line(site: Site) -> None:
    where = f"pbs-fast run: {site.config}:6: "
    assert refused(site, "\ngrase = 60\n") == f'{where}unknown key "grase"; nearest: "grace"\n'
    assert refused(site, "\n[guards]\nmax_row = 3\n").startswith(f"pbs-fast run: {site.config}:7: unknown key")
    assert refused(site, "\n[formats.dovecott]\nprogram = ['x']\n") == (
        f'pbs-fast run: {site.config}:7: no format has the name "dovecott"; nearest: "dovecot"\n'
    )
    site.deny.write_text('[[deny]]\naddres = ["203.0.113.1"]\n')
    assert refused(site, "").startswith(f"pbs-fast run: {site.deny}:2: ")


def test_a_further_tag_of_this_site_is_taken(site: Site) -> None:
    site.configure('[formats.dovecot]\nprogram = ["dovecot-backend"]\n')
    site.start()
    site.append(login(A).replace(" dovecot: ", " dovecot-backend: "), login(B).replace(" dovecot: ", " dovecot-x: "))
    site.wait_rows(A)


def test_two_tables_take_the_same_rows(new_site: Callable[[str], Site]) -> None:
    site = new_site("hash")
    other = f"lmdb:{site.place}/second"
    daemon = site.start(f"--table={other}", f"--table={site.spec}")
    site.append(login(A))
    site.wait_rows(A)
    listed = pbs("list", f"--config={site.config}", f"--dbfile={other}")
    assert listed.stdout == f"The database holds 1 IP:\n\t{A}\n"
    assert daemon.stop() == 0
    assert sorted(Path(site.place).glob("*.owner")) == [site.place / "relay.db.owner", site.place / "second.lmdb.owner"]
