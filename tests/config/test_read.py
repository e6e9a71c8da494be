"""Configuration files: each fault is one line that names the file, the line and the right thing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbs_fast.config import load, merge
from pbs_fast.errors import ConfigError

GRACE = "seconds or a duration like 30m, 24h, 7d or 1h30m, from 1s to 30d"

FAULTS = [
    ("gracee = 60\n", 1, 'unknown key "gracee"; nearest: "grace"'),
    ("\n\nnonsense = 60\n", 3, 'unknown key "nonsense"; the keys are listed by: pbs-fast config'),
    ("max_rows = 60\n", 1, 'unknown key "max_rows"; "max_rows" belongs below [guards]'),
    ("[metrics]\nhubs = []\n", 2, 'unknown key "metrics.hubs"; "hubs" belongs below [share]'),
    ("[json]\nuser = 'x'\n", 2, 'unknown key "json.user"; "user" belongs above the first [table]'),
    (
        "[formats.dovecot]\ndbfile = 3\n",
        2,
        'unknown key "formats.dovecot.dbfile"; "dbfile" belongs above the first [table]',
    ),
    ("[metrics]\nhub = []\n", 2, 'unknown key "metrics.hub"; nearest: "share.hubs"'),
    (
        "# [share]\n\n [share] # x\n[caps]\n[share]\nsite='x'\n",
        5,
        "the table [share] is already in line 3; write its keys there",
    ),
    ("[caps]\n[caps]\n", 2, "the table [caps] is already in line 1; write its keys there"),
    ("[guard]\nmax_rows = 60\n", 1, 'unknown key "guard"; nearest: "[guards]"'),
    ("[guards]\ngrace = 60\n", 2, 'unknown key "guards.grace"; "grace" belongs above the first [table]'),
    ("[guards]\nown = true\nmax_row = 60\n", 3, 'unknown key "guards.max_row"; nearest: "guards.max_rows"'),
    ('"guards.own" = true\n', 1, 'unknown key "guards.own"; nearest: "guards.own"'),
    (
        "[formats.dovecot]\nprograms = []\n",
        2,
        'unknown key "formats.dovecot.programs"; nearest: "formats.dovecot.program"',
    ),
    ("[formats]\ndovecot = 3\n", 2, "formats.dovecot must be a table, written [formats.dovecot]"),
    ("[formats.'a.b']\nprogram = []\n", 1, 'no format can have the name "a.b"; see: pbs-fast formats'),
    ("format = 3\n", 1, "format must be tables, each written [[format]]"),
    ('format = ["dovecot"]\n', 1, "format must be tables, each written [[format]]"),
    ("[[formt]]\nname = 3\n", 1, 'unknown key "formt"; nearest: "[[format]]"'),
    ("guards = true\n", 1, "guards must be a table, written [guards]"),
    ("grace = 0\n", 1, f"grace must be {GRACE}, not 0"),
    ("grace = true\n", 1, f"grace must be {GRACE}, not true"),
    ("grace = 60.0\n", 1, f"grace must be {GRACE}, not 60.0"),
    ('grace = "1 m"\n', 1, f'grace must be {GRACE}, not "1 m"'),
    ("write = 1\n", 1, "write must be true or false, not 1"),
    ('core = "rst"\n', 1, 'core must be one of auto, rust, python, not "rst"'),
    ('logto = ""\n', 1, 'logto must be a text without control characters, not ""'),
    (
        'value = "ok \u00e4"\n',
        1,
        'value must be printable ASCII with braces only in {user} and {expires}, not "ok \u00e4"',
    ),
    (
        'value = "ok }"\n',
        1,
        'value must be printable ASCII with braces only in {user} and {expires}, not "ok }"',
    ),
    (
        'value = "{uesr}"\n',
        1,
        'value must be printable ASCII with braces only in {user} and {expires}, not "{uesr}"',
    ),
    (
        'log_timezone = "Mars/Olympus"\n',
        1,
        'log_timezone must be a time zone that this machine knows, such as UTC or Europe/Vienna, not "Mars/Olympus"',
    ),
    ("watchlog = [\n'/a',\n# b\n3]\n", 4, "watchlog must be a log or a list of logs; one is 3"),
    ("watchlog = {}\n", 1, "watchlog must be a log or a list of logs, not a table"),
    (
        '[guards]\nproxies = ["192.0.2.1",\n"192.0.2.1/24"]\n',
        3,
        'guards.proxies must be a list of addresses or networks, such as ["192.0.2.7", "2001:db8::/64"];'
        ' one is "192.0.2.1/24"',
    ),
    (
        '[formats.dovecot]\nprogram = "two words"\n',
        2,
        'formats.dovecot.program must be a list of syslog tags, such as ["dovecot-backend"], not "two words"',
    ),
    ("grace = 1\ngrace = 2\n", 2, "not valid TOML: Cannot overwrite a value"),
    ("grace 60\n", 1, "not valid TOML: Expected '=' after a key in a key/value pair"),
    ("grace = 60\nlogto = 'x\n", 2, "not valid TOML: "),
    ('dbfile = """x\n\n', 1, "not valid TOML: "),
    ("grace = 60\n# \xff\n".encode("latin-1"), 2, "not UTF-8 text, which TOML must be"),
    (f'core = "{"x" * 200}\\n"\n', 1, f'core must be one of auto, rust, python, not "{"x" * 57}..."'),
]


