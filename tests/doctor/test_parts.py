"""The other checks: tables and their owner, unit, Exim, Docker, accounts; how findings are shown."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mta import private_directory, require
from mta.exim import configured
from mta.guide import blocks
from pbs_fast.config.model import Config
from pbs_fast.config.settings import merge
from pbs_fast.doctor import exim, tables, unit
from pbs_fast.doctor.account import ApartError, as_account, blocked_at, may
from pbs_fast.doctor.daemon import check as daemon_check
from pbs_fast.doctor.daemon import of_refusals, of_status
from pbs_fast.doctor.docker import container_networks, proxied_ports
from pbs_fast.doctor.report import as_json, as_text, status
from pbs_fast.doctor.site import Site
from pbs_fast.errors import PbsError
from pbs_fast.events import Grant
from pbs_fast.health.finding import Finding, Level
from pbs_fast.tables import open_table, parse
from pbs_fast.tables.owner import owner_file

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


def _levels(found: list[Finding]) -> list[tuple[str, str]]:
    return [(each.code, each.level) for each in found]


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every account may pass through; pytest's own are not, whenever another pytest starts."""
    place = private_directory("doctor")
    yield place
    shutil.rmtree(place)


# -- how it is shown --------------------------------------------------------------------------------------------------


def _some(*levels: Level) -> list[Finding]:
    return [Finding("log.read", level, "a\x1b[31m" + " word" * 40, "do it") for level in levels]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((), 0), (("ok", "note", "skip"), 0), (("ok", "warn"), 3), (("warn", "fail", "ok"), 1)],
)
def test_the_exit_status(levels: tuple[Level, ...], expected: int) -> None:
    assert status(_some(*levels)) == as_json(_some(*levels))["status"] == expected


def test_the_text_fits_a_terminal_and_is_safe() -> None:
    text = as_text([*_some("ok", "fail", "warn", "fail"), Finding("postfix.policy", "note", "x" * 100)])
    assert text.isascii()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[-1] == "1 ok, 1 note, 1 warning, 2 failures"
    assert all(len(line) <= 80 or "x" * 100 in line for line in lines)
    assert lines[0].startswith("ok    log.read        a\\x1b[31m word")
    assert [line[:4] for line in lines[:-1] if line[0] != " "] == ["ok  ", "FAIL", "warn", "FAIL", "note"]


def test_the_json() -> None:
    found = as_json(_some("ok", "fail"))
    assert json.loads(json.dumps(found)) == found
    assert found["counts"] == {"ok": 1, "note": 0, "warn": 0, "fail": 1, "skip": 0}
    assert found["findings"][1].keys() == {"code", "level", "evidence", "advice"}


# -- accounts ---------------------------------------------------------------------------------------------------------


@AS_ROOT
def test_a_child_looks_as_the_account_and_its_parent_does_not_change() -> None:
    assert as_account("nobody", os.geteuid) != 0
    assert os.geteuid() == 0
    assert as_account(None, os.geteuid) == 0


def _fail() -> int:
    raise PbsError("no such thing")


@AS_ROOT
def test_a_child_that_fails_hangs_or_says_too_much() -> None:
    with pytest.raises(ApartError, match="no such thing"):
        as_account("nobody", _fail)
    with pytest.raises(ApartError, match="took too long"):
        as_account("nobody", lambda: time.sleep(60), longest=0.2)
    with pytest.raises(ApartError, match="took too long"):
        as_account("nobody", lambda: "x" * (2 << 20))
    with pytest.raises(ApartError, match="took too long"):
        as_account("nobody", lambda: os._exit(0))


def test_what_modes_allow() -> None:
    assert may(0o640, 0, 4, want=4, uid=7, groups=[4])
    assert not may(0o640, 0, 4, want=4, uid=7, groups=[5])
    assert not may(0o077, 7, 4, want=4, uid=7, groups=[4]), "the owner's bits alone count for the owner"
    assert may(0o000, 7, 7, want=4, uid=0, groups=[])


def test_the_directory_that_is_in_the_way(open_path: Path) -> None:
    (open_path / "a/b").mkdir(parents=True)
    (open_path / "a").chmod(0o750)
    assert blocked_at(open_path / "a/b/relay", uid=54321, groups=[]) == open_path / "a"
    (open_path / "a").chmod(0o751)
    assert blocked_at(open_path / "a/b/relay", uid=54321, groups=[]) is None


# -- tables -----------------------------------------------------------------------------------------------------------


