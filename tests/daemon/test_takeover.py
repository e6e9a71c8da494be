"""A `.db` that the Perl program has written (DB_File, its keys and values) goes over at the first start.

Who stands in it may relay at every moment, until the log explains it or its grace is over.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.running import Site, login, pbs
from mta import require_perl, wait_for
from pbs_fast.errors import TableError
from pbs_fast.tables import list_rows

OLD = [f"198.51.100.{i}" for i in range(1, 101)]
NEW = "203.0.113.1"
#: As the old program opened its table and put rows into it.
WRITER = """
use strict; use DB_File; use Fcntl qw(:DEFAULT :flock);
my ($file, $value, @addresses) = @ARGV;
umask 022;
my $handle = tie my %db, 'DB_File', $file, O_CREAT|O_RDWR, 0666, $DB_HASH or die "$file: $!";
my $fd = $handle->fd; open my $lock, '+<&=', $fd or die $!; flock $lock, LOCK_EX or die $!;
$db{$_} = $value for @addresses;
delete $db{'192.0.2.77'};
$handle->sync; flock $lock, LOCK_UN;
"""


def perl_db(site: Site, *addresses: str, value: str = "ok") -> None:
    """Write the site's table by real perl."""
    pytest.importorskip("berkeleydb")
    require_perl("DB_File")
    command = ["perl", "-e", WRITER, str(site.file), value, *addresses, "192.0.2.77"]
    subprocess.run(command, check=True)
    assert list_rows(site.spec) == sorted((address, value) for address in addresses)


class Watch:
    """Another process's view of the table, again and again: rows that were missing once."""

    def __init__(self, spec: str, addresses: list[str]) -> None:
        self.missing: set[str] = set()
        self.looks = 0
        self._end = threading.Event()
        self._spec, self._addresses = spec, set(addresses)
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.is_set():
            try:
                self.missing |= self._addresses - {key for key, _ in list_rows(self._spec)}
            except TableError as error:
                self.missing.add(str(error))
            self.looks += 1
            time.sleep(0.005)

    def stop(self) -> set[str]:
        self._end.set()
        self._thread.join()
        return self.missing


@pytest.fixture
def old_site(new_site: Callable[[str], Site]) -> Site:
    return new_site("hash")


def test_no_row_is_missing_at_the_first_start(old_site: Site) -> None:
    """The log reaches back over the last minute only, so rows that it does not explain stay for one grace time."""
    site = old_site
    site.append(login(OLD[0], at=time.time() - 30))
    perl_db(site, *OLD)
    watch = Watch(site.spec, OLD)
    daemon = site.start()
    site.append(login(NEW))
    site.wait_rows(*OLD, NEW)
    wait_for("looks", lambda: watch.looks > 5)
    assert watch.stop() == set()
    daemon.stop()
    assert pbs("list", *site.arguments()[:1], f"--dbfile={site.spec}").stdout.startswith(
        "The database holds 101 IPs:\n"
    )


def test_rows_end_with_their_grace(old_site: Site) -> None:
    site = old_site
    clocks = site.set_clocks()
    site.append(login(OLD[0], at=time.time() - 2))
    perl_db(site, *OLD[:3])
    site.start()
    assert set(site.rows()) == set(OLD[:3])
    clocks.advance(site.grace - 300)
    site.append(login(NEW, at=site.now()))
    site.wait_rows(*OLD[:3], NEW)
    clocks.advance(301)
    site.wait_rows(NEW)


def test_rows_that_a_full_log_does_not_explain_go_at_once(old_site: Site) -> None:
    site = old_site
    site.cover()
    site.append(login(OLD[0], at=time.time() - 60))
    perl_db(site, *OLD[:3])
    watch = Watch(site.spec, OLD[:1])
    site.start()
    site.wait_rows(OLD[0])
    assert watch.stop() == set()


def test_the_value_that_was_imported_is_ours(old_site: Site) -> None:
    """A site with `$dbvalue` of its own: with `value` its rows are taken over, without it they are refused."""
    site = old_site
    site.append(login(OLD[0], at=time.time() - 30))
    perl_db(site, *OLD[:5], value="relay me")
    refused = pbs("run", *site.arguments())
    assert refused.returncode == 1
    assert "rows that are not ours" in refused.stderr + site.said()
    assert {value for _, value in list_rows(site.spec)} == {"relay me"}
    site.configure('value = "relay me"\n')
    site.start()
    assert list_rows(site.spec) == sorted((address, "relay me") for address in OLD[:5])


def test_a_path_without_a_type_is_taken_as_hash(old_site: Site) -> None:
    """As start files say it: `--dbfile=/etc/postfix/pop-before-smtp`, and `.db` is there."""
    site = old_site
    site.append(login(OLD[0], at=time.time() - 30))
    perl_db(site, *OLD[:5])
    spec = site.spec
    site.spec = str(site.place / "relay")
    site.start(f"--dbfile={spec.partition(':')[2]}")
    site.spec = spec
    assert set(site.rows()) == set(OLD[:5])
    assert not [path for path in Path(site.place).iterdir() if path.suffix == ".lmdb"]