@pytest.mark.parametrize(("text", "line", "message"), FAULTS)
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    path = tmp_path / "pbs-fast.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(str(path))
    shown = str(caught.value)
    if message.endswith(": "):
        assert shown.startswith(f"{path}:{line}: {message}")
    else:
        assert shown == f"{path}:{line}: {message}"
    assert len(shown.splitlines()) == 1
    assert caught.value.exit_status == 2


PERL = [
    ("x.pl", "grace = 60\n"),
    ("x.conf", "use strict;\n"),
    ("x.conf", "# comment\n$pat = '^(... .. ..:..:..) x';\n1;\n"),
    ("x.conf", "=cut ============== START\n"),
    ("x.conf", "our @mynets = ();\n"),
    ("x.conf", "sub custom_match {\n"),
]


@pytest.mark.parametrize(("name", "text"), PERL)
def test_a_perl_configuration_is_sent_to_import_config(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"Perl configuration .*; convert it: pbs-fast import-config {path} "):
        load(str(path))


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match=r"cannot read the configuration file .*no\.toml: No such file or directory"):
        load(missing)
    with pytest.raises(ConfigError, match="Is a directory"):
        load(str(tmp_path))
    with pytest.raises(ConfigError, match="no such path can be"):
        load("a\0b")


def test_the_default_file_may_be_missing_but_not_unreadable(tmp_path: Path) -> None:
    assert load(None, str(tmp_path / "no.toml")) is None
    (tmp_path / "file").touch()
    assert load(None, str(tmp_path / "file" / "no.toml")) is None
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="No such file or directory"):
        load(None, str(tmp_path / "dangling"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_default_file_in_a_closed_directory_is_not_taken_as_missing(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    child = os.fork()
    if not child:
        os.setuid(65534)
        try:
            load(None, str(tmp_path / "no.toml"))
        except ConfigError as error:
            os._exit(7 if "Permission denied" in str(error) else 1)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_file_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(
        b'\xef\xbb\xbfgrace = 60\r\nwatchlog = "/one"\nlog_timezone = "UTC"\nguards.hosts = ["mx1"]\n'
        b'[formats.dovecot]\nprogram = ["dovecot-backend", "*/imap"]\n'
    )
    settings = merge(load(str(path)), [])
    config = settings.config
    assert (config.grace, config.watchlog, config.log_timezone) == (60, ("/one",), "UTC")
    assert config.guards.hosts == ("mx1",)
    assert config.program_tags == {"dovecot": ("dovecot-backend", "*/imap")}
    assert settings.file == str(path)
    assert settings.origin("grace") == f"{path}:1"
    assert settings.origin("guards.hosts") == f"{path}:4"
    assert settings.origin("formats.dovecot.program") == f"{path}:6"
    assert settings.origin("write") == "default"
