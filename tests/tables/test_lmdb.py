"""What only `lmdb:` does: its map grows, its format is pinned, Exim gets a file of its own under LMDB's own locks."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pbs_fast.errors import TableError
from pbs_fast.events import Delta
from pbs_fast.tables import open_table
from pbs_fast.tables.types.lmdb_exim import EximLmdbTable, lock_file
from tables.conftest import EXIM_LMDB, Opener, Reader, grant

SIX = "2001:db8::a:0:0:b"
SIX_KEY = "2001.0db8.0000.0000.000a.0000.0000.000b"
MANY = {f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}": grant() for i in range(20_000)}

#: Reads as Exim does (lookups/lmdb.c): NOSUBDIR, RDONLY, LMDB's locks, one read transaction for the process's life.
AS_EXIM = """
import lmdb, sys
env = lmdb.open(sys.argv[1], subdir=False, readonly=True, lock=True, create=False, map_size=0)
with env.begin() as txn:
    for line in sys.stdin:
        print((txn.get(line.strip().encode()) or b"none").decode(), flush=True)
"""


class AsExim:
    """A process that opens the table now and keeps what it sees; real Exims are in test_exim.py."""

    def __init__(self, file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", AS_EXIM, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.get("the table is open now")

    @property
    def pid(self) -> int:
        return self._process.pid

    def get(self, key: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{key}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> AsExim:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def exim_table(opened: Opener) -> tuple[EximLmdbTable, Path]:
    table = opened(EXIM_LMDB)
    assert isinstance(table, EximLmdbTable)
    table.rebuild({SIX: grant()})
    return table, table.file


def test_the_format_is_pinned(directory: Path) -> None:
    code = f"from pbs_fast.tables import open_table\nopen_table('lmdb:{directory}/relay').rebuild({{}})"
    environment = {**os.environ, "LMDB_DEFAULT_LIB_VERSION": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert (directory / "relay.lmdb").read_bytes()[20:24] == (1).to_bytes(4, sys.byteorder)


def test_a_newer_format_is_refused(opened: Opener, directory: Path) -> None:
    import lmdb

    if not hasattr(lmdb.Environment, "lib_version"):
        pytest.skip("this py-lmdb knows one format")
    made = lmdb.open(str(directory / "relay.lmdb"), subdir=False, lock=False, lib_version=1)
    with made.begin(write=True) as txn:
        txn.put(b"203.0.113.5", b"ok")
    made.close()
    with pytest.raises(TableError, match="LMDB data format"):
        opened("lmdb").load()


@pytest.mark.parametrize("kind", ["lmdb", EXIM_LMDB])
def test_the_map_grows(kind: str, opened: Opener, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lmdb", "lmdb_exim"):
        monkeypatch.setattr(f"pbs_fast.tables.types.{module}.MAP_SIZE", 64 << 10)
    table = opened(kind)
    table.rebuild({f"10.1.{i >> 8}.{i & 255}": grant() for i in range(3000)})
    for start in range(0, 6000, 2000):
        table.apply(Delta({f"10.2.{i >> 8}.{i & 255}": grant() for i in range(start, start + 2000)}))
    assert len(reader.rows(opened.spec(kind))) == 9000


def test_exim_keeps_what_it_opened(opened: Opener) -> None:
    """Pages that a reader needs are not used again, and each new reader sees the newest rows."""
    table, file = exim_table(opened)
    with AsExim(file) as old:
        assert old.get(SIX_KEY) == "ok"
        assert old.get(SIX) == "none"
        for i in range(200):
            table.apply(Delta({f"192.0.2.{i}": grant()}, (SIX, f"192.0.2.{i - 1}")))
        table.apply(Delta(MANY))
        assert old.get(SIX_KEY) == "ok"
        assert old.get("10.0.0.77") == "none"
        with AsExim(file) as new:
            assert [new.get(key) for key in (SIX_KEY, "192.0.2.199", "192.0.2.198")] == ["none", "ok", "none"]
            table.rebuild({SIX: grant()})
            assert new.get("192.0.2.199") == "ok"
            with AsExim(file) as newest:
                assert [newest.get(key) for key in (SIX_KEY, "192.0.2.199")] == ["ok", "none"]
        assert old.get(SIX_KEY) == "ok"


@pytest.mark.parametrize("changes", range(4))
def test_exim_that_opens_between_the_two_renames(changes: int, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new lock file chooses one of the two newest states of the old data: all older changes are in both."""
    table, file = exim_table(opened)
    for i in range(changes):
        table.apply(Delta({f"192.0.2.{i}": grant()}))
    answers: list[str] = []

    def install(_: EximLmdbTable, target: Path) -> None:
        lock_file(target).rename(lock_file(file))
        with AsExim(file) as between:
            answers.extend(between.get(key) for key in (SIX_KEY, *(f"192.0.2.{i}" for i in range(changes - 1))))
        target.rename(file)

    monkeypatch.setattr(EximLmdbTable, "_install", install)
    table.rebuild({SIX: grant()})
    assert answers == ["ok"] * max(1, changes)


def test_the_lock_file(opened: Opener, reader: Reader) -> None:
    table, file = exim_table(opened)
    lock = lock_file(file)
    assert stat.S_IMODE(lock.stat().st_mode) == 0o660
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, lock.name, f"{file.name}.owner"]
    lock.unlink()
    table.heartbeat()
    assert lock.exists(), "put back, with the file"
    assert reader.rows(opened.spec(EXIM_LMDB)) == {SIX: "ok"}