def _site(tmp_path: Path, *specs: str) -> Site:
    config = tmp_path / "etc"
    config.mkdir(exist_ok=True)
    (config / "main.cf").write_text(f"compatibility_level = 3.6\nqueue_directory = {tmp_path}\n")
    (config / "master.cf").write_text("smtp inet n - n - - smtpd\n")
    # Each Postfix process reads a file again and again until it is two seconds old (dict.c: dict_load_file_xt).
    os.utime(config / "main.cf", (0, 0))
    settings = merge(None, ())
    changed = replace(
        settings.config,
        postconf=f"postconf -c {config}",
        control=replace(settings.config.control, directory=str(tmp_path)),
    )
    return Site(replace(settings, config=changed), [parse(spec) for spec in specs], root=str(tmp_path))


def _write(spec: str, *rows: str) -> None:
    table = open_table(spec)
    table.rebuild({ip: Grant(2_000_000_000, None, "dovecot", "new") for ip in rows})
    table.close()


@pytest.mark.parametrize("kind", ["lmdb", "hash", "cdb"])
def test_postfix_finds_a_row(kind: str, open_path: Path) -> None:
    require("postmap", "Postfix")
    spec = f"{kind}:{open_path}/relay"
    _write(spec)
    found = list(tables.check_read(_site(open_path, spec)))
    assert _levels(found) == [("table.read", "ok")], found
    assert "no row to ask for" in found[0].evidence
    _write(spec, "203.0.113.9")
    found = list(tables.check_read(_site(open_path, spec)))
    assert _levels(found) == [("table.read", "ok")], found
    assert found[0].evidence == f"postmap -q 203.0.113.9 {spec} as postfix: ok"


def test_tables_that_postfix_cannot_read(open_path: Path) -> None:
    require("postmap", "Postfix")
    place = open_path / "state"
    place.mkdir()
    spec = f"cdb:{place}/relay"
    found = list(tables.check_read(_site(open_path, spec)))
    assert _levels(found) == [("table.read", "fail")]
    assert "451" in found[0].evidence
    _write(spec, "203.0.113.9")
    place.chmod(0o700)
    found = list(tables.check_read(_site(open_path, spec)))
    assert _levels(found) == [("table.read", "fail")]
    assert f"may not pass through the directory {place}" in found[0].evidence
    place.chmod(0o755)
    Path(f"{place}/relay.cdb").chmod(0o600)
    found = list(tables.check_read(_site(open_path, spec)))
    assert _levels(found) == [("table.read", "fail")]
    assert "Permission denied" in found[0].evidence
    Path(f"{place}/relay.cdb").chmod(0o644)
    os.link(place / "relay.cdb", place / "other.cdb")
    assert _levels(list(tables.check_read(_site(open_path, spec)))) == [("postfix.other", "fail"), ("table.read", "ok")]


def test_a_file_of_another_program(tmp_path: Path) -> None:
    require("postmap", "Postfix")
    spec = parse(f"lmdb:{tmp_path}/relay")
    row = tables._Row("203.0.113.9", "ok")
    assert tables._judge(spec, "postfix", row, "REJECT").level == "fail"
    assert tables._judge(spec, "postfix", row, None).level == "fail"
    assert tables._judge(spec, "postfix", row, "ok").level == "ok"
    assert tables._judge(spec, "postfix", tables._Row("203.0.113.9", None), "relay=x").level == "ok"
    assert tables._judge(spec, "postfix", None, PbsError("no")).level == "fail"


def test_who_keeps_a_table(tmp_path: Path) -> None:
    spec = f"lmdb:{tmp_path}/relay"
    site = _site(tmp_path, spec)

    def levels() -> list[str]:
        return [each.level for each in tables.check_owner(site) if str(tmp_path) in each.evidence]

    assert levels() == ["fail"]
    table = open_table(spec)
    assert levels() == ["ok"]
    old = time.time() - 600
    assert table.file is not None
    os.utime(owner_file(table.file), (old, old))
    assert levels() == ["fail"], "it hangs"
    table.close()
    assert levels() == ["fail"]
    left = open_table(f"cdb:{tmp_path}/old")
    assert levels() == ["fail", "warn"], "another daemon keeps another table here"
    left.close()


