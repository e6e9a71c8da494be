"""`socketmap:` with `prefix6`: an IPv6 login opens the relay for its network, no wider one, and only if asked to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.postfix import require_postfix, running
from pbs_fast.errors import UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import open_table
from pbs_fast.tables.served.rows import Rows
from pbs_fast.tables.socketmap.table import Answer
from tables.conftest import Opener, Reader, grant

A, B = "203.0.113.5", "203.0.113.6"
FIRST, SECOND, NEAR, FAR = "2001:db8:1:2::5", "2001:db8:1:2:a:b:c:d", "2001:db8:1:2:ffff::1", "2001:db8:1:3::5"


def test_a_network_holds_as_long_as_one_of_its_rows(opened: Opener, reader: Reader) -> None:
    now = [1000.0]
    table = opened("socketmap?prefix6=64", now=lambda: now[0])
    table.rebuild({FIRST: grant(1060), A: grant(1060)})

    def there(*asked: str) -> list[str]:
        return list(reader.rows(opened.spec("socketmap"), asked))

    assert there(FIRST, NEAR, FAR, A, B) == [FIRST, NEAR, A]
    table.apply(Delta({SECOND: grant(1120)}))
    now[0] = 1100.0
    assert there(FIRST, NEAR, A) == [FIRST, NEAR], "its neighbour still holds"
    table.apply(Delta({}, (FIRST,)))
    assert there(NEAR) == [NEAR]
    table.apply(Delta({}, (SECOND,)))
    assert there(FIRST, SECOND, NEAR) == []


def test_off_unless_asked_for(opened: Opener, reader: Reader) -> None:
    table = opened("socketmap")
    table.rebuild({FIRST: grant()})
    assert list(reader.rows(opened.spec("socketmap"), [FIRST, NEAR, SECOND])) == [FIRST]


@pytest.mark.parametrize("bits", ["", "0", "48", "55", "65", "128", "-64", "6 4", "/64", "\u0666\u0664"])
def test_no_network_is_wider_than_56(bits: str) -> None:
    with pytest.raises(UsageError, match=r"prefix6"):
        open_table(f"socketmap:unix:/nowhere/sock:pbs?prefix6={bits}")


def test_smtpd_lets_the_network_relay_and_no_other(opened: Opener) -> None:
    require_postfix("socketmap")
    table = opened("socketmap?prefix6=60")
    table.rebuild({"2001:db8:0:f::1": grant()})
    with running(table.spec) as postfix:
        for client in ("2001:db8:0:f::1", "2001:db8::ffff", "2001:db8:0:a:1:2:3:4"):
            assert postfix.rcpt(client).relayed
        for client in ("2001:db8:0:10::1", "2001:db8:1:f::1", "2001:db9:0:f::1"):
            assert postfix.rcpt(client).denied
        table.apply(Delta({}, ("2001:db8:0:f::1",)))
        assert postfix.rcpt("2001:db8:0:f::1").denied
        assert postfix.postmap("2001:db8::ffff", table.spec) is None


#: Addresses of which some share a network of 56 or 64 bits.
CLOSE = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)).map(
    lambda n: f"2001:db8:0:{n[0]}0{n[1]}::{n[2]}"
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove"]), CLOSE | st.just(A), st.integers(1, 9)), max_size=30
)
WIDER = {"asked": 0, "by network": 0}


@given(CHANGES, st.sampled_from([None, 56, 64]))
def test_networks_hold_as_long_as_their_longest_row(changes: list[tuple[str, str, int]], bits: int | None) -> None:
    rows: Rows[Answer] = Rows(bits)
    truth: dict[str, int] = {}
    for do, ip, end in changes:
        if do == "put":
            rows.put({ip: Answer(end, b"OK")})
            truth[ip] = end
        else:
            rows.remove(ip)
            truth.pop(ip, None)
    for asked in {*(ip for _, ip, _ in changes), "2001:db8:0:101::99", "2001:db8:0:301::99", A, B}:
        ends = [end for ip, end in truth.items() if ip == asked or (bits and _same_network(ip, asked, bits))]
        found = rows.find(asked)
        assert (found and found[0]) == max(ends, default=None)
        WIDER["asked"] += 1
        WIDER["by network"] += bool(ends) and asked not in truth
    assert rows.exact.keys() == truth.keys()


def _same_network(one: str, other: str, bits: int) -> bool:
    return ":" in one and ":" in other and ip_address(other) in ip_network(f"{one}/{bits}", strict=False)


def test_the_changes_above_met_networks() -> None:
    """Runs after the property: a fair share of its questions was answered by a neighbour's row."""
    if not WIDER["asked"]:
        pytest.skip("the property did not run")
    assert WIDER["by network"] >= 0.03 * WIDER["asked"], WIDER
