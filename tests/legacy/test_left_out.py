"""Settings that are no values here: each is left out by name, and what is written can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from legacy.counterparts import PATTERNS
from legacy.imported import imported
from pbs_fast.legacy import place

#: Perl runs for each.
pytestmark = pytest.mark.system

DOVECOT = PATTERNS["dovecot"].perl


@pytest.mark.parametrize(
    ("perl", "named", "key", "value"),
    [
        ("$grace = 'abc';", "$grace = abc", "grace", 1),
        ("$grace = 0;", "$grace = 0", "grace", 1),
        ("$grace = 1800.7;", "$grace = 1800.7", "grace", 1800),
        ("$grace = 1e9;", "$grace = 1000000000", "grace", 2_592_000),
        ("$dbvalue = 'a{b}';", "$dbvalue = 'a{b}'", "value", "ok"),
        ("$dbvalue = '';", "$dbvalue = ''", "value", "ok"),
        ('$logto = "/x\\ny";', "$logto = '/x\\x0ay'", "logto", None),
        ('$dbfile = "/x/y\\n";', "$dbfile", "dbfile", "/var/lib/pbs-fast/relay"),
        ("$dbfile = '/x/';", "$dbfile", "dbfile", "/var/lib/pbs-fast/relay"),
        ("$tie_func = sub { tie %db, 'DB_File', '/x.db' };", "$tie_func", "dbfile", "/var/lib/pbs-fast/relay"),
        ("$file_tail{'name'} = 'ssh mx tail -f /x |';", "$file_tail{'name'}", "watchlog", ()),
        ("@mynets = ('10.0.0.1/8 192.168.1 nonsense');", "@mynets", "mynetworks", ("10.0.0.0/8", "192.168.1.0/24")),
        ('$mynet_func = sub { die "no\\n" };', "$mynet_func", "mynetworks", ("postfix",)),
        ("$log_func = sub { print @_ };", "$log_func", "logto", None),
        ("sub cleanup_nets { () }", "sub cleanup_nets", "mynetworks", ("postfix",)),
        ("sub findNetblock { 0 }", "sub findNetblock", "mynetworks", ("postfix",)),
    ],
)
def test_a_setting_that_is_no_value_here(perl: str, named: str, key: str, value: object, tmp_path: Path) -> None:
    site = imported(f"{DOVECOT}\n{perl}\n1;\n", tmp_path)
    (said,) = site.conversion.left_out
    assert said.startswith(named)
    assert "# NOT CARRIED OVER: " in site.conversion.toml
    assert getattr(site.settings.config, key) == value


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "^[LOGTIME] x((\\d+\\.\\d+\\.\\d+\\.\\d+)",
        "^(?<t>\\w+ +\\d+ \\d+:\\d+:\\d+) x (?<ip>\\S+)",
        "(\\d+\\.\\d+\\.\\d+\\.\\d+) logged in at [LOGTIME]",
        "^[LOGTIME] no address",
        "^[LOGTIME] x(?=y) (\\d+\\.\\d+\\.\\d+\\.\\d+)",
        "^[LOGTIME] (?:x*)* (\\d+\\.\\d+\\.\\d+\\.\\d+)",
    ],
)
def test_a_pattern_that_cannot_be_one_here_grants_nothing(pattern: str, tmp_path: Path) -> None:
    site = imported(f"$pat = '{pattern}';\n1;\n", tmp_path)
    assert site.own == []
    assert site.site.formats == ()
    assert any(each.startswith("$pat, line 1: cannot be carried over: ") for each in site.conversion.left_out)


def test_braces_are_no_placeholder(tmp_path: Path) -> None:
    site = imported("$pat = '^[LOGTIME] \\S+ mypop: {ip} (\\d+\\.\\d+\\.\\d+\\.\\d+)';\n1;\n", tmp_path)
    head = "Mar  4 07:12:09 mx mypop:"
    assert site.events(f"{head} {{ip}} 203.0.113.5")[0][:2] == ("login", "203.0.113.5")
    assert site.events(f"{head} 203.0.113.6 203.0.113.5") == []


def test_each_table_left_behind_is_named_with_how_to_empty_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other package's default, and what the old program wrote where another type takes its place."""
    monkeypatch.setattr(place, "UPSTREAM", str(tmp_path / "upstream"))
    monkeypatch.setattr(place, "DEBIAN", str(tmp_path / "debian"))
    for name in ("upstream.db", "debian.db", "old.pag", "old.dir"):
        (tmp_path / name).touch()
    site = imported(f"{DOVECOT}\n$dbfile = '{tmp_path}/upstream';\n1;\n", tmp_path)
    assert site.settings.config.dbfile == f"hash:{tmp_path}/upstream"
    assert f"{tmp_path}/debian.db is left behind" in site.notes
    assert f"pbs-fast clear --dbfile=hash:{tmp_path}/debian" in site.notes
    assert f"{tmp_path}/upstream.db is left behind" not in site.notes
    site = imported(f"{DOVECOT}\n$dbfile = '{tmp_path}/old'; $tie_func = \\&tie_NDBM;\n1;\n", tmp_path)
    assert f"{tmp_path}/old.pag is left behind: its rows relay for ever where an MTA still reads dbm:" in site.notes
    assert f"remove {tmp_path}/old.*" in site.notes
