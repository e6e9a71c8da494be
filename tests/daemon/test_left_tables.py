"""No row stays for ever: changes of type and user, crashes and stops, reap, clear and the package's removal.

The table is read by a real Postfix whose main.cf goes on naming the table of before, as after a change of `dbfile` that
nobody told the MTA of.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site, login, noise, pbs, readable_to_all, require_nobody
from mta import private_directory
from mta.postfix import Postfix, require_postfix, running
from packages import PACKAGING

FIRST, SECOND = "nobody", "games"
ENDS = (signal.SIGKILL, signal.SIGTERM)
MEANS = ("reap", "clear", "removal")
#: Type before and after.
CHANGES = (("hash", "lmdb"), ("lmdb", "hash"), ("cdb", "lmdb"), ("hash", "btree"), ("btree", "hash"), ("lmdb", "lmdb"))
#: What becomes of `user`: nothing, another whose directory it becomes, another that is forgotten to be given it.
USERS = ("same", "given", "forgotten")


@pytest.fixture
def place() -> Iterator[Path]:
    require_nobody()
    place = private_directory("left")
    yield place
    for site in _sites:
        site.close()
    _sites.clear()
    shutil.rmtree(place)


_sites: list[Site] = []


def made(place: Path, kind: str) -> Site:
    """A site whose daemons end with the test."""
    site = Site(place, kind)
    _sites.append(site)
    return site


def prepared(place: Path, kind: str) -> Site:
    """A site whose tables lie in a directory of their own, below one that only root can write."""
    tables = place / "tables"
    tables.mkdir(exist_ok=True)
    os.chown(tables, pwd.getpwnam(FIRST).pw_uid, pwd.getpwnam(FIRST).pw_gid)
    site = made(place, kind)
    site.spec = f"{kind}:{tables}/relay"
    site.log.chmod(0o644)
    return site


def own(tables: Path, user: str) -> None:
    """What an administrator does who gives the directory to another account; its files they forget."""
    os.chown(tables, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)


def age(tables: Path, seconds: float) -> None:
    """Let so much time pass for all owners' pulses."""
    for file in tables.glob("*.owner"):
        then = file.stat().st_mtime - seconds
        os.utime(file, (then, then))


def prerm(place: Path) -> Path:
    """The package's script, with this checkout's program and this directory for the installed ones."""
    programs = place / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "pbs-fast").write_text(f'#!/bin/sh\nexec "{PROGRAM}" "$@"\n')
    (programs / "pbs-fast").chmod(0o755)
    text = (PACKAGING / "debian" / "pbs-fast.prerm").read_text()
    assert "STATE_DIRECTORY=/var/lib/pbs-fast\n" in text
    text = text.replace("=/var/lib/pbs-fast\n", f"={place}/tables\n")
    assert "\nfind /usr/lib/pbs-fast -name __pycache__ " in text
    text = text.replace("/usr/lib/pbs-fast", str(programs))
    # dpkg runs it without --config: the file is the one in /etc.
    text = text.replace("pbs-fast clear >", f"pbs-fast clear --config={place}/pbs.toml >")
    script = place / "prerm"
    script.write_text(text)
    return script


def emptied(means: str, site: Site, prefix: list[str]) -> subprocess.CompletedProcess[str]:
    if means == "removal":
        path = f"{site.place}/bin:{os.environ['PATH']}"
        command = [*prefix, "sh", str(prerm(site.place)), "remove"]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PATH": path}
        )
    return subprocess.run(
        [*prefix, PROGRAM, means, f"--config={site.config}"], capture_output=True, text=True, timeout=60, check=False
    )


def configure(site: Site, user: str) -> None:
    site.configure(f'user = "{user}"\ndbfile = "{site.spec}"\ngrace = {site.grace}\n')
    if site.own.exists():
        os.chown(site.own, pwd.getpwnam(user).pw_uid, -1)


def granted(postfix: Postfix, client: str) -> bool:
    reply = postfix.rcpt(client)
    assert reply.relayed or reply.denied, reply
    return reply.relayed


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_no_combination_leaves_a_row_that_grants(before: str, after: str, user: str, place: Path) -> None:
    require_postfix(before, after)
    prefix = readable_to_all()
    site = prepared(place, before)
    old, new = site.spec, f"{after}:{place}/tables/relay"
    with running(old, start=False) as postfix:
        started = False
        # Each pair of an end and a means meets each change and each user, though not every triple.
        turn = CHANGES.index((before, after)) + USERS.index(user)
        for number, means in enumerate(MEANS):
            end = ENDS[(turn + number) % len(ENDS)]
            case = f"{before} to {after}, user {user}, {end.name}, {means}"
            own(place / "tables", FIRST)
            client, other = f"203.0.113.{10 + number}", f"203.0.113.{100 + number}"
            site.log.write_text("")
            site.cover()
            site.append(login(client))
            site.spec = old
            configure(site, FIRST)
            daemon = site.start(prefix=prefix)
            if not started:
                postfix.start()
                started = True
            assert granted(postfix, client), case
            daemon.kill() if end is signal.SIGKILL else daemon.stop()
            site.spec = new
            configure(site, FIRST if user == "same" else SECOND)
            if user == "given":
                own(place / "tables", SECOND)
            site.append(login(other))
            # Same suffix, another engine; or no right to the directory: the daemon ends, and that is said.
            starts = user != "forgotten" and {before, after} != {"hash", "btree"}
            if starts:
                daemon = site.start(prefix=prefix)
                assert other in site.rows(), case
                daemon.kill() if end is signal.SIGKILL else daemon.stop()
            else:
                status, _, reason = site.spawn(prefix=prefix).end()
                assert (status, "relay" in reason) == (1, True), f"{case}: {reason}"
            assert granted(postfix, client), f"{case}: nothing but the last step empties it"
            if means == "reap":
                early = emptied(means, site, prefix)
                assert early.returncode == 0, early.stderr
                assert granted(postfix, client), f"{case}: not before its time"
            age(place / "tables", site.grace + 61)
            done = emptied(means, site, prefix)
            assert not granted(postfix, client), f"{case}: {done.stdout}{done.stderr}"
            assert not granted(postfix, other), case
            if starts:
                assert site.rows() == [], case
            for spec in {old, new} if starts else {old}:
                for ip in (client, other):
                    assert postfix.postmap(ip, spec) is None, f"{case}: {spec}"


