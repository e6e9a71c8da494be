"""Addresses as integers against `ipaddress`, the library that is right and slow."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.util.addresses import Network, NetworkTable, canonical, parse, parse_canonical, parse_network

V4 = st.integers(0, 2**32 - 1).map(lambda value: str(ipaddress.IPv4Address(value)))
V6 = st.integers(0, 2**128 - 1).map(lambda value: str(ipaddress.IPv6Address(value)))


@given(st.one_of(V4, V6, st.text(max_size=20), st.text("0123456789.:af", max_size=20)))
def test_parse_takes_what_ipaddress_takes(text: str) -> None:
    try:
        expected = ipaddress.ip_address(text)
    except ValueError:
        assert parse(text) is None
        assert canonical(text) is None
        assert parse_canonical(text) is None
        return
    if expected.version == 6 and expected.scope_id is not None:
        assert parse(text) is None
        return
    mapped = expected.ipv4_mapped if isinstance(expected, ipaddress.IPv6Address) else None
    result = mapped or expected
    assert parse(text) == (result.max_prefixlen, int(result))
    own = canonical(text)
    assert own is not None
    assert ipaddress.ip_address(own) == result
    assert parse_canonical(own) == parse(text)
    assert (parse_canonical(text) is not None) == (text == own)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::192.0.2.1", "::192.0.2.1"),
        ("fe80::1%eth0", None),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("10", None),
        ("192.0.2.1\n", None),
        ("192.0.2.1\0", None),
        ("\ud800", None),
        ("192.0.2.1/32", None),
        ("", None),
    ],
)
def test_canonical_text(text: str, expected: str | None) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("192.0.2.1/24", "has bits set after its prefix; write 192.0.2.0/24"),
        ("2001:db8::1/64", "has bits set after its prefix; write 2001:db8::/64"),
        ("192.0.2.0/33", "has a prefix length that no such address has"),
        ("2001:db8::/129", "has a prefix length that no such address has"),
        ("::ffff:192.0.2.0/95", "has a prefix length that no such address has"),
        ("192.0.2.0/", "has no prefix length after the /"),
        ("192.0.2.0/255.255.255.0", "has no prefix length after the /"),
        ("192.0.2.0/²", "has no prefix length after the /"),
        ("192.168", "is no address and no network"),
    ],
)
def test_what_is_wrong_with_a_network(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_network(text)


def test_text_of_networks() -> None:
    for text in ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::/0", "0.0.0.0/0"):
        assert str(parse_network(text)) == text
    assert str(parse_network("::ffff:192.0.2.0/120")) == "192.0.2.0/24"


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Networks that overlap: few bytes to choose from, all prefix lengths and mostly short ones."""
    width = draw(st.sampled_from([32, 128]))
    prefix = draw(st.integers(0, 20) | st.integers(0, width))
    value = int.from_bytes(bytes(draw(st.sampled_from([0, 127, 128])) for _ in range(width // 8)), "big")
    return Network(width, value >> (width - prefix) << (width - prefix), prefix)


def test_the_first_network_that_holds_an_address_decides(share: Callable[[object], None]) -> None:
    @given(st.lists(networks(), min_size=3, max_size=12), networks())
    def run(entries: list[Network], address: Network) -> None:
        table = NetworkTable((network, index) for index, network in enumerate(entries))
        holds = [
            index
            for index, (width, value, prefix) in enumerate(entries)
            if width == address.width and value >> (width - prefix) == address.value >> (width - prefix)
        ]
        assert table.find(address.width, address.value) == min(holds, default=None)
        assert len(table) == len(entries)
        share(holds)

    run()