@pytest.mark.parametrize(("state", "level"), [("active", "ok"), ("inactive", "warn"), (None, "skip")])
def test_the_timer(state: str | None, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    monkeypatch.setattr(tables, "unit_state", lambda _: state)
    assert [each.level for each in tables._timer(_site(tmp_path))] == [level]


# -- the unit ---------------------------------------------------------------------------------------------------------

_UNIT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "User": "pbs-fast",
    "SupplementaryGroups": "adm systemd-journal",
    "StateDirectory": "pbs-fast",
    "LogsDirectory": "pbs-fast",
    "ReadWritePaths": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateUsers": "yes",
    "IPAddressAllow": "",
    "IPAddressDeny": "0.0.0.0/0 ::/0",
}
_SOCKET = "socketmap:unix:pbs/sock:pbs"
_SERVED = "socketmap:inet:127.0.0.1:9998:pbs"
_POLICY = "policy:unix:pbs/policy?alone"
_CONFIG = Config()
_UNITS: dict[str, tuple[dict[str, str], Config, str, str, list[str]]] = {
    "as shipped": ({}, _CONFIG, "lmdb:/var/lib/pbs-fast/relay", "/var/log/mail.log", []),
    "a socket that may be made": ({"ReadWritePaths": "/var/spool/postfix/pbs"}, _CONFIG, _SOCKET, "journal:", []),
    "a socket that may not": ({}, _CONFIG, _SOCKET, "journal:", ["fail"]),
    "a port that may be served": ({"IPAddressAllow": "127.0.0.0/8 ::1/128"}, _CONFIG, _SERVED, "journal:", []),
    "a port that may not": ({}, _CONFIG, _SERVED, "journal:", ["fail"]),
    "a policy service that may be served": (
        {"ReadWritePaths": "/var/spool/postfix/pbs", "PrivateUsers": "no", "SupplementaryGroups": "adm postfix"},
        _CONFIG, _POLICY, "journal:", [],
    ),
    "a policy service whose socket the unit may not give away": (
        {"ReadWritePaths": "/var/spool/postfix/pbs"}, _CONFIG, _POLICY, "journal:", ["fail"],
    ),
    "a policy service that may not be made": ({}, _CONFIG, _POLICY, "journal:", ["fail", "fail"]),
    "a table elsewhere": ({}, _CONFIG, "hash:/etc/postfix/relay", "journal:", ["fail"]),
    "a log in a home": ({}, _CONFIG, "null:", "/home/mail/mail.log", ["fail"]),
    "without the groups of logs": ({"SupplementaryGroups": ""}, _CONFIG, "null:", "journal:", ["warn"]),
    "stopped": ({"ActiveState": "inactive"}, _CONFIG, "null:", "journal:", ["fail"]),
    "edited": ({"NeedDaemonReload": "yes"}, _CONFIG, "null:", "journal:", ["warn"]),
    "users in the table": ({}, replace(_CONFIG, value="ok {user}"), "null:", "journal:", ["fail"]),
    "users in the table, with the drop-in": (
        {"PrivateUsers": "no", "SupplementaryGroups": "adm postfix"},
        replace(_CONFIG, value="ok {user}"), "null:", "journal:", [],
    ),
    "our own log elsewhere": ({}, replace(_CONFIG, logto="/srv/pbs.log"), "null:", "journal:", ["fail"]),
    "without ProtectSystem": ({"ProtectSystem": "no"}, _CONFIG, "hash:/etc/postfix/relay", "journal:", []),
}  # fmt: skip


@pytest.mark.parametrize("name", _UNITS)
def test_a_unit(name: str) -> None:
    changes, config, table, log, expected = _UNITS[name]
    found = list(unit.judge({**_UNIT, **changes}, config, [log], [parse(table)]))
    assert [each.level for each in found] == expected, found
    assert all(each.advice for each in found)


@pytest.mark.parametrize("table", [_SOCKET, _POLICY])
def test_what_systemd_listens_on_needs_nothing_of_the_unit(table: str) -> None:
    spec = parse(table)
    path = "/var/spool/postfix/pbs/" + ("sock" if table == _SOCKET else "policy")
    control = ["/run/pbs-fast/control", "/run/pbs-fast/status"]
    found = [list(unit.judge(_UNIT, _CONFIG, ["journal:"], [spec], sockets)) for sockets in ([path, *control], control)]
    assert [bool(each) for each in found] == [False, True]


def test_a_socket_of_systemd_s_that_nothing_is_served_on() -> None:
    (found,) = unit.judge(_UNIT, _CONFIG, ["journal:"], [parse("null:")], ["/var/spool/postfix/pbs/policy"])
    assert found.level == "fail"
    assert "no table of this configuration is served there" in found.evidence


# -- Exim, Docker, the daemon -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("hostlist pop = net-cdb;/var/lib/pbs-fast/relay.cdb", "ok"),
        ("hosts = cdb;/var/lib/pbs-fast/relay.cdb", "ok"),
        ("condition = ${lookup{$sender_host_address}cdb{/var/lib/pbs-fast/relay.cdb}}", "ok"),
        ("hostlist pop = net-lsearch;/var/lib/pbs-fast/relay.cdb", "fail"),
        ("# hostlist pop = net-cdb;/var/lib/pbs-fast/relay.cdb", "fail"),
        ("FILE = /var/lib/pbs-fast/relay.cdb", "skip"),
        ("", "fail"),
    ],
)
def test_a_configuration_of_exim(line: str, level: str) -> None:
    spec = parse("cdb:/var/lib/pbs-fast/relay?keys=exim")
    assert exim.judge(f"acl_smtp_rcpt = acl_check_rcpt\n{line}\n", spec).level == level