def test_the_daemon_names_and_empties_it_by_itself(place: Path) -> None:
    """Without a timer that runs `reap`."""
    site = made(place, "lmdb")
    site.cover()
    site.append(login("203.0.113.5"))
    site.start().stop()
    old = site.spec
    site.spec = f"hash:{place}/relay"
    site.start().stop()
    assert f"{old}: left by an earlier configuration; it gets no new rows and will be emptied in 31 min" in site.said()
    assert f"; the MTA's configuration must name {site.spec}" in site.said()
    assert len(site.rows()) == 1
    now = time.time()
    stale = place / "relay.lmdb.owner"
    os.utime(stale, (now - 1861, now - 1861))
    site.start()
    site.wait_said(f"{old}: left by an earlier configuration; emptied, 1 rows removed")
    assert site.rows() == ["203.0.113.5"], "the one in use is not touched"
    assert pbs("list", f"--dbfile={old}", f"--config={site.config}").stdout == "The database holds 0 IPs.\n"


def test_one_is_emptied_by_its_name_while_the_daemon_runs(place: Path) -> None:
    site = made(place, "hash")
    site.cover()
    site.append(login("203.0.113.5"))
    site.start().stop()
    old = site.spec
    site.spec = f"lmdb:{place}/relay"
    site.start()
    configured = (f"--config={site.config}", f"--dbfile={site.spec}")
    reaped = pbs("reap", *configured).stdout
    assert reaped.startswith(
        f"{site.spec}: in use by the running daemon\n{old}: not in this configuration; will be emptied in 31 min"
    )
    done = pbs("clear", old, f"--config={site.config}")
    assert (done.returncode, done.stdout) == (0, f"{old}: emptied, 1 rows removed\n")
    assert site.rows() == ["203.0.113.5"]
    assert pbs("clear", *configured).returncode == 1, "its own has an owner"


def test_a_table_of_another_running_daemon_is_left_alone(place: Path) -> None:
    """Two configurations in one directory."""
    site, other = made(place, "lmdb"), made(place, "lmdb")
    other.spec, other.own = f"hash:{place}/other", place / "other.log"
    site.cover()
    site.append(login("203.0.113.5"))
    site.start().stop()
    other.start()
    done = pbs("clear", f"--config={site.config}", f"--dbfile={site.spec}")
    assert done.stdout == (
        f"{site.spec}: emptied, 1 rows removed\n{other.spec}: not in this configuration; in use by another daemon\n"
    )
    assert other.rows() == ["203.0.113.5"]


def test_no_program_is_run_because_a_file_says_so(place: Path) -> None:
    """An owner file of another's hand names a command; only its own command line runs it."""
    ran = place / "ran"
    program = place / "program"
    program.write_text(f"#!/bin/sh\necho ran >>{ran}\n")
    program.chmod(0o755)
    site = made(place, "lmdb")
    site.cover()
    site.start().stop()
    (place / "x").write_text("203.0.113.5\n")
    spec = f"exec:{place}/x?command={program}"
    (place / "x.owner").write_text(f"1\n{spec}\n60\nok\n")
    os.utime(place / "x.owner", (1, 1))
    for command in ("reap", "clear"):
        done = pbs(command, f"--config={site.config}", f"--dbfile={site.spec}")
        assert f"exec:{place}/x: not in this configuration; to empty it: pbs-fast clear '{spec}'\n" in done.stdout
    site.start().stop()
    assert not ran.exists()
    hint = re.findall(r"pbs-fast clear '(.*)'", done.stdout)[0]
    assert pbs("clear", hint, f"--config={site.config}").returncode == 0
    assert ran.read_text() == "ran\n"


@pytest.mark.parametrize(
    "text", ["", "1\n", "1\nlmdb:/etc/passwd\n60\nok\n", "1\nhash\n\n", "\xff\n" * 9, "1\nx:y\n1\nok"]
)
def test_an_odd_owner_file_is_no_record(text: str, place: Path) -> None:
    site = made(place, "lmdb")
    site.cover()
    site.append(login("203.0.113.5"), noise())
    site.start().stop()
    old = site.spec
    (place / "relay.lmdb.owner").write_text(text, encoding="latin-1")
    site.spec = f"hash:{place}/relay"
    done = pbs("clear", f"--config={site.config}", f"--dbfile={site.spec}")
    assert f"{old}: not in this configuration; emptied, 1 rows removed\n" in done.stdout, "its suffix tells"
    assert done.returncode == 1, "there is no hash: yet"
