"""mynetworks in all its forms: a list, files, and what postconf prints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pbs_fast.errors import ConfigError
from pbs_fast.guards.netblocks import Netblocks, read_netblocks
from pbs_fast.util.postconf import Postconf

FAKE = """#!/bin/sh
# Prints the value of the last argument from the files beside it, as postconf does; nothing for an unknown name.
for name; do :; done
here=$(dirname "$0")
[ "$1" = -x ] && name="$name.x"
echo "$*" >> "$here/calls"
[ ! -e "$here/$name" ] || cat "$here/$name"
"""


@pytest.fixture
def postconf(tmp_path: Path) -> Callable[..., str]:
    """Writes a postconf that knows these settings, and returns its path."""

    def make(**settings: str) -> str:
        directory = tmp_path / "bin"
        directory.mkdir(exist_ok=True)
        command = directory / "postconf"
        command.write_text(FAKE)
        command.chmod(0o755)
        for name, value in settings.items():
            (directory / name.replace("__", ".")).write_text(value + "\n")
        return str(command)

    return make


def test_no_list_holds_nothing() -> None:
    assert not Netblocks().local("127.0.0.1")
    assert len(read_netblocks([])) == 0


@pytest.mark.parametrize(
    ("words", "local", "remote"),
    [
        (["192.0.2.7"], ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.2.8", "::192.0.2.7"]),
        (["192.0.2.0/25"], ["192.0.2.0", "192.0.2.127"], ["192.0.2.128", "192.0.1.255"]),
        (["10.0.0.0/7"], ["10.1.2.3", "11.255.255.255"], ["12.0.0.0", "9.255.255.255"]),
        (["0.0.0.0/0"], ["198.51.100.1", "0.0.0.1", "255.255.255.255"], ["2001:db8::1"]),
        (["::/0"], ["2001:db8::1", "::"], ["198.51.100.1"]),
        (["[::1]/128 [2001:db8:1::]/48"], ["::1", "2001:db8:1:ffff::9"], ["2001:db8:2::", "::2"]),
        (["2001:DB8:1::/48, [fe80::]/64", "[192.0.2.1]"], ["2001:db8:1::5", "fe80::1", "192.0.2.1"], ["fe80:0:0:1::"]),
        (["!192.0.2.7 192.0.2.0/24"], ["192.0.2.6"], ["192.0.2.7"]),
        (["192.0.2.0/24 !192.0.2.7"], ["192.0.2.7"], []),
        (["!192.0.2.0/25,192.0.0.0/16", "192.0.2.9"], ["192.0.2.200"], ["192.0.2.9"]),
        (["!!192.0.2.7"], ["192.0.2.7"], []),
        (["192.0.2.7\t192.0.2.8,\n 192.0.2.9 # 192.0.2.10"], ["192.0.2.8", "192.0.2.9"], ["192.0.2.10"]),
    ],
)
def test_lists(words: list[str], local: list[str], remote: list[str]) -> None:
    netblocks = read_netblocks(words)
    assert [ip for ip in local if not netblocks.local(ip)] == []
    assert [ip for ip in remote if netblocks.local(ip)] == []
    assert not netblocks.local("10")
    assert netblocks.notices == ()


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("192.0.2.1/24", 'mynetworks: "192.0.2.1/24" has bits set after its prefix; write 192.0.2.0/24'),
        ("!192.0.2.256", 'mynetworks: "!192.0.2.256" is no address and no network'),
        ("192.168", 'mynetworks: "192.168" is no address and no network'),
        ("2001:db8:::/32", 'mynetworks: "2001:db8:::/32" is no address and no network'),
        ("[::1", 'mynetworks: "[::1" is no address and no network'),
        ("[::1]/129", 'mynetworks: "[::1]/129" has a prefix length that no such address has'),
        ("192.0.2.0/24/8", 'mynetworks: "192.0.2.0/24/8" has no prefix length after the /'),
        ("10.0.0.0/8 !", 'mynetworks: "!": nothing follows the !; name an address, network or file'),
        ("example.org/24", 'mynetworks: "example.org/24" is no address and no network'),
    ],
)
def test_errors_name_the_word_and_where(word: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_netblocks([word])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("hash:/etc/postfix/nets", "lookup table"),
        ("cdb:/etc/n", "lookup table"),
        ("proxy:lmdb:${config_directory}/n", "lookup table"),
        ("inline:{ {192.0.2.1 = ok}, {b=c} }", "lookup table"),
        ("static:all", "lookup table"),
        ("mail.example.org", "host name"),
        (".example.org", "host name"),
    ],
)
@pytest.mark.parametrize("sign", ["", "!"])
def test_maps_and_host_names_are_skipped_with_a_notice(word: str, kind: str, sign: str) -> None:
    netblocks = read_netblocks([f"192.0.2.1 {sign}{word} 192.0.2.2"])
    (notice,) = netblocks.notices
    assert notice.startswith(f'mynetworks: "{sign}{word}" is a {kind} and is skipped')
    assert netblocks.local("192.0.2.2")
    assert len(netblocks) == 2


def test_files(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.write_text("!198.51.100.7\n")
    outer = tmp_path / "outer"
    outer.write_text(f"# 203.0.113.1\n192.0.2.1 192.0.2.2, [2001:db8::]/32 # x\n\n!{inner}\n198.51.100.0/24\n")
    netblocks = read_netblocks([str(outer)])
    for ip in ("192.0.2.1", "192.0.2.2", "2001:db8::9", "198.51.100.7", "198.51.100.8"):
        assert netblocks.local(ip), ip
    assert not netblocks.local("203.0.113.1")
    turned = read_netblocks([f"!{outer} 192.0.2.0/24 198.51.100.0/24"])
    # Each ! turns round all that stands in the file behind it.
    expected = {"192.0.2.1": False, "192.0.2.3": True, "198.51.100.7": False, "198.51.100.8": False}
    assert {ip: turned.local(ip) for ip in expected} == expected


def test_errors_in_files(tmp_path: Path) -> None:
    path = tmp_path / "nets"
    path.write_text("192.0.2.1\n192.0.2.1/8\n")
    with pytest.raises(
        ConfigError, match=rf'^{path}:2: "192.0.2.1/8" has bits set after its prefix; write 192.0.0.0/8$'
    ):
        read_netblocks([str(path)])
    path.write_text(f"{path}\n")
    with pytest.raises(ConfigError, match=rf"^{path}:1: {path} includes itself"):
        read_netblocks([str(path)])
    with pytest.raises(ConfigError, match=rf"^mynetworks: {tmp_path}/no: No such file or directory; correct the file"):
        read_netblocks([f"{tmp_path}/no"])
    path.write_bytes(b"\xff\xfe\0\n")
    with pytest.raises(ConfigError, match=rf"^{path}:1: "):
        read_netblocks([str(path)])


def test_postconf_variables_are_resolved(postconf: Callable[..., str]) -> None:
    command = postconf(
        mynetworks="127.0.0.0/8 $office, ${branch} $(vpn) $$",
        office="192.0.2.0/24, $branch",
        branch="198.51.100.1",
        vpn="",
    )
    assert Postconf(command).value("mynetworks") == ("127.0.0.0/8 192.0.2.0/24, 198.51.100.1, 198.51.100.1  $", [])
    command = postconf(mynetworks="127.0.0.0/8 $office $nowhere")
    netblocks = read_netblocks(["postfix", "203.0.113.9"], command)
    assert [netblocks.local(ip) for ip in ("127.9.9.9", "192.0.2.77", "203.0.113.9", "203.0.113.8")] == [1, 1, 1, 0]
    assert netblocks.notices == ("postconf mynetworks: $nowhere is not set in main.cf; taken as empty",)


def test_postconf_conditions_are_left_to_postconf(postconf: Callable[..., str], tmp_path: Path) -> None:
    command = postconf(mynetworks="127.0.0.0/8 ${vpn?192.0.2.0/24}", mynetworks__x="127.0.0.0/8 192.0.2.0/24")
    assert read_netblocks(postconf=command).local("192.0.2.1")
    assert (tmp_path / "bin" / "calls").read_text() == "-h mynetworks\n-x -h mynetworks\n"


def test_postconf_circles_are_refused(postconf: Callable[..., str]) -> None:
    command = postconf(mynetworks="$a", a="10.0.0.0/8 ${b}", b="$a")
    with pytest.raises(ConfigError) as error:
        read_netblocks(postconf=command)
    assert str(error.value) == (
        "postconf mynetworks: its variables go round in a circle (mynetworks -> a -> b -> a); mend main.cf"
    )


def test_postconf_errors(tmp_path: Path, postconf: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"^postconf: /nowhere/postconf: no such command; install Postfix, set postconf"
    ):
        read_netblocks(postconf="/nowhere/postconf")
    with pytest.raises(ConfigError, match=r"^postconf = '': names no command"):
        Postconf("")
    with pytest.raises(ConfigError, match="No closing quotation; give a command"):
        Postconf("postconf 'x")
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\necho one >&2\necho postconf: fatal: no main.cf >&2\nexit 1\n")
    failing.chmod(0o755)
    with pytest.raises(ConfigError) as error:
        read_netblocks(postconf=f"{failing} -c /etc/x")
    assert str(error.value) == (
        f"postconf: {failing} -c /etc/x -h mynetworks failed with 1: postconf: fatal: no main.cf; run it by hand"
    )
    failing.write_text("\x7fELF not a program")
    with pytest.raises(ConfigError, match="Exec format error; set postconf = PATH"):
        read_netblocks(postconf=str(failing))
    failing.write_text("#!/bin/sh\nexec sleep 60\n")
    with monkeypatch.context() as patched:
        patched.setattr("pbs_fast.util.postconf.TIMEOUT_S", 0.1)
        with pytest.raises(ConfigError, match=r"-h mynetworks: no answer in 0 s; run it by hand$"):
            read_netblocks(postconf=str(failing))
    bad = postconf(mynetworks="127.0.0.0/8 192.0.2.1/8")
    with pytest.raises(ConfigError, match=r'^postconf mynetworks: "192.0.2.1/8" has bits set'):
        read_netblocks(postconf=bad)


def test_a_host_without_postfix_has_no_networks_of_postfix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Exim or qmail site runs with the defaults, and is told."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("pbs_fast.util.postconf._SBIN", str(tmp_path))
    netblocks = read_netblocks(["postfix", "192.0.2.0/24"])
    assert netblocks.local("192.0.2.7")
    assert len(netblocks) == 1
    (notice,) = netblocks.notices
    assert notice.startswith("Postfix is not installed, so no network counts as local")


@pytest.mark.system
@pytest.mark.skipif(not (shutil.which("postconf") or Path("/usr/sbin/postconf").exists()), reason="needs Postfix")
def test_real_postconf(tmp_path: Path) -> None:
    main = tmp_path / "main.cf"
    (tmp_path / "master.cf").touch()
    command = f"postconf -c {tmp_path}"
    main.write_text(
        "office = 192.0.2.0/24, [2001:db8::]/48\nvpn = 198.51.100.0/25\n"
        "mynetworks = 127.0.0.0/8 $office,\n  # a comment\n  !${vpn} 198.51.100.0/24 hash:/etc/x\n"
    )
    netblocks = read_netblocks(postconf=command)
    expected = {
        "127.0.0.1": 1,
        "192.0.2.9": 1,
        "2001:db8::1": 1,
        "198.51.100.1": 0,
        "198.51.100.200": 1,
        "203.0.113.1": 0,
    }
    assert {ip: netblocks.local(ip) for ip in expected} == expected
    assert [notice.split(" is ")[0] for notice in netblocks.notices] == ['postconf mynetworks: "hash:/etc/x"']
    main.write_text("vpn = 192.0.2.0/24\nmynetworks = ${vpn?$vpn} ${no?203.0.113.0/24}\n")
    netblocks = read_netblocks(postconf=command)
    assert [netblocks.local(ip) for ip in ("192.0.2.1", "203.0.113.1")] == [True, False]
    main.write_text("mynetworks_style = host\n")
    netblocks = read_netblocks(postconf=command)
    assert netblocks.local("127.0.0.1")
    assert not netblocks.local("127.0.0.2")
    main.write_text("mynetworks = $nothing\n")
    netblocks = read_netblocks(postconf=command)
    assert (len(netblocks), len(netblocks.notices)) == (0, 1)