@pytest.mark.parametrize("kind", ["cdb", "hash"])
def test_a_real_exim_with_the_lines_of_our_guide(kind: str, tmp_path: Path) -> None:
    lines = blocks("MTA-EXIM.md", tmp_path)
    spec = parse(f"{kind}:{tmp_path}/relay?keys=exim")
    with configured(lines[f"main {kind}"], lines["acl"], {"hash": "dbmnz"}.get(kind, kind)) as exim_:
        assert exim.judge(exim_.printed(), spec).level == "ok"
    with configured(
        [f"TABLE = {tmp_path}", "hostlist pop_before_smtp = net-lsearch;TABLE/other"], lines["acl"]
    ) as exim_:
        assert exim.judge(exim_.printed(), spec).level == "fail"
    file = f"net-lsearch;TABLE/relay.{'db' if kind == 'hash' else kind}"
    with configured([f"TABLE = {tmp_path}", f"hostlist pop_before_smtp = {file}"], lines["acl"]) as exim_:
        found = exim.judge(exim_.printed(), spec)
        assert (found.level, "another look-up" in found.evidence) == ("fail", True)


def test_proxies_of_docker(tmp_path: Path) -> None:
    for pid, words in (
        ("1", b"init\0"),
        ("7", b"/usr/bin/docker-proxy\0-proto\0tcp\0-host-port\x00993\0-container-ip\0"),
    ):
        (tmp_path / "proc" / pid).mkdir(parents=True)
        (tmp_path / "proc" / pid / "cmdline").write_bytes(words)
    assert proxied_ports(tmp_path) == {993}


def test_networks_of_docker(tmp_path: Path) -> None:
    net = tmp_path / "proc/self/net"
    net.mkdir(parents=True)
    number = f"{int.from_bytes(bytes([172, 18, 0, 0]), sys.byteorder):08X}"
    mask = f"{int.from_bytes(bytes([255, 255, 0, 0]), sys.byteorder):08X}"
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
    (net / "route").write_text(
        f"{head}br-0123456789ab\t{number}\t00000000\t0001\t0\t0\t0\t{mask}\neth0\t{number}\t00000000\t0001\t0\t0\t0\t{mask}\n"
    )
    assert [str(network) for network in container_networks(tmp_path)] == ["172.18.0.0/16"]


@pytest.mark.parametrize(
    ("refused", "outcomes", "levels"),
    [
        ({}, {"new": 5}, []),
        ({"gateway": 40}, {"new": 5, "refused": 40}, ["warn"]),
        ({"gateway": 40}, {"new": 0, "refused": 40}, ["fail"]),
        ({"gateway": 1}, {"new": 0, "refused": 1}, ["warn"]),
    ],
)
def test_logins_from_a_gateway(refused: dict[str, int], outcomes: dict[str, int], levels: list[str]) -> None:
    assert [each.level for each in of_refusals(refused, outcomes)] == levels


@pytest.mark.parametrize(
    ("spec", "level"),
    [("policy:unix:pbs/policy?alone", "fail"), ("socketmap:unix:pbs/sock:pbs", "fail"), ("lmdb:{}/relay", "skip")],
)
def test_without_a_daemon_a_table_in_memory_is_a_failure(spec: str, level: str, tmp_path: Path) -> None:
    """Of a file `table.owner` tells it."""
    [found] = daemon_check(_site(tmp_path, spec.format(tmp_path)))
    assert (found.code, found.level) == ("daemon", level)
    assert "no daemon listens on" in found.evidence


def test_what_a_daemon_says() -> None:
    spec = parse("lmdb:/x/relay")
    table = {"spec": "lmdb:/x/relay", "failing": None, "failing_s": None}
    fine = {"pid": 7, "version": "1", "ready": True, "tables": [table], "notices": [], "rows": {"total": 3}}

    def levels(**changes: object) -> list[str]:
        return [each.level for each in of_status({**fine, **changes}, [spec])]  # type: ignore[arg-type]

    assert levels() == ["ok"]
    assert levels(ready=False) == ["warn"]
    assert levels(tables=[{**table, "failing": "disk full", "failing_s": 70.0}]) == ["fail"]
    assert levels(tables=[{**table, "spec": "hash:/x/relay"}]) == ["warn"]
    assert levels(notices=[{"code": "drift", "text": "look", "since": "2026-01-01T00:00:00Z"}]) == ["warn"]
