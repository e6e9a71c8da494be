"""The guards that go by the address alone: what each takes, that it can be switched off, and its counter."""

from __future__ import annotations

import pytest

from ledger.rows import Login, batch
from pbs_fast.config.model import Guards as GuardConfig
from pbs_fast.guards import LOCAL, Refusal
from pbs_fast.guards.deny import DenyList
from pbs_fast.guards.netblocks import Netblocks

from .conftest import MACHINE, Live, MakeGuards

NOW = 1_700_000_000

REFUSED = [
    ("unspecified", ["0.0.0.0", "0.1.2.3", "0.255.255.255", "::"]),  # noqa: S104 - an address to refuse
    ("loopback", ["127.0.0.1", "127.255.255.254", "::1"]),
    ("link_local", ["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"]),
    ("multicast", ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "192.0.2.255"]),
    ("own", ["192.0.2.2", "2001:db8::2", "198.18.0.77"]),
    ("gateway", ["192.0.2.1", "2001:db8::1", "172.17.0.1"]),
    ("proxies", ["203.0.113.80", "2001:db8:80::1"]),
]
PROXIES = ("203.0.113.80", "2001:db8:80::/64")
ALWAYS = [
    ("ipv4_compatible", ["::2", "::192.0.2.7"]),
    ("not_canonical", ["10", "203.0.113.07", "2001:DB8::7", "2001:db8:0::7", "::ffff:203.0.113.7", "", "203.0.113.7 "]),
]
GRANTABLE = [
    *(
        "10.0.0.7",
        "172.16.0.7",
        "192.168.1.7",
        "100.64.0.7",
        "198.51.100.7",
        "203.0.113.7",
        "1.0.0.1",
        "223.255.255.255",
    ),
    *(
        "128.0.0.1",
        "126.255.255.255",
        "2001:db8::7",
        "fc00::7",
        "fec0::1",
        "2002:c000:207::1",
        "::1:0:0:1",
        "192.0.2.3",
    ),
]


@pytest.mark.parametrize(("guard", "ips"), [*REFUSED, *ALWAYS])
def test_refused(make: MakeGuards, guard: str, ips: list[str]) -> None:
    guards = make(proxies=PROXIES)
    for ip in ips:
        assert guards.answer(ip) == guard, ip
        screened = guards.screen(batch([Login(ip, NOW, "bob"), Login("203.0.113.7", NOW)]), Live(), NOW)
        assert screened.batch.ip == ["203.0.113.7"]
        assert screened.batch.user_last == ["alice"]
        assert screened.refused == [Refusal(ip, guard, 1, "bob", "mx", NOW, "test")]
    assert guards.counters == {f"refused_{guard}": len(ips)}


@pytest.mark.parametrize(("guard", "ips"), REFUSED)
def test_each_guard_can_be_switched_off(make: MakeGuards, guard: str, ips: list[str]) -> None:
    off = make(proxies=()) if guard == "proxies" else make(proxies=PROXIES, **{guard: False})
    expected = {"::": "ipv4_compatible", "::1": "ipv4_compatible"}
    assert {ip: off.answer(ip) for ip in ips} == {ip: expected.get(ip, "") for ip in ips}
    others = [(name, ip) for name, addresses in [*REFUSED[:-1], *ALWAYS] if name != guard for ip in addresses]
    assert [(off.answer(ip), ip) for _, ip in others] == others


def test_grantable(make: MakeGuards) -> None:
    guards = make(proxies=PROXIES)
    rows = batch([(ip, NOW) for ip in GRANTABLE])
    screened = guards.screen(rows, Live(), NOW)
    assert screened.batch is rows
    assert screened.refused == []
    assert guards.counters == {}


