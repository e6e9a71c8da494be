"""`exec:`: which program is told what, in which order, and what of it is known after a failure or a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mta import wait_for
from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import Table, TableOptions, list_rows, open_table, parse
from pbs_fast.tables.describe import WaitingError
from pbs_fast.tables.queue import Pending
from pbs_fast.tables.reap import clear, reap
from tables.conftest import grant

TURN = "pbs_fast.tables.types.exec.TURN"
A, B, SIX = "203.0.113.5", "203.0.113.6", "2001:db8::1"


class Firewall:
    """A program that notes what it was told, and fails for what stands in a file."""

    def __init__(self, place: Path, body: str = "") -> None:
        self.state = place / "state"
        self.program = place / "fire wall"
        self._told = place / "told"
        self._broken = place / "broken"
        self._broken.touch()
        self.program.write_text(
            f'#!/bin/sh\nif grep -qxF "$1 $2" "{self._broken}"; then echo "no $1 today" >&2; exit 4; fi\n{body}\n'
            f'echo "$*" >> "{self._told}"\n'
        )
        self.program.chmod(0o755)
        self.spec = f"exec:{self.state}?command='{self.program}'"

    def told(self) -> list[str]:
        """What it was told since the last time."""
        text = self._told.read_text() if self._told.exists() else ""
        self._told.write_text("")
        return text.splitlines()

    def breaks(self, *told: str) -> None:
        """From now on it fails for these, and for nothing else."""
        self._broken.write_text("".join(f"{each}\n" for each in told))

    def open(self) -> Table:
        return open_table(self.spec, options=TableOptions())

    def rows(self) -> list[str]:
        return [key for key, _ in list_rows(self.spec)]


@pytest.fixture(autouse=True)
def _long_turns(_short_turns: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TURN, 60.0)


@pytest.fixture
def wall(tmp_path: Path) -> Firewall:
    return Firewall(tmp_path)


def test_each_change_is_told_and_a_renewal_is_not(wall: Firewall) -> None:
    table = wall.open()
    table.rebuild({A: grant()})
    table.apply(Delta({SIX: grant(), A: grant(2_000_000_900, why="renewed")}))
    assert wall.told() == [f"add {A}", f"add {SIX}"]
    table.apply(Delta({B: grant()}, (A,)))
    assert wall.told() == [f"del {A}", f"add {B}"]
    assert wall.rows() == [SIX, B]
    table.check()
    table.heartbeat()
    table.close()
    assert wall.told() == [], "looking and stopping tell nothing"
    assert wall.rows() == [SIX, B]


def test_a_start_deletes_what_is_stale_and_adds_all_that_lives(wall: Firewall) -> None:
    table = wall.open()
    table.rebuild({A: grant(), B: grant()})
    table.close()
    wall.told()
    table = wall.open()
    assert list(table.load()) == [A, B]
    table.apply(Delta({SIX: grant()}))  # a live line, before the replay is done
    assert wall.told() == [f"add {SIX}"]
    table.rebuild({B: grant(), SIX: grant()})
    assert wall.told() == [f"del {A}", f"add {B}"], "what was told since the start need not be told again"
    table.close()


def test_what_failed_is_told_again_and_holds_up_no_other(wall: Firewall) -> None:
    table = wall.open()
    table.rebuild({})
    pending = Pending(table)
    wall.breaks(f"add {A}", f"del {B}")
    pending.add(Delta({A: grant(), B: grant()}))
    assert not pending.flush(now=True)
    assert "ended with status 4: 'no add today'" in str(pending.failing)
    assert f"(add {A})" in str(pending.failing)
    assert wall.told() == [f"add {B}"]
    assert wall.rows() == [A, B], "what add may have done is written down"
    pending.add(Delta({SIX: grant()}, (B,)))
    assert not pending.flush(now=True)
    assert "so did 1 more" in str(pending.failing)
    assert wall.told() == [f"add {SIX}"]
    assert wall.rows() == [SIX, A, B], "what was not deleted stays written down"
    wall.breaks()
    assert pending.flush(now=True)
    assert pending.failing is None
    assert wall.told() == [f"del {B}", f"add {A}"]
    assert wall.rows() == [SIX, A]
    pending.close()


def test_an_address_that_returns_before_it_was_deleted_is_added_again(wall: Firewall) -> None:
    table = wall.open()
    table.rebuild({A: grant()})
    wall.breaks(f"del {A}")
    with pytest.raises(WaitingError, match="no del today"):
        table.apply(Delta({}, (A,)))
    wall.breaks()
    wall.told()
    table.apply(Delta({A: grant()}))
    assert wall.told() == [f"add {A}"]
    assert wall.rows() == [A]
    table.close()


def test_a_start_goes_on_where_the_program_fails_for_one(wall: Firewall) -> None:
    wall.breaks(f"add {SIX}")
    pending = Pending(wall.open())
    pending.rebuild({A: grant(), SIX: grant(), B: grant()})
    assert wall.told() == [f"add {A}", f"add {B}"]
    assert "status 4" in str(pending.failing)
    wall.breaks()
    assert pending.flush(now=True)
    assert wall.told() == [f"add {SIX}"]
    pending.close()


def test_a_disk_that_was_full_at_the_start_loses_no_row(wall: Firewall, monkeypatch: pytest.MonkeyPatch) -> None:
    from pbs_fast.tables.types import exec as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    table = wall.open()
    with monkeypatch.context() as patched:
        patched.setattr(module, "write_lines", full)
        with pytest.raises(WaitingError, match="No space left"):
            table.rebuild({A: grant()})
    assert wall.told() == [], "nothing is told that is not written down"
    table.check()
    assert wall.told() == [f"add {A}"]
    table.close()


def test_many_rows_are_told_in_turns(wall: Firewall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TURN, 0.05)
    many = {f"10.0.{i >> 8}.{i & 255}": grant() for i in range(300)}
    table = wall.open()
    table.rebuild(many)
    told = wall.told()
    assert 0 < len(told) < 300, "a turn ends"
    assert len(wall.rows()) == 300
    deadline = time.monotonic() + 60
    while len(told) < 300 and time.monotonic() < deadline:
        table.check()
        told += wall.told()
    assert told == [f"add {ip}" for ip in many]
    table.close()


def test_clear_and_reap_delete_to_the_last_row(wall: Firewall) -> None:
    many = {f"10.0.0.{i}": grant() for i in range(100)}
    table = wall.open()
    table.rebuild(many)
    table.close()
    wall.told()
    spec = parse(wall.spec)
    assert reap(spec, TableOptions(), grace=60).state == "waiting"
    assert wall.told() == []
    assert reap(spec, TableOptions(), grace=60, now=time.time() + 600).removed == 100
    assert wall.told() == [f"del {ip}" for ip in many]
    assert wall.rows() == []
    table = wall.open()
    table.rebuild({A: grant()})
    table.close()
    wall.breaks(f"del {A}")
    with pytest.raises(TableError, match="no del today"):
        clear(spec, TableOptions())
    assert wall.rows() == [A]
    wall.breaks()
    assert clear(spec, TableOptions()) == 1
    assert wall.rows() == []


def test_a_program_that_does_not_end_is_killed_and_waits_behind_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TURN, 1.0)
    wall = Firewall(tmp_path, body=f'[ "$2" != {A} ] || sleep 3600')
    wall.spec += "&timeout=3"
    table = wall.open()
    with pytest.raises(WaitingError, match="took more than 3 s and was killed"):
        table.rebuild({A: grant(), B: grant()})
    assert wall.told() == []
    with pytest.raises(WaitingError, match="took more than 3 s"):
        table.check()  # B's turn comes before A's second
    assert wall.told() == [f"add {B}"]
    table.close()


def test_kill_9_leaves_no_address_that_nobody_knows(tmp_path: Path) -> None:
    """Killed while the program works: the row is written down, and the next start deletes it."""
    go = tmp_path / "go"
    wall = Firewall(tmp_path, body=f': >"{tmp_path}/began"; until [ -e "{go}" ]; do sleep 0.05; done')
    code = (
        "import sys\nfrom pbs_fast.events import Delta, Grant\nfrom pbs_fast.tables import open_table\n"
        f"t = open_table({wall.spec!r})\nt.rebuild({{}})\nprint('ready', flush=True)\n"
        f"t.apply(Delta({{{A!r}: Grant(2_000_000_000, None, '', 'new')}}))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        wait_for("the row", wall.rows)
        wait_for("the program", lambda: (tmp_path / "began").exists())
        writer.send_signal(signal.SIGKILL)
    assert wall.rows() == [A]
    go.touch()  # what was started goes on
    assert wait_for("the program's end", wall.told) == [f"add {A}"]
    table = wall.open()
    table.rebuild({})
    table.close()
    assert wall.told() == [f"del {A}"]
    assert wall.rows() == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ("", UsageError, "needs the program to run, as in"),
        ("?command=block", UsageError, "needs the absolute path of a program"),
        ("?command=/nowhere/block", TableError, "is not an executable program"),
        ("?command=/etc/passwd", TableError, "is not an executable program"),
        ("?command=/bin/true&timeout=0", UsageError, "needs whole seconds from 1 to 30"),
        ("?timeout=3", UsageError, "timeout without a command"),
    ],
)
def test_bad_programs_are_named_at_once(options: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        open_table(f"exec:{tmp_path}/state{options}")


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    wall = Firewall(tmp_path)
    wall.spec = f"exec:{wall.state}?command='{wall.program}' $(id) ;%26"
    table = wall.open()
    table.rebuild({A: grant()})
    table.close()
    assert wall.told() == [f"$(id) ;& add {A}"]
