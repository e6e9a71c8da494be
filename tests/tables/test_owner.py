"""The table lock, `clear` and `reap`: which process has a table, and since when none has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pbs_fast.errors import TableError
from pbs_fast.tables import HEARTBEAT, TableOptions, list_rows, open_table, parse
from pbs_fast.tables.owner import TableLock, owner_file, read_record
from pbs_fast.tables.reap import Reaped, clear, reap
from tables.conftest import FILE_TYPES, OTHER_TYPES, Opener, grant

GRACE = 1800
ROWS = {"203.0.113.5": grant(), "2001:db8::1": grant()}


@pytest.fixture(params=FILE_TYPES + OTHER_TYPES)
def spec(request: pytest.FixtureRequest, opened: Opener) -> str:
    """A table with two rows that nobody owns any more."""
    table = opened(request.param)
    table.rebuild(ROWS)
    table.close()
    return table.spec


def test_clear_empties_and_keeps_the_table(spec: str) -> None:
    assert clear(parse(spec), TableOptions()) == 2
    assert list_rows(spec) == []
    assert clear(parse(spec), TableOptions()) == 0


def test_clear_wants_a_table(directory: Path) -> None:
    with pytest.raises(TableError, match="nothing to clear"):
        clear(parse(f"lmdb:{directory}/relay"), TableOptions())
    assert list(directory.iterdir()) == []


def test_reap_waits_for_grace_after_the_last_owner(spec: str) -> None:
    closed = time.time()
    early = reap(parse(spec), TableOptions(), grace=GRACE)
    assert early.state == "waiting"
    assert GRACE + HEARTBEAT - 60 < early.wait <= GRACE + HEARTBEAT
    assert reap(parse(spec), TableOptions(), grace=GRACE, now=closed + GRACE).state == "waiting"
    assert len(list_rows(spec)) == 2
    late = reap(parse(spec), TableOptions(), grace=GRACE, now=closed + GRACE + HEARTBEAT + 1)
    assert (late.state, late.removed) == ("emptied", 2)
    assert list_rows(spec) == []


@pytest.mark.parametrize(("wait", "shown"), [(45.4, "45 s"), (119.4, "119 s"), (120, "2 min"), (1645, "27 min")])
def test_the_wait_is_shown_in_a_readable_unit(wait: float, shown: str) -> None:
    assert Reaped("waiting", wait=wait).due == f"will be emptied in {shown}"


def test_reap_leaves_no_trace_of_life(spec: str) -> None:
    """Looking again and again must not put the end off."""
    file = parse(spec).file
    assert file is not None
    before = owner_file(file).stat()
    for _ in range(3):
        reap(parse(spec), TableOptions(), grace=GRACE)
    after = owner_file(file).stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)


def test_reap_counts_from_now_when_the_clock_was_set_back(spec: str) -> None:
    file = parse(spec).file
    assert file is not None
    os.utime(owner_file(file), (time.time() + 10 * GRACE,) * 2)
    assert reap(parse(spec), TableOptions(), grace=GRACE).state == "waiting"
    assert reap(parse(spec), TableOptions(), grace=GRACE, now=time.time() + GRACE + HEARTBEAT + 5).state == "emptied"


def test_reap_of_a_table_without_owner_file_starts_the_count(spec: str) -> None:
    file = parse(spec).file
    assert file is not None
    owner_file(file).unlink()
    assert reap(parse(spec), TableOptions(), grace=GRACE).state == "waiting"
    assert reap(parse(spec), TableOptions(), grace=GRACE, now=time.time() + GRACE + HEARTBEAT + 5).state == "emptied"


def test_reap_of_nothing_makes_nothing(directory: Path) -> None:
    assert reap(parse(f"hash:{directory}/relay"), TableOptions(), grace=GRACE).state == "absent"
    assert list(directory.iterdir()) == []


def test_a_live_owner_is_left_alone(spec: str, opened: Opener) -> None:
    opened(spec.split(":")[0])
    assert reap(parse(spec), TableOptions(), grace=0, now=time.time() + 1e6).state == "owned"
    code = "import sys; from pbs_fast.tables import *; from pbs_fast.tables.reap import clear; "
    code += "clear(parse(sys.argv[1]), TableOptions())"
    done = subprocess.run([sys.executable, "-c", code, spec], capture_output=True, text=True, check=False)
    assert f"another pbs-fast (pid {os.getpid()}) owns" in done.stderr
    assert len(list_rows(spec)) == 2


def test_after_kill_9_the_last_heartbeat_counts(spec: str) -> None:
    code = (
        "import sys, time\n"
        "from pbs_fast.tables import open_table\n"
        "table = open_table(sys.argv[1])\n"
        "table.heartbeat()\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, spec], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "up\n"
        beat = time.time()
        assert reap(parse(spec), TableOptions(), grace=0, now=beat + 1e6).state == "owned"
        daemon.send_signal(signal.SIGKILL)
    assert reap(parse(spec), TableOptions(), grace=GRACE, now=beat + GRACE).state == "waiting"
    done = reap(parse(spec), TableOptions(), grace=GRACE, now=beat + GRACE + HEARTBEAT + 1)
    assert (done.state, done.removed) == ("emptied", 2)


def test_reap_does_not_touch_rows_of_others(directory: Path) -> None:
    import lmdb

    pinned: Any = {"lib_version": 0} if hasattr(lmdb.Environment, "lib_version") else {}
    env = lmdb.open(str(directory / "relay.lmdb"), subdir=False, lock=False, **pinned)
    with env.begin(write=True) as txn:
        txn.put(b"example.com", b"OK")
    env.close()
    spec = parse(f"lmdb:{directory}/relay")
    with pytest.raises(TableError, match="not ours"):
        clear(spec, TableOptions())
    reap(spec, TableOptions(), grace=0)
    with pytest.raises(TableError, match="not ours"):
        reap(spec, TableOptions(), grace=0, now=time.time() + 1e6)
    assert list_rows(spec) == [("example.com", "OK")]


def test_nobody_else_can_open_the_lock(directory: Path) -> None:
    """Who can open it, if only for reading, can hold it: then no daemon starts and `reap` waits for ever."""
    old = owner_file(directory / "relay.db")
    old.touch(mode=0o644)
    TableLock(directory / "relay.db").close()
    assert old.stat().st_mode & 0o777 == 0o600
    TableLock(directory / "other.db").close()
    assert owner_file(directory / "other.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "directory"])
def test_what_is_no_plain_file_is_no_lock(kind: str, directory: Path) -> None:
    there = owner_file(directory / "relay.db")
    (directory / "file").write_text("kept")
    match kind:
        case "link":
            there.symlink_to(directory / "file")
        case "hard link":
            there.hardlink_to(directory / "file")
        case "fifo":
            os.mkfifo(there)
        case _:
            there.mkdir()
    with pytest.raises(TableError):
        TableLock(directory / "relay.db")
    assert (directory / "file").read_text() == "kept"


def test_the_record_is_of_the_file_that_was_built(directory: Path) -> None:
    """A daemon that ended because the file is another type's leaves the record by which it can be emptied."""
    table = open_table(f"hash:{directory}/relay", options=TableOptions(grace=77, value="ok {user}"))
    table.rebuild(ROWS)
    table.close()
    other = open_table(f"btree:{directory}/relay")
    with pytest.raises(TableError, match="is a Berkeley DB hash"):
        other.load()
    other.close()
    record = read_record(directory / "relay.db")
    assert record is not None
    assert (str(record.spec), record.grace, record.value) == (f"hash:{directory}/relay", 77, "ok {user}")
    assert clear(parse(f"btree:{directory}/relay"), TableOptions()) == 2


def test_a_removed_owner_file_is_taken_anew(directory: Path) -> None:
    """Else a second daemon would lock a new file and both would write."""
    owner = TableLock(directory / "relay.db")
    owner.path.unlink()
    owner.touch()
    with pytest.raises(TableError, match="is given twice"):
        TableLock(directory / "relay.db", patience=0)
    owner.path.unlink()
    thief = TableLock(directory / "relay.db", patience=0)
    with pytest.raises(TableError, match="is given twice"):
        owner.touch()
    thief.close()
    owner.close()


def test_a_link_and_its_target_have_one_owner(opened: Opener, directory: Path) -> None:
    table = opened("lmdb")
    (directory / "alias.lmdb").symlink_to(directory / "relay.lmdb")
    with pytest.raises(TableError, match="is given twice"):
        clear(parse(f"lmdb:{directory}/alias"), TableOptions())
    table.close()
    assert clear(parse(f"lmdb:{directory}/alias"), TableOptions()) == 0
    assert (directory / "alias.lmdb").is_symlink()