def test_local_comes_before_all_guards_and_has_its_own_counter(make: MakeGuards) -> None:
    guards = make(mynetworks=["127.0.0.0/8 !203.0.113.9 203.0.113.0/24 [2001:db8::]/32"])
    rows = batch([(ip, NOW) for ip in ("127.0.0.1", "203.0.113.9", "203.0.113.8", "2001:db8::2", "198.51.100.1")])
    screened = guards.screen(rows, Live(), NOW)
    assert screened.batch.ip == ["203.0.113.9", "198.51.100.1"]
    assert [refusal.guard for refusal in screened.refused] == [LOCAL] * 3
    assert guards.counters == {"local": 3}


def test_loop(make: MakeGuards) -> None:
    rows = batch([("203.0.113.1", NOW), ("203.0.113.2", NOW)])
    rows.loop[0] = True
    assert make().screen(rows, Live(), NOW).batch.ip == ["203.0.113.2"]
    assert make(loop=False).screen(rows, Live(), NOW).batch is rows


def test_events_are_counted_not_rows_and_logouts_pass(make: MakeGuards) -> None:
    guards = make()
    logins = [("127.0.0.1", NOW), ("127.0.0.1", NOW + 1), Login("127.0.0.1", NOW, kind="logout"), ("203.0.113.7", NOW)]
    screened = guards.screen(batch(logins, gap=1800, reference=NOW), Live(), NOW)
    assert screened.batch.kind == ["logout", "login"]
    assert guards.counters == {"refused_loopback": 2}


def test_all_columns_stay_together(make: MakeGuards) -> None:
    rows = batch([Login("127.0.0.1", 1, "a"), Login("203.0.113.7", 2, "b", "cyrus", host="h2"), Login("::1", 3)])
    kept = make().screen(rows, Live(), NOW).batch
    assert (kept.source, kept.ip, kept.first, kept.last, kept.offset) == ("test", ["203.0.113.7"], [2], [2], [1])
    assert (kept.user_first, kept.format, kept.host, len(kept)) == (["b"], ["cyrus"], ["h2"], 1)


def test_the_cache_is_bounded_and_dropped_on_reload(make: MakeGuards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbs_fast.guards.answers.MAX_ANSWERS", 10)
    guards = make()
    for start in range(0, 100, 5):
        guards.screen(batch((f"203.0.113.{start + at}", NOW) for at in range(5)), Live(), NOW)
        assert len(guards._answers) <= 15
    assert guards.answer("203.0.113.99") == ""
    guards.reload(GuardConfig(proxies=("203.0.113.99",)), Netblocks(), MACHINE, DenyList())
    assert guards.answer("203.0.113.99") == "proxies"


@pytest.mark.parametrize("mynetworks", [(), ("198.51.100.0/24", "64.0.0.0/3"), ("0.0.0.0/0",), ("2001:db8::/32",)])
def test_a_batch_is_judged_as_its_addresses_are(make: MakeGuards, mynetworks: tuple[str, ...]) -> None:
    """A batch of new addresses goes a quicker way than a single one."""
    ips = [
        f"{first}.{second}.100.{last}" for first in range(256) for second in (0, 18, 51, 254) for last in (0, 2, 255)
    ]
    ips += ["::", "::1", "2001:db8::2", "2a00::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1", "10", "1.2.3.04", "", "é"]
    ips += ["2A00::1", "2a00:0::1", "2a00::1%eth0", "::2.0.0.1", "1.2.3.4 ", "1.2.3.4\0", "\ud800", "1.2.3.256"]
    one_by_one, together = (
        make(mynetworks=mynetworks, proxies=("8.0.100.0/30",)),
        make(mynetworks=mynetworks, proxies=("8.0.100.0/30",)),
    )
    expected = {ip: name for ip in ips if (name := one_by_one.answer(ip))}
    screened = together.screen(batch(Login(ip, NOW) for ip in ips), Live(), NOW)
    assert {refusal.ip: refusal.guard for refusal in screened.refused} == expected
    if not mynetworks:
        assert set(expected.values()) >= {"loopback", "unspecified", "not_canonical", "proxies", "own", "multicast"}
