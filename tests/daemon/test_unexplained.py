"""A row that no log explains ends at most `grace` after the first start that could not explain it, whatever comes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemon.running import Site, login, noise
from mta import wait_for
from pbs_fast.daemon.recover import recover
from pbs_fast.daemon.unexplained import SUFFIX, Unexplained
from pbs_fast.events import Batch, Grant
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.sources.protocol import Coverage
from pbs_fast.tables import Row, TableOptions, list_rows, open_table, parse
from support.clock import FakeClock
from support.own_log import heard

GRACE = 120
A, B, C = "203.0.113.1", "203.0.113.2", "2001:db8::3"


class Guards:
    """They refuse nothing."""

    def refused(self, rows: object, wall: float) -> dict[str, str]:  # noqa: ARG002
        return {}


class Machine:
    """A table that lives on over any number of daemons, each a ledger and an Unexplained of its own."""

    def __init__(self, place: Path, rows: list[str], expires: bool = False) -> None:
        self.table = place / "relay.lmdb"
        self.clock = FakeClock()
        self.rows = dict.fromkeys(rows, None if not expires else 10**9)
        self.explain = cast("Any", SimpleNamespace(dropped=lambda *_: None, changed=lambda *_: None))
        self.true_boot = 0.0
        """Seconds that really passed."""

    def new_clock(self) -> None:
        """A process makes its own."""
        old = self.clock
        self.clock = FakeClock(old.wall_reading, old.boot_reading)
        self.clock.boot_id = old.boot_id

    def begin(self) -> None:
        """A process starts and reads the log."""
        self.new_clock()
        self.ledger = Ledger(GRACE)
        self.unexplained = Unexplained([self.table], self.ledger, self.clock)
        self._drop_ended()

    def _drop_ended(self) -> None:
        for ip in self.unexplained.ended(self.rows):
            del self.rows[ip]

    def ready(self, *, covered: bool = False) -> None:
        """It has read the log, and the log explained nothing."""
        found = {ip: Row("ok", None, end) for ip, end in self.rows.items()}
        coverage = [Coverage(covered, "the log begins within the window")]
        recover(found, coverage, self.ledger, cast("Any", Guards()), self.clock, self.unexplained, self.explain)
        self.rows = dict.fromkeys(self.ledger.rows())

    def live(self, seconds: float) -> None:
        """It works for so long."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.true_boot += 1
            self.unexplained.turned()
            self._drop_ended()
            for ip in self.ledger.expire(self.clock.now()).removed:
                self.rows.pop(ip, None)

    def login(self, ip: str) -> None:
        now = int(self.clock.wall())
        batch = Batch("log", [ip], [now], [now], [1], ["login"], ["dovecot"], ["hub"], [0], [None], [False], [None])
        batch.user_first.append(None)
        batch.user_last.append(None)
        batch.users.append(1)
        self.ledger.observe(batch, self.clock.now(), shift=self.clock.shift())
        self.rows[ip] = None

    @property
    def file(self) -> Path:
        return self.table.with_name(self.table.name + SUFFIX)


def test_a_restart_gives_no_new_grace(tmp_path: Path) -> None:
    """Grace 120 s, a restart every 70 s."""
    machine = Machine(tmp_path, [A, B])
    machine.begin()
    machine.ready()
    machine.live(70)
    assert set(machine.rows) == {A, B}
    machine.begin()
    machine.ready()
    machine.live(49)
    assert set(machine.rows) == {A, B}, "nor does one take anything of it"
    machine.live(2)
    assert not machine.rows
    machine.unexplained.save()
    assert not machine.file.exists(), "nothing is left to keep in mind"


