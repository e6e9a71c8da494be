"""Files that never shrink by themselves are made small while in use, seldom, and never at a row's cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.postfix import require_postfix, running
from pbs_fast.errors import TableError
from pbs_fast.events import Delta
from pbs_fast.tables import Table
from tables.conftest import EXIM_LMDB, Opener, Reader, grant

A, B = "203.0.113.5", "2001:db8::6"
MANY = {f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}": grant() for i in range(20_000)}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of some hundred kB count as large."""
    monkeypatch.setattr("pbs_fast.tables.file.compact.LEAST_BYTES", 1 << 15)
    monkeypatch.setattr("pbs_fast.tables.types.hash.BUCKETS", 8)


def grow_and_shrink(table: Table) -> int:
    """The table's size after it held many rows more; it stays so large."""
    table.apply(Delta(MANY))
    assert table.file is not None
    full = table.file.stat()
    table.heartbeat()
    assert table.file.stat().st_ino == full.st_ino, "a full file is not built anew"
    table.apply(Delta({}, tuple(MANY)))
    assert table.file.stat().st_ino == full.st_ino
    assert table.file.stat().st_size >= full.st_size > 8 << 15
    return full.st_size


@pytest.mark.parametrize("kind", ["hash", "lmdb", EXIM_LMDB])
def test_a_loose_file_is_made_small_once_an_hour(
    kind: str, opened: Opener, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pbs_fast.tables.types.lmdb.SPARE", 0)  # the room that a small file is given on purpose
    table = opened(kind)
    table.rebuild({A: grant()})
    assert table.file is not None
    full = grow_and_shrink(table)
    table.heartbeat()
    assert table.file.stat().st_size < full / 8
    assert reader.rows(opened.spec(kind)) == {A: "ok"}
    table.apply(Delta({B: grant()}))
    assert reader.rows(opened.spec(kind)) == {A: "ok", B: "ok"}
    full = grow_and_shrink(table)
    table.heartbeat()
    assert table.file.stat().st_size >= full, "not twice an hour"
    monkeypatch.setattr("pbs_fast.tables.file.compact.COMPACT_SECONDS", 0.0)
    table.heartbeat()
    assert table.file.stat().st_size < full / 8


@pytest.mark.parametrize("kind", ["hash", "lmdb", EXIM_LMDB])
def test_where_it_cannot_be_made_small_it_goes_on_as_it_is(
    kind: str, opened: Opener, reader: Reader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = opened(kind)
    table.rebuild({A: grant()})
    assert table.file is not None
    grow_and_shrink(table)
    before = table.file.stat().st_ino

    def full_disk(target: Path, _: object) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table, "_build", full_disk)
    table.heartbeat()
    assert "No space left on device" in caplog.text
    assert not list(table.file.parent.glob("*.tmp*"))
    table.apply(Delta({B: grant()}))
    table.heartbeat()
    assert table.file.stat().st_ino == before
    assert reader.rows(opened.spec(kind)) == {A: "ok", B: "ok"}
    table.file.unlink()
    with pytest.raises(TableError, match="No space left"):
        table.heartbeat()


@pytest.mark.parametrize("kind", ["hash", "lmdb"])
def test_under_a_running_smtpd(kind: str, opened: Opener) -> None:
    """Each next connection sees the small file, an open one keeps the rows of the old one: one restart, no fault."""
    require_postfix(kind)
    table = opened(kind)
    table.rebuild({A: grant()})
    with running(table.spec) as postfix:
        grow_and_shrink(table)
        assert postfix.rcpt(A).relayed
        restarts = postfix.logged().count("has changed -- restarting")
        with postfix.session(A) as session:
            assert session.rcpt().relayed
            assert table.file is not None
            before = table.file.stat().st_ino
            table.heartbeat()
            assert table.file.stat().st_ino != before
            table.apply(Delta({B: grant()}, (A,)))
            assert session.rcpt().relayed, "the view of the old file, whole"
            assert session.rcpt("x@other.test").relayed
        assert postfix.rcpt(A).denied
        assert postfix.rcpt(B).relayed
        assert postfix.logged().count("has changed -- restarting") == restarts + 1
        assert [postfix.postmap(ip, table.spec) for ip in (A, B)] == [None, "ok"]
