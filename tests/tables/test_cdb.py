"""`cdb:` beside what Postfix itself writes and reads, and beside files that only look like one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.postfix import require_postfix
from pbs_fast.errors import TableError
from pbs_fast.events import Delta
from pbs_fast.tables import list_rows
from pbs_fast.tables.file.base import BUSY_SHARE
from pbs_fast.tables.file.mtimes import WINDOW
from pbs_fast.tables.types.cdb import BUCKETS, HEAD, CdbTable, _parts, _records, key_hash
from tables.conftest import Opener, grant


def test_reads_what_postmap_writes(directory: Path) -> None:
    require_postfix("cdb")
    rows = {f"10.0.{i >> 8}.{i & 255}": f"ok {i}" for i in range(3000)}
    (directory / "relay").write_text("".join(f"{key} {value}\n" for key, value in rows.items()))
    subprocess.run(["postmap", "-n", f"cdb:{directory}/relay"], check=True)
    assert dict(list_rows(f"cdb:{directory}/relay")) == rows
    (directory / "relay").write_text("")
    subprocess.run(["postmap", f"cdb:{directory}/relay"], check=True)
    assert list_rows(f"cdb:{directory}/relay") == []


def test_postmap_finds_every_row(opened: Opener) -> None:
    """Through all buckets, full slots and wrapped-round searches; and nothing that is not there."""
    require_postfix("cdb")
    rows = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(20_000)]
    table = opened("cdb")
    table.rebuild(dict.fromkeys([*rows, "2001:db8::1"], grant()))
    asked = [*rows, "2001:db8::1", "2001:db8::2", "11.0.0.1", "10"]
    done = subprocess.run(
        ["postmap", "-q", "-", table.spec], input="\n".join(asked) + "\n", capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert done.stdout.splitlines() == [f"{key}\tok" for key in [*rows, "2001:db8::1"]]


def test_the_empty_table_is_never_zero_length(opened: Opener) -> None:
    table = opened("cdb")
    assert table.file is not None
    assert table.file.stat().st_size == HEAD
    table.rebuild({"203.0.113.5": grant()})
    table.apply(Delta({}, ("203.0.113.5",)))
    assert table.file.stat().st_size == HEAD


def test_the_window_grows_with_the_time_of_a_rebuild(opened: Opener) -> None:
    table = opened("cdb")
    for rows, least in ((1, 0.0), (50_000, 0.2)):
        start = time.monotonic()
        table.rebuild({f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}": grant() for i in range(rows)})
        assert least < table.window <= max(WINDOW, (time.monotonic() - start) / BUSY_SHARE)


@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=20), max_size=200))
def test_what_is_written_is_found_by_the_format_s_rules(rows: dict[bytes, bytes]) -> None:
    content = b"".join(_parts(rows.items()))
    assert dict(_records(content)) == rows
    assert all(_look_up(content, key) == value for key, value in rows.items())
    assert _look_up(content, b"no such key, longer than any of those above") is None


def _look_up(content: bytes, key: bytes) -> bytes | None:
    """As the format describes a search (cr.yp.to/cdb/cdb.txt), apart from the code under test."""

    def word(at: int) -> int:
        return int.from_bytes(content[at : at + 4], "little")

    number = 5381
    for byte in key:
        number = ((number << 5) + number & 0xFFFFFFFF) ^ byte
    assert number == key_hash(key)
    table, slots = word(number % BUCKETS * 8), word(number % BUCKETS * 8 + 4)
    for probe in range(slots):
        slot = table + 8 * ((number // 256 + probe) % slots)
        record = word(slot + 4)
        if record == 0:
            return None
        if word(slot) == number and content[record + 8 : record + 8 + word(record)] == key:
            value = record + 8 + word(record)
            return content[value : value + word(record + 4)]
    return None


@pytest.mark.parametrize("cut", [1, 8, 500, 2047, 2048, 2060])
def test_a_file_cut_short_is_refused(cut: int, directory: Path) -> None:
    content = b"".join(_parts({b"203.0.113.5": b"ok", b"203.0.113.6": b"ok"}.items()))
    assert cut < len(content)
    (directory / "relay.cdb").write_bytes(content[:cut])
    with pytest.raises(TableError, match=r"(is not a cdb file|is damaged).*move it away"):
        CdbTable.pairs(directory / "relay.cdb", wait=0)
