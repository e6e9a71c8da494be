"""One contract, all tables: the rows of each type as a second process sees them. What only files do: test_files.py.

The rows of a table that is served nobody can list, so the reader asks for every key of this module instead.
"""

from __future__ import annotations

import time

import pytest

from pbs_fast.events import Delta
from pbs_fast.tables import Table
from pbs_fast.tables.queue import Pending
from pbs_fast.tables.registry import TYPES
from tables.conftest import (
    ACTED_ON,
    EXEC,
    EXIM_TYPES,
    FILE_TYPES,
    OTHER_TYPES,
    SERVED_TYPES,
    Opener,
    Reader,
    grant,
    value_of,
)

KEYS = ["203.0.113.5", "255.255.255.255", "2001:db8::1", "2001:db8:1:2:3:4:5:6", "::1.2.3.4", "fe80::1"]
NOT_KEYS = ["10", "10.0.0", "203.0.113.005", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "::ffff:203.0.113.5", "[::1]", ""]
OTHERS = ["203.0.113.6", "203.0.113", "2001:db8::", "2001:db8::2"]

SEEN_TYPES = (*FILE_TYPES, *EXIM_TYPES, *OTHER_TYPES, EXEC, *SERVED_TYPES)
#: What is answered for an unknown address before the first `rebuild`; DUNNO leaves it to the table behind.
UNREAD: dict[str, set[str]] = {
    "socketmap": {"TEMP the log is still being read"},
    "policy": set(),
    "policy?alone": {"DEFER 4.3.0 the log is still being read"},
}
all_types = pytest.mark.parametrize("kind", [*(name for name in TYPES if name != "exec"), EXEC])
seen_types = pytest.mark.parametrize("kind", SEEN_TYPES)


def test_every_type_is_walked() -> None:
    assert {*FILE_TYPES, *OTHER_TYPES, "exec"} == {name for name, kind in TYPES.items() if kind.suffix is not None}
    assert {kind.partition("?")[0] for kind in SEEN_TYPES} == set(TYPES) - {"null"}
    exim = {f"{name}?keys={keys}" for name, kind in TYPES.items() for keys in kind.options.get("keys", ())}
    assert {kind.partition("&")[0] for kind in EXIM_TYPES} == exim


@all_types
def test_load_gives_what_was_applied(kind: str, opened: Opener) -> None:
    table = opened(kind)
    table.rebuild({KEYS[0]: grant()})
    table.apply(Delta({KEYS[2]: grant(), KEYS[1]: grant()}, ()))
    table.apply(Delta({}, (KEYS[0], "198.51.100.1")))
    assert sorted(table.load()) == sorted(KEYS[1:3])
    assert {row.value for row in table.load().values()} == {value_of(kind)}


class Seen:
    """A table of ours and what a second process sees in it."""

    def __init__(self, kind: str, opened: Opener, reader: Reader) -> None:
        self.kind = kind
        self.spec = opened.spec(kind)
        self.table = opened(kind)
        self._reader = reader

    def rows(self) -> dict[str, str]:
        return self._reader.rows(self.spec, [*KEYS, *OTHERS])

    @property
    def ours(self) -> list[str]:
        """The addresses seen, in the order of KEYS, and nothing else is."""
        rows = self.rows()
        assert set(rows.values()) <= {value_of(self.kind)}, rows
        assert set(rows) <= set(KEYS), rows
        return [key for key in KEYS if key in rows]


@pytest.fixture(params=SEEN_TYPES)
def seen(request: pytest.FixtureRequest, opened: Opener, reader: Reader) -> Seen:
    return Seen(request.param, opened, reader)


def test_second_process_sees_every_change_at_once(seen: Seen) -> None:
    if seen.kind not in SERVED_TYPES:
        assert seen.ours == [], "the empty table stands there as soon as it is opened"
    seen.table.rebuild({})
    assert seen.ours == []
    for number, key in enumerate(KEYS, 1):
        seen.table.apply(Delta({key: grant()}))
        assert seen.ours == KEYS[:number]
    for number, key in enumerate(KEYS, 1):
        seen.table.apply(Delta({}, (key,)))
        assert seen.ours == KEYS[number:]


def test_two_deltas_in_one_breath(seen: Seen) -> None:
    seen.table.rebuild({KEYS[5]: grant()})
    seen.table.apply(Delta({KEYS[0]: grant(), KEYS[1]: grant()}, (KEYS[5],)))
    seen.table.apply(Delta({KEYS[2]: grant(), KEYS[5]: grant()}, (KEYS[1],)))
    assert seen.ours == [KEYS[0], KEYS[2], KEYS[5]]