@pytest.mark.parametrize("seed", range(300))
def test_over_restarts_kills_steps_and_reboots_no_row_lasts_longer(tmp_path: Path, seed: int) -> None:
    """Whatever happens in whatever order, while the daemon is there for some seconds at least now and then."""
    r = random.Random(seed)
    machine = Machine(tmp_path, [A, B], expires=r.random() < 0.2)
    machine.begin()
    if r.random() < 0.7:
        machine.ready()
    seen = machine.true_boot
    for _ in range(400):
        event = r.choice(["live", "live", "restart", "kill", "kill in the start", "step", "reboot", "down"])
        if event == "step":
            machine.clock.step_wall(r.choice([-1, 1]) * r.choice([1, 60, 3600, 10**8]))
            machine.unexplained.turned()
        elif event == "live":
            machine.live(r.randrange(20))
        elif event == "down":
            seconds = r.randrange(20)
            machine.clock.advance(seconds)
            machine.true_boot += seconds
            machine.begin()
            machine.ready()
        elif event == "reboot":
            # The wall clock goes on, is behind, or ahead.
            machine.clock.boot_id = str(r.random())
            machine.clock.boot_reading = r.random() * 100
            machine.clock.step_wall(r.choice([0, 0, -3600, 3600]))
            machine.begin()
            machine.ready()
        else:
            if event == "restart":
                machine.unexplained.save()
            machine.begin()
            if event != "kill in the start":
                machine.ready()
        if not machine.rows:
            break
        # One second for each restart, whose clock is cut to whole seconds, never more.
        assert machine.true_boot - seen <= GRACE + 20, (event, machine.true_boot - seen)
    assert not machine.rows


def test_starts_that_are_killed_one_after_the_other_keep_no_row(tmp_path: Path) -> None:
    machine = Machine(tmp_path, [A])
    for _ in range(3):
        machine.begin()  # and is killed in the replay
        machine.clock.advance(50)
    assert machine.rows, "150 s, but the third start had begun within the grace of the first"
    machine.begin()
    assert not machine.rows


def test_a_login_ends_the_doubt(tmp_path: Path) -> None:
    """A row that a login explains is a row like any other: in doubt again, it has a whole grace again."""
    machine = Machine(tmp_path, [A, B])
    machine.begin()
    machine.ready()
    machine.live(100)
    machine.login(A)
    machine.unexplained.save()
    machine.begin()
    machine.ready()
    machine.live(21)
    assert set(machine.rows) == {A}
    machine.live(98)
    assert set(machine.rows) == {A}
    machine.live(2)
    assert not machine.rows


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: {**record, "version": 2},
        lambda record: {**record, "rows": [[10**400, [A]]]},
        lambda record: {**record, "rows": [[100, A]]},
        lambda record: {**record, "rows": 7},
        lambda record: {**record, "wall_s": "now"},
        lambda record: {**record, "starting": True},
        lambda record: {**record, "boot_s": float("nan")},
        lambda _: None,
        lambda _: [[]],
    ],
)
def test_a_damaged_file_ends_the_rows_and_not_the_start(tmp_path: Path, damage: Callable[[Any], Any]) -> None:
    machine = Machine(tmp_path, [A])
    machine.begin()
    machine.ready()
    machine.file.write_text(json.dumps(damage(json.loads(machine.file.read_bytes()))))
    with heard() as found:
        machine.begin()
    machine.ready()
    assert not machine.rows
    assert any("is damaged" in line and "rows that no log explains are removed now" in line for line in found.lines)


def test_deep_nesting_ends_no_start(tmp_path: Path) -> None:
    machine = Machine(tmp_path, [A])
    machine.file.write_bytes(b"[" * 100_000)
    machine.begin()
    assert machine.file.read_bytes().startswith(b"{"), "replaced"
    machine.ready()
    assert not machine.rows


def test_where_it_cannot_be_written_that_is_said_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "nowhere", [A])
    with heard() as found:
        machine.begin()
        machine.ready()
        machine.unexplained.save()
        machine.unexplained.save()
    assert set(machine.rows) == {A}
    assert len([line for line in found.lines if "cannot write" in line and "get a new grace period" in line]) == 1


# -- with real daemons and tables -------------------------------------------------------------------------------------


#: A machine that stalls for a third of it changes nothing.
GRACE_OF_DAEMONS = 1200


def seed(site: Site, *ips: str, spec: str = "", value: str = "ok") -> None:
    """Rows of an earlier daemon whose log says nothing of them."""
    table = open_table(spec or site.spec, options=TableOptions(value=value))
    table.rebuild(dict.fromkeys(ips, Grant(2_000_000_000, None, "", "new")))
    table.close()


