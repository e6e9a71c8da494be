"""This machine's addresses and gateways, from made-up kernel files and from the real ones."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from pbs_fast.guards import read_machine
from pbs_fast.util.addresses import parse

FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 198.18.0.0
        /24 host LOCAL
     +-- 172.17.0.0/16 2 0 2
        |-- 172.17.0.0
           /16 link UNICAST
        |-- 172.17.0.2
           /32 host LOCAL
        |-- 172.17.255.255
           /32 link BROADCAST
Local:
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 172.17.0.2
        /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000004211fffe110002 03 40 20 80     eth0
20010db8000000000000000000000002 03 40 00 80     eth0
"""
IPV6_ROUTE = f"""\
{"20010db8" + "0" * 24} 40 {"0" * 32} 00 {"0" * 32} 00000100 00000001 00000000 00000001     eth0
{"20010db9" + "0" * 24} 20 {"0" * 32} 00 {"20010db8" + "0" * 22 + "99"} 00000100 00000001 00000000 00000003     eth0
{"0" * 32} 00 {"0" * 32} 00 {"20010db8" + "0" * 22 + "01"} 00000400 00000002 00000000 00000003     eth0
{"0" * 32} 00 {"0" * 32} 00 {"0" * 32} ffffffff 00000001 00000000 00200200       lo
"""


def number(ip: str) -> str:
    """As the kernel prints it: network order read as a number of this machine."""
    return f"{int.from_bytes(socket.inet_aton(ip), sys.byteorder):08X}"


def routes() -> str:
    rows = [
        ("eth0", "0.0.0.0", "172.17.0.1", "0003", "0.0.0.0"),  # noqa: S104 - a destination
        ("tun0", "128.0.0.0", "10.8.0.1", "0003", "128.0.0.0"),
        ("eth0", "10.9.0.0", "172.17.0.9", "0003", "255.255.0.0"),
        ("eth0", "172.17.0.0", "0.0.0.0", "0001", "255.255.0.0"),  # noqa: S104 - no gateway
        ("ppp0", "0.0.0.0", "0.0.0.0", "0001", "0.0.0.0"),  # noqa: S104 - no gateway
    ]
    head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n"
    lines = (f"{i}\t{number(d)}\t{number(g)}\t{f}\t0\t0\t0\t{number(m)}\t0\t0\t0 \n" for i, d, g, f, m in rows)
    return head + "".join(lines)


@pytest.fixture
def proc_net(tmp_path: Path) -> Path:
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text(IF_INET6)
    (tmp_path / "route").write_text(routes())
    (tmp_path / "ipv6_route").write_text(IPV6_ROUTE)
    return tmp_path


def test_a_container(proc_net: Path) -> None:
    machine = read_machine(str(proc_net))
    assert list(map(str, machine.own)) == ["198.18.0.0/24", "172.17.0.2", "fe80::42:11ff:fe11:2", "2001:db8::2"]
    assert list(map(str, machine.broadcast)) == ["172.17.255.255"]
    assert list(map(str, machine.gateways)) == ["172.17.0.1", "10.8.0.1", "2001:db8::1"]
    assert machine.notices == ()


def test_a_kernel_without_ipv6(proc_net: Path) -> None:
    (proc_net / "if_inet6").unlink()
    (proc_net / "ipv6_route").unlink()
    machine = read_machine(str(proc_net))
    assert list(map(str, machine.gateways)) == ["172.17.0.1", "10.8.0.1"]
    assert machine.notices == ()


def test_files_that_are_missing_or_odd_are_told(proc_net: Path, tmp_path: Path) -> None:
    (proc_net / "if_inet6").write_text("what is this\n")
    (proc_net / "fib_trie").unlink()
    machine = read_machine(str(proc_net))
    assert machine.own == ()
    assert list(map(str, machine.gateways)) == ["172.17.0.1", "10.8.0.1", "2001:db8::1"]
    assert [notice.split(": ")[0] for notice in machine.notices] == [f"{proc_net}/fib_trie", f"{proc_net}/if_inet6"]
    assert len(read_machine(str(tmp_path / "nowhere")).notices) == 4


@pytest.mark.skipif(not Path("/proc/net/fib_trie").exists(), reason="Linux only")
def test_this_machine() -> None:
    machine = read_machine()
    assert machine.notices == ()
    # The address a socket would use towards the Internet; connect() of UDP sends nothing.
    for family, target in ((socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue  # no route for this family
            address = parse(probe.getsockname()[0])
        assert address is not None
        assert any(
            width == address[0] and value >> (width - prefix) == address[1] >> (width - prefix)
            for width, value, prefix in machine.own
        )
