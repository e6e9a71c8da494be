"""Real tcprules, tcprulescheck and tcpserver, in both of Debian's builds, with the lines of docs/MTA-QMAIL.md."""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.running import Site, login
from mta import wait_for
from mta.guide import blocks
from mta.netns import FOUR, NEAR, OTHER, OTHER6, SIX, Namespace, namespace
from mta.tcpserver import BUILDS, Build, Tcpserver, check, may_relay, tool
from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import Table, TableOptions, list_rows, open_table, parse
from pbs_fast.tables.reap import clear
from pbs_fast.tables.types.tcprules import canonical, instructions
from tables.conftest import grant

GUIDE = "MTA-QMAIL.md"
VALUE = 'allow,RELAYCLIENT=""'
#: A client of the local networks in the guide's rules.
LOCAL = "192.0.2.7"

builds = pytest.mark.parametrize("build", BUILDS)


def guide(directory: Path) -> dict[str, list[str]]:
    """The guide's blocks, its files in a directory of the test's own."""
    return {
        name: [line.strip().replace("/etc/", f"{directory}/") for line in lines]
        for name, lines in blocks(GUIDE, directory).items()
    }


def test_every_variant_of_the_guide_is_tested() -> None:
    assert set(blocks(GUIDE)) == {"rules", "run tcprules", "serve"}


@pytest.fixture(scope="module")
def network() -> Iterator[Namespace]:
    tool("ucspi-tcp", "tcpserver")
    with namespace() as made:
        yield made


@pytest.fixture
def rules(directory: Path) -> Path:
    """The administrator's rules, as in the guide."""
    file = directory / "tcp.smtp"
    file.write_text("\n".join(guide(directory)["rules"]) + "\n")
    return file


@pytest.fixture
def made(directory: Path, rules: Path) -> Iterator[Callable[..., Table]]:
    """Opens the guide's table, compiled by one of the builds."""
    tables: list[Table] = []

    def opener(build: Build = "ucspi-tcp-ipv6", **options: str) -> Table:
        given = {"rules": str(rules), "program": str(tool(build, "tcprules")), **options}
        tables.append(open_table(f"tcprules:{directory}/relay?" + "&".join(f"{k}={v}" for k, v in given.items() if v)))
        return tables[-1]

    yield opener
    for table in tables:
        table.close()


def file_of(table: Table) -> Path:
    assert table.file is not None
    return table.file


