"""`text:` and the command it runs: told of every change, believed only when it ends well, never left running."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest

from mta import wait_for
from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import Table, open_table
from pbs_fast.tables.queue import Pending
from tables.conftest import Opener, grant

A, B = "203.0.113.5", "2001:db8::1"


@pytest.fixture
def told(directory: Path) -> Path:
    return directory / "told"


def script(directory: Path, text: str) -> Path:
    path = directory / "tell"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def with_command(opened: Opener, command: object, more: str = "") -> Table:
    return opened(f"text?command={command}{more}")


def test_one_address_a_line_and_nothing_else(opened: Opener) -> None:
    table = opened("text", value="ok {user}")
    table.rebuild({A: grant(user="ann"), B: grant()})
    assert table.file is not None
    assert table.file.read_text() == f"{A}\n{B}\n"
    assert table.file.stat().st_mode & 0o777 == 0o644, "no user is named"
    table.apply(Delta({}, (A, B)))
    assert table.file.read_text() == ""


def test_the_command_sees_each_change(opened: Opener, directory: Path, told: Path) -> None:
    table = with_command(opened, script(directory, f"paste -s -d, {directory}/relay >>{told}\n"))
    assert not told.exists(), "an empty table made at the start is no change"
    table.rebuild({A: grant()})
    table.apply(Delta({A: grant(why="renewed")}))  # no change to the file
    table.apply(Delta({B: grant()}))
    table.apply(Delta({}, (A,)))
    assert told.read_text().splitlines() == [A, f"{A},{B}", B]


def test_words_are_split_but_no_shell_sees_them(opened: Opener, directory: Path, told: Path) -> None:
    tell = script(directory, f'for word; do echo "$word"; done >{told}\n')
    table = with_command(opened, f"{tell} 'a b' $HOME ; touch x%26 *")
    table.rebuild({A: grant()})
    assert told.read_text().splitlines() == ["a b", "$HOME", ";", "touch", "x&", "*"]


def test_a_failing_command_is_tried_again(opened: Opener, directory: Path, told: Path) -> None:
    tell = script(directory, f"echo no luck >&2; test -e {directory}/may && cp {directory}/relay {told}\n")
    table = with_command(opened, tell)
    with pytest.raises(TableError, match="tell ended with status 1: 'no luck'"):
        table.rebuild({A: grant()})
    pending = Pending(table)
    pending.add(Delta({B: grant()}))
    assert not pending.flush(now=True)
    assert "no luck" in str(pending.failing)
    assert table.file is not None
    assert table.file.read_text() == f"{A}\n{B}\n", "the file is right meanwhile"
    (directory / "may").touch()
    assert pending.flush(now=True)
    assert told.read_text() == f"{A}\n{B}\n"
    assert pending.failing is None
    told.unlink()
    table.heartbeat()
    assert not told.exists(), "told once"


def test_a_command_that_hangs_is_killed_with_its_children(opened: Opener, directory: Path, told: Path) -> None:
    table = with_command(opened, script(directory, f"sleep 3600 & echo $! >{told}; wait\n"), "&timeout=3")
    with pytest.raises(TableError, match="took more than 3 s and was killed"):
        table.rebuild({A: grant()})
    child = int(told.read_text())
    wait_for("the end of the child", lambda: not _runs(child))


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_left_behind_does_not_hold_us_up(opened: Opener, directory: Path, told: Path) -> None:
    table = with_command(opened, script(directory, f"sleep 3600 & echo $! >{told}\n"))
    table.rebuild({A: grant()})
    os.kill(int(told.read_text()), 9)


def test_the_window_grows_with_the_command_s_time(opened: Opener, directory: Path) -> None:
    table = with_command(opened, script(directory, "sleep 0.1\n"))
    start = time.monotonic()
    table.rebuild({A: grant()})
    assert 0.5 <= table.window <= 5 * (time.monotonic() - start)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("command=tell", "needs the absolute path of a program"),
        ("command=", "needs the absolute path"),
        ("command=/bin/tell 'a", "close the quotes"),
        ("command=/bin/true&timeout=0", "needs whole seconds from 1 to 30"),
        ("command=/bin/true&timeout=1.5", "needs whole seconds"),
        ("timeout=3", "timeout without a command"),
    ],
)
def test_bad_commands_are_named(options: str, message: str, directory: Path) -> None:
    with pytest.raises(UsageError, match=message):
        open_table(f"text:{directory}/relay?{options}")
    assert not list(directory.iterdir())


def test_a_missing_command_is_named(opened: Opener, directory: Path) -> None:
    table = with_command(opened, shlex.quote(f"{directory}/none"))
    with pytest.raises(TableError, match=r"cannot run .*/none: No such file"):
        table.rebuild({A: grant()})