def test_slots_of_killed_exims_are_freed(opened: Opener) -> None:
    table, file = exim_table(opened)
    reading = AsExim(file)
    assert f"{reading.pid} " in table._env.readers()
    reading.kill()
    assert f"{reading.pid} " in table._env.readers()
    table.heartbeat()
    assert f"{reading.pid} " not in table._env.readers()


def test_one_file_never_serves_postfix_and_exim(opened: Opener, reader: Reader) -> None:
    """Switched to Exim, the table that Postfix reads stays as it is: Postfix does not see LMDB's own locks."""
    postfix = opened("lmdb")
    postfix.rebuild({SIX: grant()})
    postfix.close()
    assert postfix.file is not None
    before = postfix.file.read_bytes()
    both = opened("lmdb"), opened(EXIM_LMDB)
    assert both[1].load() == {}
    both[1].rebuild({"203.0.113.5": grant()})
    assert postfix.file.read_bytes() == before
    assert both[0].file != both[1].file
    for table in both:
        table.close()
    assert postfix.file.read_bytes() == before
    assert reader.rows(opened.spec(EXIM_LMDB)) == {"203.0.113.5": "ok"}


def test_exims_group_must_be_there(directory: Path, opened: Opener, reader: Reader) -> None:
    with pytest.raises(TableError, match=r"relay.exim-lmdb-lock to group nonesuch \(there is no such group\).*group="):
        open_table(f"lmdb:{directory}/relay?keys=exim&group=nonesuch")
    assert [path.name for path in directory.iterdir()] == ["relay.exim-lmdb.owner"], "no litter"
    table, file = exim_table(opened)
    table._options = table._options.__class__(group="nonesuch")
    with pytest.raises(TableError, match="to group nonesuch"):
        table.rebuild({})
    names = sorted(path.name for path in directory.iterdir())
    assert names == [file.name, f"{file.name}-lock", f"{file.name}.owner"], "no litter, and the old pair stands"
    assert reader.rows(opened.spec(EXIM_LMDB)) == {SIX: "ok"}


def test_names_of_users_are_for_exims_group(opened: Opener) -> None:
    table = opened("lmdb?keys=exim&group=mail", value="ok {user}")
    table.rebuild({SIX: grant(user="ann")})
    assert table.file is not None
    assert stat.S_IMODE(table.file.stat().st_mode) == 0o640
    assert (table.file.group(), lock_file(table.file).group()) == ("mail", "mail")


def test_a_lock_file_left_alone_harms_nothing(opened: Opener, directory: Path) -> None:
    table, file = exim_table(opened)
    table.close()
    shutil.copy(lock_file(file), directory / "other.exim-lmdb-lock")
    again = open_table(f"lmdb:{directory}/other?keys=exim&group=root")
    again.apply(Delta({SIX: grant()}))
    with AsExim(directory / "other.exim-lmdb") as reading:
        assert reading.get(SIX_KEY) == "ok"
    again.close()


@pytest.mark.parametrize("later", [0, 1, 2])
@pytest.mark.parametrize("changes", [0, 1, 2])
def test_exim_with_the_old_data_and_the_new_locks_has_all_rows(
    changes: int, later: int, opened: Opener, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opened the data before a rename and the lock file after it, perhaps when the new pair was changed already: the
    lock file's number chooses between the two newest states of the old data."""
    rows = {f"10.0.0.{n}": grant() for n in range(50)}
    table = opened(EXIM_LMDB)
    table.rebuild(rows)
    for n in range(changes):
        table.apply(Delta({f"192.0.2.{n}": grant()}))
    missing: list[str] = []

    def install(self: EximLmdbTable, target: Path) -> None:
        lock_file(target).rename(lock_file(self.file))
        for n in range(later):
            with self._built.begin(write=True) as txn:
                txn.put(b"198.51.100.%d" % n, b"ok")
        missing.extend(rows.keys() - reader.rows(opened.spec(EXIM_LMDB), list(rows)).keys())
        target.rename(self.file)

    monkeypatch.setattr(EximLmdbTable, "_install", install)
    table.rebuild(rows)
    assert not missing


#: Adds a row as another program would, under the lock that Postfix's readers take.
ADDS = """
import fcntl, sys
from pathlib import Path
from pbs_fast.tables.types.lmdb import MAP_SIZE, environment
env = environment(Path(sys.argv[1]), map_size=MAP_SIZE)
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    with env.begin(write=True) as txn:
        txn.put(b"192.0.2.99", b"ok")
"""


def test_rows_of_another_program_are_noticed_by_the_change_itself(
    opened: Opener, reader: Reader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = opened("lmdb")
    table.rebuild({SIX: grant()})
    table.apply(Delta({"203.0.113.5": grant()}))
    subprocess.run([sys.executable, "-c", ADDS, str(table.file)], check=True)
    # As if it had set the file's times back.
    monkeypatch.setattr("pbs_fast.tables.file.states.LastSeen.unaltered", lambda _: True)
    table.apply(Delta({"203.0.113.6": grant()}))
    assert "another program; restored" in caplog.text
    assert set(reader.rows(table.spec)) == {SIX, "203.0.113.5", "203.0.113.6"}


def test_a_lock_file_that_is_gone_is_noticed_at_a_change(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    table = opened(EXIM_LMDB)
    table.rebuild({SIX: grant()})
    table.apply(Delta({"203.0.113.5": grant()}))
    assert table.file is not None
    lock_file(table.file).unlink()
    table.apply(Delta({"203.0.113.6": grant()}))
    assert "another program; restored" in caplog.text
    assert lock_file(table.file).exists()