def test_rows_of_each_type_end_though_the_daemon_is_restarted_again_and_again(site: Site) -> None:
    """Stopped and killed in turn, each time well before a grace is over."""
    site.grace = GRACE_OF_DAEMONS
    clocks = site.set_clocks()
    others = ["hash", "btree", "cdb", "text", "sendmail"]
    specs = [f"{kind}:{site.place}/{kind}" for kind in others]
    specs += [f"exec:{site.place}/exec?command=/bin/true", f"lmdb:{site.place}/exim?keys=exim&group=root"]
    site.configure(f"table = {json.dumps(specs)}\n")
    for spec in (site.spec, *specs):
        seed(site, A, B, spec=spec)
    files = [file for spec in (site.spec, *specs) if (file := parse(spec).file) is not None]
    site.append(noise())  # the log begins now, so it explains nothing
    for restart in range(3):
        daemon = site.start()
        assert [len(list_rows(spec)) for spec in (site.spec, *specs)] == [2] * 8
        kept = [file.with_name(file.name + SUFFIX).exists() for file in files]
        assert kept == [True] * 8, "any of the tables may be the only one of the next start"
        clocks.advance(site.grace / 3)
        if restart % 2:
            daemon.kill()
        else:
            assert daemon.stop() == 0
    daemon = site.start()
    wait_for("the end in each table", lambda: not any(list_rows(spec) for spec in (site.spec, *specs)))
    assert daemon.stop() == 0
    assert not list(site.place.glob(f"*{SUFFIX}*"))


def test_a_start_that_never_becomes_ready_keeps_no_row(site: Site) -> None:
    """Killed in its replay each time."""
    site.grace = GRACE_OF_DAEMONS
    clocks = site.set_clocks()
    seed(site, A)
    now = time.time()
    site.append(*(noise(now, "x" * 200) for _ in range(150_000)))
    record = site.file.with_name(site.file.name + SUFFIX)
    for _ in range(2):
        before = record.stat().st_ino if record.exists() else 0
        daemon = site.spawn("--core=python")
        daemon.wait_until("it is on record", lambda: record.exists() and record.stat().st_ino != before)  # noqa: B023
        daemon.kill()
        assert site.holds(A)
        clocks.advance(site.grace / 2 + 1)
    daemon = site.spawn("--core=python")
    daemon.wait_until("the row is gone", site.holds)
    daemon.kill()
    assert "ready:" not in site.said()


def test_a_start_that_fails_before_it_owns_the_table_leaves_it_to_reap(site: Site) -> None:
    """A log that may not be read ends each start; the owner's pulse must not say meanwhile that somebody keeps it."""
    seed(site, A)
    owner = site.file.with_name(site.file.name + ".owner")
    before = owner.stat().st_mtime_ns
    site.log.unlink()
    site.log.mkdir()
    status, _, err = site.spawn().end()
    assert status == 1, err
    assert owner.stat().st_mtime_ns == before


@pytest.mark.parametrize("step", [0, -3600])
def test_with_a_value_that_says_the_end_it_is_kept_as_well(site: Site, step: int) -> None:
    """Also where the wall clock is set back before each restart: neither the log, nor the file, nor the end that the
    value holds, makes a row last longer."""
    site.configure('value = "ok {expires}"\n')
    site.grace = GRACE_OF_DAEMONS
    clocks = site.set_clocks()
    seed(site, A, value="ok {expires}")
    for _ in range(3):
        daemon = site.start()
        assert site.holds(A), site.said()
        daemon.kill()
        clocks.set(wall=clocks.wall + (step or site.grace / 3), boot=clocks.boot + site.grace / 3)
    daemon = site.start()
    site.wait_rows()
    assert daemon.stop() == 0


def test_a_login_of_the_log_is_not_touched_by_it(site: Site) -> None:
    site.grace = GRACE_OF_DAEMONS
    clocks = site.set_clocks()
    seed(site, A, B)
    site.append(noise())
    daemon = site.start()
    clocks.advance(site.grace / 3)
    site.append(login(A, at=site.now()))
    daemon.kill()
    site.start()
    assert site.holds(A, B)
    clocks.advance(site.grace * 2 / 3)
    site.wait_rows(A)
