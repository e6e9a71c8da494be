"""Root in a directory of another account's: an attacker as that account swaps links while root runs each command.

Nothing that only root can write or read may change: mode, owner, content of a file of root's, and nothing new in a
directory of root's.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site, login, readable_to_all, require_nobody
from mta import private_directory

NOBODY = 65534
ROOTS = "root's\n"
TRIES, RUNS = 30, 5

#: Swaps each name for links to root's files and back, as fast as it can; argv: root's directory, then names.
ATTACKER = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
place, names = sys.argv[1], sys.argv[2:]
os.chdir(os.path.dirname(names[0]))
print("ready", flush=True)
n = 0
while True:
    n += 1
    for name in names:
        for target in (place + "/secret", place + "/created", None):
            try:
                if target is None:
                    os.rename(name, "kept.%d" % (n % 3)) if n % 2 else os.unlink(name)
                else:
                    os.symlink(target, "link")
                    os.rename("link", name)
            except OSError:
                pass
"""


@pytest.fixture
def place() -> Iterator[Path]:
    require_nobody()
    place = private_directory("foreign")
    yield place
    shutil.rmtree(place)


@contextmanager
def attacked(roots: Path, names: list[Path]) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", ATTACKER, str(roots), *map(str, names)], stdout=subprocess.PIPE, text=True
    ) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            attacker.kill()


def state(roots: Path) -> list[tuple[str, int, int, int, bytes]]:
    found = []
    for file in sorted(roots.iterdir()):
        status = file.lstat()
        found.append((file.name, status.st_mode, status.st_uid, status.st_gid, file.read_bytes()))
    return found


def prepared(place: Path, kind: str) -> tuple[Site, Path, Path]:
    """A site whose tables lie in a directory of nobody's, that directory, and one of root's."""
    theirs, roots = place / "theirs", place / "roots"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    roots.mkdir(mode=0o700)
    (roots / "secret").write_text(ROOTS)
    (roots / "secret").chmod(0o600)
    roots.chmod(0o711)  # so that what follows a link gets there
    site = Site(place, kind)
    site.log.chmod(0o644)
    site.spec = f"{kind}:{theirs}/relay"
    site.cover()
    return site, theirs, roots


def command(site: Site, name: str, *more: str) -> list[str]:
    return [PROGRAM, name, f"--config={site.config}", f"--dbfile={site.spec}", *more]


#: Runs a command again and again in one process of root's, with a row in the table each time; argv: how often, then
#: table, owner file, command line.
AGAIN = """
import os, sys
from contextlib import suppress
from pbs_fast.cli import main
from pbs_fast.errors import PbsError
from pbs_fast.events import Grant
from pbs_fast.tables import open_table
times, spec, owner, *line = sys.argv[1:]

def fill():
    if (child := os.fork()):
        os.waitpid(child, 0)
        return
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    with suppress(PbsError, OSError):
        table = open_table(spec)
        table.rebuild({"203.0.113.5": Grant(2_000_000_000, None, "dovecot", "new")})
        table.close()
        os.utime(owner, (1, 1), follow_symlinks=False)
    os._exit(0)

for _ in range(int(times)):
    fill()
    main(line)
"""


@pytest.mark.parametrize("kind", ["hash", "lmdb", "cdb"])
@pytest.mark.parametrize("name", ["clear", "reap", "list", "run"])
def test_links_swapped_under_a_command_of_root(kind: str, name: str, place: Path) -> None:
    site, theirs, roots = prepared(place, kind)
    file = site.file
    owner = file.with_name(file.name + ".owner")
    names = [file.with_name(file.name + ".tmp"), owner, file, theirs / "own.log"]
    before = state(roots)
    line = command(site, name)
    if name == "run":
        site.append(login("203.0.113.5"))
        line += [f"--watchlog={site.log}", "--once", f"--logto={theirs}/own.log"]
    with attacked(roots, names):
        again = [sys.executable, "-c", AGAIN, str(TRIES), site.spec, str(owner), *line[1:]]
        whole = [PROGRAM, *line[1:]]
        for _ in range(1 if name != "run" else RUNS):
            subprocess.run(
                [*readable_to_all(), *(whole if name == "run" else again)],
                capture_output=True,
                check=False,
                timeout=100,
            )
    assert state(roots) == before


def test_a_pid_file_that_is_a_link_is_not_followed(place: Path) -> None:
    site, theirs, roots = prepared(place, "lmdb")
    before = state(roots)
    for directory in (theirs, place):
        pid_file = directory / "pbs.pid"
        pid_file.symlink_to(roots / "secret")
        done = subprocess.run(
            [*readable_to_all(), *command(site, "run", f"--watchlog={site.log}", f"--daemon={pid_file}")],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"pbs-fast run: pid file {pid_file}: "), done.stderr
        assert state(roots) == before


def test_a_pid_file_in_the_accounts_directory_is_made_by_it(place: Path) -> None:
    site, theirs, _ = prepared(place, "lmdb")
    site.pid_file = theirs / "pbs.pid"
    done = subprocess.run(
        [*readable_to_all(), *command(site, "run", f"--watchlog={site.log}", f"--daemon={site.pid_file}")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    try:
        found = site.pid_file.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, NOBODY)
    finally:
        site.close()


@pytest.mark.parametrize("others", ["theirs", "sticky", "shared"])
def test_root_writes_no_log_where_another_chooses_the_file(others: str, place: Path) -> None:
    """With tables that only root controls, so root it stays."""
    site, _, roots = prepared(place, "lmdb")
    before = state(roots)
    site.spec = f"lmdb:{place}/relay"
    if others != "theirs":
        (place / others).mkdir()
        (place / others).chmod(0o1777 if others == "sticky" else 0o777)
    site.own = place / others / "own.log"
    site.own.symlink_to(roots / "secret")
    os.chown(site.own, NOBODY, NOBODY, follow_symlinks=False)
    done = subprocess.run(
        command(site, "run", f"--watchlog={site.log}", "--once", f"--logto={site.own}"),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"pbs-fast run: cannot open our own log {site.own} as "), done.stderr
    assert state(roots) == before


def test_what_root_leaves_the_service_can_use(place: Path) -> None:
    """README's first command, run by root before the service runs as its account."""
    site, theirs, _ = prepared(place, "hash")
    site.append(login("203.0.113.5"))
    first = [*command(site, "run", f"--watchlog={site.log}", "--once", "--debug")]
    done = subprocess.run([*readable_to_all(), *first], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "started by root; running as nobody, who controls the tables' directory" in done.stdout
    assert {file.stat().st_uid for file in theirs.iterdir()} == {NOBODY}
    service = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    again = subprocess.run(
        [*readable_to_all(), *service, *first], capture_output=True, text=True, check=False, timeout=60
    )
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_an_owner_file_of_roots_is_taken_over(mode: int, place: Path) -> None:
    """Left by an earlier version, or by root with another umask."""
    site, _, _ = prepared(place, "lmdb")
    site.append(login("203.0.113.5"))
    owner = site.file.with_name(site.file.name + ".owner")
    owner.write_text("1\n")
    owner.chmod(mode)
    then = time.time() - 600
    os.utime(owner, (then, then))
    service = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    run = command(site, "run", f"--watchlog={site.log}", "--once")
    done = subprocess.run([*readable_to_all(), *service, *run], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = owner.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, NOBODY)
    assert site.rows() == ["203.0.113.5"]