def test_five_deltas_in_a_second(seen: Seen) -> None:
    """Each is right in any case; that five fell into one whole second, which Postfix compares, needs a calm moment."""
    for _ in range(60):
        seen.table.rebuild({KEYS[2]: grant()})
        while time.time() % 1 > 0.1:
            time.sleep(0.005)
        second = int(time.time())
        views = []
        for i in range(5):
            seen.table.apply(Delta({KEYS[i]: grant()}, (KEYS[i - 1],)))
            views.append(seen.ours)
        assert views == [[KEYS[0], KEYS[2]], [KEYS[1], KEYS[2]], [KEYS[2]], [KEYS[3]], [KEYS[4]]]
        if int(time.time()) == second:
            return
    pytest.fail("five changes never fell into one second")


@pytest.mark.parametrize("key", NOT_KEYS)
def test_only_canonical_addresses_become_keys(seen: Seen, key: str) -> None:
    seen.table.rebuild({key: grant(), KEYS[0]: grant()})
    assert seen.table.refused == 1
    seen.table.apply(Delta({key: grant(), KEYS[2]: grant()}))
    assert seen.table.refused == 2
    assert seen.ours == [KEYS[0], KEYS[2]]
    assert sorted(seen.table.load()) == sorted([KEYS[0], KEYS[2]])


def test_twenty_thousand_rows(seen: Seen) -> None:
    rows = {f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}": grant() for i in range(20_000)}
    seen.table.rebuild(rows)
    seen.table.apply(Delta({KEYS[2]: grant()}, ("10.0.0.0",)))
    expected = {*rows, KEYS[2]} - {"10.0.0.0"}
    there = seen.rows()
    assert set(there) == (expected if seen.kind not in SERVED_TYPES else {KEYS[2]})
    assert set(seen.table.load()) == expected


def test_reopened_table_keeps_its_rows(seen: Seen, opened: Opener) -> None:
    seen.table.rebuild(dict.fromkeys(KEYS, grant()))
    seen.table.close()
    if seen.kind in SERVED_TYPES:  # it keeps nothing, and says so until the log was read
        again = opened(seen.kind)
        assert set(seen.rows().values()) == UNREAD[seen.kind]
        again.apply(Delta({KEYS[1]: grant()}))
        assert seen.rows()[KEYS[1]] == value_of(seen.kind)
        again.rebuild(dict.fromkeys(KEYS[1:], grant()))
        assert seen.ours == KEYS[1:]
        return
    assert seen.ours == KEYS, "closing empties nothing"
    again = opened(seen.kind)
    assert sorted(again.load()) == sorted(KEYS)
    again.apply(Delta({}, (KEYS[0],)))  # before any rebuild: the other rows stay
    assert seen.ours == KEYS[1:]


@pytest.mark.parametrize(
    "kind",
    [kind for kind in SEEN_TYPES if kind.partition("?")[0] != "text" and kind not in (*ACTED_ON, EXEC)],
)
def test_values_that_name_users_and_ends(kind: str, opened: Opener, reader: Reader) -> None:
    table = opened(kind, value="ok {user} {expires}")
    table.rebuild({})
    table.apply(Delta({KEYS[0]: grant(1_900_000_000, "ann@here.test"), KEYS[2]: grant(1_900_000_001, "a b\0")}))
    rows = reader.rows(opened.spec(kind), KEYS)
    assert rows == {KEYS[0]: "ok ann@here.test 1900000000", KEYS[2]: "ok a?b? 1900000001"}
    table.apply(Delta({KEYS[0]: grant(1_900_000_900, "ann@here.test", "renewed")}))
    assert reader.rows(opened.spec(kind), KEYS)[KEYS[0]] == "ok ann@here.test 1900000900"
    assert table.load()[KEYS[0]].expires == 1_900_000_900
    assert table.load()[KEYS[0]].user == "ann@here.test"


@pytest.mark.parametrize("kind", [kind for kind in SEEN_TYPES if kind not in SERVED_TYPES])
def test_no_row_is_missing_across_rebuilds_and_restarts(kind: str, opened: Opener, reader: Reader) -> None:
    rows = {f"10.0.{i >> 8}.{i & 255}": grant() for i in range(500)}
    table = opened(kind)
    table.rebuild(rows)
    reader.watch(opened.spec(kind), list(rows))
    for i in range(12):
        _publish(table, Delta({f"192.0.2.{i}": grant()}, (f"192.0.2.{i - 1}",)))
        table.close()
        table = opened(kind)
        _publish(table, Delta({f"192.0.2.{i + 100}": grant()}))
        table.rebuild(rows)
    result = reader.watched()
    assert result["missing"] == []
    assert result["errors"] == []
    assert result["polls"] >= 10


def _publish(table: Table, delta: Delta) -> None:
    """As the daemon does: what a reader's lock kept off is tried again."""
    pending = Pending(table)
    pending.add(delta)
    while not pending.flush(now=True):
        assert "lock" in str(pending.failing)