@builds
def test_the_lines_as_they_stand(
    build: Build, network: Namespace, directory: Path, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login sets RELAYCLIENT for the next connection; after kill -9 all stays as it was."""
    assert rules.exists()
    monkeypatch.setenv("PATH", str(tool(build, "tcprules").parent), prepend=":")
    lines = guide(directory)
    words = shlex.split(" ".join(lines["run tcprules"]))
    assert words[:2] == ["pbs-fast", "run"]
    server = shlex.split(" ".join(lines["serve"]))
    assert server[:2] == ["exec", "tcpserver"]
    assert server[-3:] == ["0", "smtp", "qmail-smtpd"]
    site = Site(directory)
    site.spec = words[2].removeprefix("--dbfile=")
    try:
        daemon = site.start()
        with Tcpserver(build, network, server[2:-3]) as tcpserver:
            assert tcpserver.says(FOUR) == "none"
            site.append(login(FOUR))
            wait_for("the client may relay", lambda: tcpserver.says(FOUR) == "")
            assert tcpserver.says(OTHER) == tcpserver.says(NEAR) == "none"
            daemon.kill()
            assert tcpserver.says(FOUR) == ""
            assert may_relay(build, directory / "relay.cdb", LOCAL)
            site.start()
            assert tcpserver.says(FOUR) == ""
            assert tcpserver.says(OTHER) == "none"
    finally:
        site.close()


@pytest.mark.parametrize("family", [[], ["-6"]])
def test_both_families(family: list[str], network: Namespace, made: Callable[..., Table]) -> None:
    table = made()
    table.rebuild({FOUR: grant(), SIX: grant()})
    options = ["-HR", "-l0", "-x", str(table.file), *family]
    with Tcpserver("ucspi-tcp-ipv6", network, options, host="0") as tcpserver:
        assert [tcpserver.says(client) for client in (FOUR, SIX, OTHER, OTHER6, NEAR)] == [
            "",
            "",
            "none",
            "none",
            "none",
        ]
        table.apply(Delta({}, (FOUR,)))
        assert [tcpserver.says(client) for client in (FOUR, SIX)] == ["none", ""]
        file_of(table).unlink()
        assert tcpserver.says(SIX) == "dropped", "why the guide starts the daemon first"
        table.heartbeat()
        assert tcpserver.says(SIX) == ""


@builds
def test_each_client_gets_its_rule(build: Build, made: Callable[..., Table], rules: Path) -> None:
    with rules.open("a") as more:
        more.write(f"{NEAR}:deny\n198.51.100.2-4:allow,X='y'")  # without an end of line
    table = made(build)
    table.rebuild({FOUR: grant(), NEAR: grant(), "10.0.0.1": grant()})
    file = file_of(table)
    assert check(build, file, FOUR) == [f"rule {FOUR}:", "set environment variable RELAYCLIENT=", "allow connection"]
    assert check(build, file, NEAR) == [f"rule {NEAR}:", "deny connection"], "the administrator's word is the last"
    assert check(build, file, LOCAL)[0] == "rule 192.0.2.:"
    assert check(build, file, "198.51.100.3")[1] == "set environment variable X=y"
    for other in ("203.0.113.55", "203.0.113.50", "10.0.0.10", "10.0.0.2", "10.0.0.11"):
        assert check(build, file, other) == ["rule :", "allow connection"]
    assert sorted(list_rows(table.spec)) == sorted((ip, VALUE) for ip in (FOUR, NEAR, "10.0.0.1"))
    table.rebuild({})
    assert check(build, file, FOUR) == ["rule :", "allow connection"]
    assert check(build, file, LOCAL)[0] == "rule 192.0.2.:"


def test_ipv6_where_the_tool_knows_it(made: Callable[..., Table], caplog: pytest.LogCaptureFixture) -> None:
    rows = {FOUR: grant(), SIX: grant()}
    table = made("ucspi-tcp")
    with caplog.at_level(logging.WARNING):
        table.rebuild(rows)
        table.rebuild(rows)
    assert caplog.text.count("does not support IPv6, so 1 IPv6 addresses get no rule") == 1
    assert [key for key, _ in list_rows(table.spec)] == [FOUR]
    table.close()
    table = made("ucspi-tcp-ipv6")
    table.rebuild(rows)
    file = file_of(table)
    assert all(may_relay("ucspi-tcp-ipv6", file, client) for client in (FOUR, SIX, f"::ffff:{FOUR}"))
    assert not any(may_relay("ucspi-tcp-ipv6", file, client) for client in (OTHER6, f"::ffff:{OTHER}", "2001:db8::a:0"))


def test_the_administrators_file_is_followed(made: Callable[..., Table], rules: Path) -> None:
    table = made()
    table.rebuild({FOUR: grant()})
    time.sleep(0.01)
    rules.write_text('198.51.100.:allow,RELAYCLIENT=""\n')
    table.heartbeat()
    file = file_of(table)
    assert [may_relay("ucspi-tcp-ipv6", file, ip) for ip in (FOUR, "198.51.100.9", LOCAL)] == [True, True, False]
    before = file.stat()
    table.heartbeat()
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    rules.write_text("198.51.100.\n:allow\n")
    with pytest.raises(
        TableError, match=r"tcp\.smtp:1: '198\.51\.100\.' is not a rule for tcprules; write ADDRESS:allow"
    ):
        table.heartbeat()
    assert may_relay("ucspi-tcp-ipv6", file, FOUR), "the file in place stays"
    rules.write_text(":allow\n")
    table.apply(Delta({}, (FOUR,)))
    assert not may_relay("ucspi-tcp-ipv6", file, FOUR)
    rules.unlink()
    with pytest.raises(TableError, match=r"there is no .*tcp\.smtp with your own rules"):
        table.apply(Delta({FOUR: grant()}))


@builds
def test_a_file_that_the_administrator_compiled_is_taken_over(build: Build, directory: Path) -> None:
    """tcprules:/etc/tcp.smtp where /etc/tcp.smtp.cdb was made from /etc/tcp.smtp; never where it holds more."""
    spec = f"tcprules:{directory}/tcp.smtp?program={tool(build, 'tcprules')}"
    text = directory / "tcp.smtp"
    text.write_text(f'127.:allow,RELAYCLIENT=""\n{OTHER}:allow,RELAYCLIENT=""\n:allow\n')

    def compile_as_he_does(content: str) -> None:
        words = [tool(build, "tcprules"), directory / "tcp.smtp.cdb", directory / "tcp.smtp.tmp"]
        subprocess.run(words, input=content, text=True, check=True, timeout=60)

    compile_as_he_does(text.read_text())
    table = open_table(spec)
    assert table.load() == {}
    table.rebuild({FOUR: grant()})
    assert [key for key, _ in list_rows(table.spec)] == [FOUR]
    file = file_of(table)
    assert all(may_relay(build, file, client) for client in (FOUR, OTHER, "127.0.0.1"))
    table.close()
    compile_as_he_does(text.read_text() + "10.:deny\n")
    table = open_table(spec)
    with pytest.raises(
        TableError, match=rf"rows that are not ours .*; put rules of your own into {text}, or set adopt"
    ):
        table.load()
    table.close()
    assert check(build, file, "10.1.2.3")[1] == "deny connection"


def test_without_rules_of_the_administrator(directory: Path) -> None:
    table = open_table(f"tcprules:{directory}/relay?program={tool('ucspi-tcp', 'tcprules')}")
    table.rebuild({FOUR: grant()})
    assert may_relay("ucspi-tcp", file_of(table), FOUR)
    assert check("ucspi-tcp", file_of(table), OTHER)[-1] == "allow connection"
    table.close()


def test_instructions_of_the_table(made: Callable[..., Table]) -> None:
    table = made(value='allow,RELAYCLIENT="@x",UNTIL=/{expires}/')
    table.rebuild({FOUR: grant(1_900_000_000)})
    said = check("ucspi-tcp-ipv6", file_of(table), FOUR)
    assert said[1:] == [
        "set environment variable RELAYCLIENT=@x", "set environment variable UNTIL=1900000000", "allow connection",
    ]  # fmt: skip
    assert table.load()[FOUR].expires == 1_900_000_000
    table.close()
    again = made(value='allow,RELAYCLIENT=/@x/,UNTIL="{expires}"')
    assert list(again.load()) == [FOUR], "the same, quoted in another way"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("value=ok", "needs the form allow"),
        ("value=deny", "needs the form allow"),
        ('value=allow,X="a', "needs the form allow"),
        ('value=allow,X="{user}"', "without {user}"),
        ('value=allow,X="a\n:deny"', "needs the form allow"),
        ("rules=tcp.smtp", "needs the absolute path"),
        ("timeout=0", "needs whole seconds"),
    ],
)
def test_bad_options_are_named(options: str, message: str, directory: Path) -> None:
    with pytest.raises(UsageError, match=message):
        open_table(f"tcprules:{directory}/relay?{options}")
    assert not list(directory.iterdir())


def test_a_missing_program_is_named(directory: Path) -> None:
    with pytest.raises(TableError, match=rf"there is no program {directory}/tcprules; install ucspi-tcp"):
        open_table(f"tcprules:{directory}/relay?program={directory}/tcprules")
    assert not list(directory.iterdir())


def test_a_program_that_fails_or_hangs_changes_nothing(made: Callable[..., Table], directory: Path) -> None:
    program = directory / "tcprules"
    program.symlink_to(tool("ucspi-tcp", "tcprules"))
    table = made(program=str(program), timeout="5")
    table.rebuild({FOUR: grant()})
    before = file_of(table).read_bytes()
    program.unlink()
    program.write_text("#!/bin/sh\necho tcprules: fatal: no room >&2\nexit 111\n")
    program.chmod(0o755)
    with pytest.raises(TableError, match=r"ended with status 111: 'tcprules: fatal: no room'"):
        table.apply(Delta({NEAR: grant()}))
    program.write_text("#!/bin/sh\necho half >$2; sleep 3600\n")
    with pytest.raises(TableError, match="took more than 5 s and was killed"):
        table.apply(Delta({NEAR: grant()}))
    assert file_of(table).read_bytes() == before
    assert not list(directory.glob("*.new")), "no litter"
    shutil.copy(tool("ucspi-tcp", "tcprules"), program)
    table.apply(Delta())
    assert sorted(table.load()) == [FOUR, NEAR]


NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)


@settings(max_examples=30, deadline=None)
@given(variables=st.lists(st.tuples(NAMES, TEXTS, st.sampled_from("\"'/|#~")), max_size=4))
def test_what_is_written_is_what_tcprules_reads(
    variables: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Our reading of a value, and of the file, is that of the program."""
    from pbs_fast.tables.types.cdb import CdbTable

    value = "allow" + "".join(f",{name}={quote}{text.replace(quote, '')}{quote}" for name, text, quote in variables)
    ours = canonical(value)
    assert ours is not None
    target = tmp_path_factory.mktemp("rules") / "cdb"
    words = [tool("ucspi-tcp-ipv6", "tcprules"), target, target.with_name("new")]
    subprocess.run(words, input=f"1.2.3.4:{value}\n1.2.3.5:{ours}\n", text=True, check=True, timeout=60)
    first, second = (data for _, data in CdbTable.pairs(target, wait=0))
    assert first == second
    assert instructions(first) == ours.encode()


@pytest.mark.parametrize(
    "value", ["", "allowed", "allow,", "allow,X", "allow,X=", 'allow,X="', "allow,=''", "allow X", "allow,1='a'"]
)
def test_other_values_are_none(value: str) -> None:
    assert canonical(value) is None


@pytest.mark.parametrize("data", [b"ok", b"+X=a", b"X=a\0", b"DD", b"+X\0", b"\0"])
def test_other_records_are_none(data: bytes) -> None:
    assert instructions(data) is None


def test_changes_are_collected(made: Callable[..., Table]) -> None:
    """A tenth of a second, and so long that compiling takes a fifth of the time at most."""
    table = made()
    table.rebuild({FOUR: grant()})
    assert table.window >= 0.1
    start = time.monotonic()
    table.rebuild({f"10.{i >> 8}.{i & 255}.1": grant() for i in range(20_000)})
    assert 0.1 <= table.window <= 5 * (time.monotonic() - start)


def test_the_administrators_rules_never_go_by_mistake(made: Callable[..., Table], directory: Path, rules: Path) -> None:
    """`pbs-fast clear` without rules=, or a text that was moved away."""
    table = made()
    table.rebuild({FOUR: grant()})
    table.close()
    file = file_of(table)
    before = file.read_bytes()
    careless = f"tcprules:{directory}/relay?program={tool('ucspi-tcp-ipv6', 'tcprules')}"
    with pytest.raises(TableError, match=rf"there is no {directory}/relay with your own rules; .*name it with rules="):
        clear(parse(careless), TableOptions())
    assert file.read_bytes() == before
    assert clear(parse(f"{careless}&rules={rules}"), TableOptions()) == 1
    assert check("ucspi-tcp-ipv6", file, LOCAL)[0] == "rule 192.0.2.:"
    shutil.copy(rules, directory / "relay")
    table = open_table(careless)
    table.rebuild({FOUR: grant()})
    (directory / "relay").unlink()
    with pytest.raises(TableError, match="with your own rules"):
        table.heartbeat()
    with pytest.raises(TableError, match="with your own rules"):
        table.apply(Delta({NEAR: grant()}))
    assert check("ucspi-tcp-ipv6", file, LOCAL)[0] == "rule 192.0.2.:"
    (directory / "relay").touch()
    table.apply(Delta())
    assert check("ucspi-tcp-ipv6", file, LOCAL) == ["default:", "allow connection"]
    assert sorted(table.load()) == sorted([FOUR, NEAR])
    table.close()
