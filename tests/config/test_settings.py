"""Defaults, then the file, then options from left to right; and what is shown is what is in force."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pbs_fast.config import KEYS, Config, FormatKeys, Given, Settings, default_log, load, logs, merge
from pbs_fast.config.keys import build, values_of
from pbs_fast.config.read import FileValues
from pbs_fast.config.show import as_json, as_toml, dump
from pbs_fast.errors import UsageError
from pbs_fast.util.durations import parse_duration


def file(**values: object) -> FileValues:
    return FileValues("f.toml", values, dict.fromkeys(values, 7))


DEBUG, NODEBUG = Given("--debug", "debug", True), Given("--nodebug", "debug", False)
LOGTO = Given("--logto", "logto", "/log")

ORDERS = [
    ([DEBUG], None, (True, "-")),
    ([DEBUG, LOGTO], None, (True, "/log")),
    ([LOGTO, DEBUG], None, (True, "-")),
    ([DEBUG, LOGTO, DEBUG], None, (True, "-")),
    ([LOGTO, DEBUG, NODEBUG], None, (False, "-")),
    ([LOGTO, NODEBUG], None, (False, "/log")),
    ([], file(debug=True), (True, "-")),
    ([], file(debug=False), (False, None)),
    ([], file(logto="/f", debug=True), (True, "/f")),
    ([DEBUG], file(logto="/f"), (True, "-")),
    ([LOGTO], file(debug=True), (True, "/log")),
    ([NODEBUG], file(debug=True, logto="/f"), (False, "/f")),
]


@pytest.mark.parametrize(("options", "values", "expected"), ORDERS)
def test_debug_and_logto_in_their_order(
    options: list[Given], values: FileValues | None, expected: tuple[bool, str | None]
) -> None:
    config = merge(values, options).config
    assert (config.debug, config.logto) == expected


def test_options_win_over_the_file_and_the_file_over_defaults() -> None:
    settings = merge(file(grace=60, core="rust"), [Given("--grace", "grace", "90")])
    assert (settings.config.grace, settings.config.core, settings.config.write) == (90, "rust", True)
    assert [settings.origin(key) for key in ("grace", "core", "write")] == ["--grace", "f.toml:7", "default"]
    assert merge(None, []).config == Config()
    assert merge(None, [], Config(grace=5)).config.grace == 5


def test_the_first_option_of_a_list_replaces_the_file_and_further_ones_add() -> None:
    options = [
        Given("--logfile", "watchlog", "/a"),
        Given("--grace", "grace", "1"),
        Given("--watchlog", "watchlog", "/b"),
    ]
    config = merge(file(watchlog=("/f",), table=("lmdb:/t",)), options).config
    assert config.watchlog == ("/a", "/b")
    assert config.tables == ("/var/lib/pbs-fast/relay", "lmdb:/t")


@pytest.mark.parametrize("text", ["", "0", "-1", "1_0", " 9", "9" * 30, "1.5", "2592001", "\u0663", "soon"])
def test_an_option_of_the_wrong_kind_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        merge(None, [Given("--grace", "grace", text)])
    assert (
        str(caught.value)
        == f"--grace must be seconds or a duration like 30m, 24h, 7d or 1h30m, from 1s to 30d, not {text!r}"
    )
    assert caught.value.exit_status == 2


def test_bytes_that_are_no_utf8_are_refused_because_toml_cannot_hold_them() -> None:
    with pytest.raises(UsageError, match="udcff"):
        merge(None, [Given("--logto", "logto", "/x\udcff")])


def test_the_default_log_is_the_first_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_log({"/var/log/maillog", "/var/log/messages"}.__contains__) == "/var/log/maillog"
    assert default_log(lambda _: False) == "journal:"
    assert logs(Config(watchlog=("/a", "/b"))) == ("/a", "/b")
    monkeypatch.setattr("os.path.exists", "/var/log/messages".__eq__)
    assert logs(Config()) == ("/var/log/messages",)


def test_the_default_values_are_values_that_a_file_may_hold() -> None:
    for key in KEYS.values():
        if key.default is not None:
            as_written = list(key.default) if isinstance(key.default, tuple) else key.default
            assert key.kind.read(as_written) == key.default, key.name


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
LISTS = st.lists(TEXTS, max_size=3).map(tuple)
TAGS = st.lists(st.sampled_from(["dovecot-backend", "*/imap", "a.b", "täg"]), min_size=1, max_size=2).map(tuple)
RATES = st.lists(st.sampled_from(["200/1h", "messages:5/1d", "9/90s"]), unique=True).map(tuple)
SPECIAL: dict[str, st.SearchStrategy[object]] = {
    "caps.user": RATES,
    "caps.address": RATES,
    "caps.action": st.sampled_from(["defer", "warn", "hold"]),
    "core": st.sampled_from(["auto", "rust", "python"]),
    "raw_line_feeds": st.sampled_from(["refuse", "accept"]),
    "value": st.sampled_from(["ok", "{user} until {expires}", 'RELAY "x" \\ #']),
    "log_timezone": st.sampled_from(["UTC", "Europe/Vienna"]),
    "metrics.file": TEXTS.map("{}.prom".format),
    "metrics.listen": st.sampled_from(["127.0.0.1:9876", "[::1]:65535"]),
    "share.hubs": st.just(("valkeys://pop1@[2001:db8::1]:6380", "redis://mx1/2", "unix:///run/hub.sock")),
    "share.site": st.sampled_from(["example", "a.b_c-1"]),
    "share.node": st.sampled_from(["pop1", "a.b_c-1"]),
    "share.from": st.sampled_from([("*",), ("pop1", "pop2")]),
    "guards.proxies": st.just(("192.0.2.1", "2001:db8::/64")),
    "guards.hosts": st.just(("mx1", "[::1]")),
}


def values_for(name: str) -> st.SearchStrategy[object]:
    key = KEYS[name]
    if name in SPECIAL:
        return SPECIAL[name]
    if isinstance(key.default, bool):
        return st.booleans()
    if isinstance(key.default, int):
        low, high = (parse_duration(word) for word in key.kind.allowed.rsplit(" from ", 1)[1].split(" to "))
        return st.integers(low, high)
    return LISTS if key.kind.many else TEXTS


DICTS = st.fixed_dictionaries(
    {}, optional={name: values_for(name) for name in KEYS} | {"formats.dovecot.program": TAGS}
)
COUNTS: Counter[str] = Counter()


@example({"debug": True})
@example({"logto": "\U0001f4e7 \N{NO-BREAK SPACE}\u2028 \\ \" '''"})
@given(DICTS)
def check_round_trip(values: dict[str, object]) -> None:
    shown = merge(FileValues("f", values, dict.fromkeys(values, 1)), [])
    with TemporaryDirectory() as directory:
        path = Path(directory) / "again.toml"
        path.write_text(as_toml(shown))
        again = merge(load(str(path)), [])
    assert again.config == shown.config
    assert values_of(again.config) == values_of(shown.config)
    COUNTS["all"] += 1
    COUNTS["changed"] += sum(shown.config != other for other in [Config()])
    in_json = json.loads(as_json(shown))["keys"]
    assert {
        name: entry["from"] for name, entry in in_json.items() if entry["from"] != "default"
    }.keys() >= values.keys()
    assert build(values_of(shown.config)) == shown.config


def test_what_config_prints_reads_back_as_the_same_configuration() -> None:
    COUNTS.clear()
    check_round_trip()
    assert COUNTS["changed"] >= 0.7 * COUNTS["all"], COUNTS


def test_toml_shows_where_each_value_comes_from() -> None:
    text = as_toml(merge(file(grace=60), [Given("--nowrite", "write", False)]))
    lines = {line.split(" ")[0]: line for line in text.splitlines() if "=" in line}
    assert lines["grace"].split() == ["grace", "=", "60", "#", "f.toml:7"]
    assert lines["write"].split() == ["write", "=", "false", "#", "--nowrite"]
    assert lines["flock"].split() == ["flock", "=", "true", "#", "default"]
    assert "# logto is not set" in text


def test_a_file_name_cannot_break_out_of_its_comment() -> None:
    shown = as_toml(Settings(Config(), "a\nb = 1", {"grace": "x\ny = 2"}))
    assert "# configuration file: a\\x0ab = 1\n" in shown
    assert "# x\\x0ay = 2\n" in shown


def test_dump_has_the_lines_of_the_old_program_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.exists", lambda _: False)
    config = replace(
        Config(dbfile="/t", table=("lmdb:/u",), logto="/l", grace=60),
        formats={"dovecot": FormatKeys(program=("a", "b"))},
    )
    lines = dump(Settings(config, "/c.toml"), ["hash:/t", "lmdb:/u"]).splitlines()
    assert lines[:6] == [
        "config file: /c.toml",
        "watchlog: journal:",
        "dbfile: /t",
        "logto: /l",
        "table: hash:/t",
        "table: lmdb:/u",
    ]
    assert "grace: 60" in lines
    assert "guards.own: true" in lines
    assert "formats.dovecot.program: a, b" in lines
    assert "user: not set" in lines
    bare = dump(Settings(replace(Config(), watchlog=("/a", "/b")))).splitlines()
    assert bare[:4] == ["config file: none", "watchlog: /a", "watchlog: /b", "dbfile: /var/lib/pbs-fast/relay"]
    assert not [line for line in bare if line.startswith("logto")]


def test_each_guard_for_a_kind_of_network_has_its_switch() -> None:
    """The guards look their switch up by name, so a name that differs would be a switch that does nothing."""
    from pbs_fast.guards.networks import SPECIAL

    switches = {key.name.removeprefix("guards.") for key in KEYS.values() if key.name.startswith("guards.")}
    assert switches >= SPECIAL.keys() | {"own", "gateway", "loop"}
