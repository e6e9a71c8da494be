"""docs/MIGRATION.md is run: its commands on a scratch place, its table of settings through import-config."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.running import PROGRAM, Site
from legacy.counterparts import PATTERNS
from legacy.imported import imported
from mta import require_perl
from mta.guide import DOCS, blocks
from pbs_fast.config import KEYS

TEXT = (DOCS / "MIGRATION.md").read_text()


def test_five_minutes(new_site: Callable[[str], Site]) -> None:
    """Old configuration and log in, `install`ed TOML out, which a daemon runs with."""
    require_perl()
    site = new_site("text")
    place = site.place
    (place / "pop-before-smtp").mkdir()
    old = place / "pop-before-smtp/pop-before-smtp.conf"
    old.write_text(f"{PATTERNS['dovecot'].perl}\n$grace = 77;\n$dbfile = '/nowhere/relay';\n1;\n")
    site.append(time.strftime("%b %d %H:%M:%S") + PATTERNS["dovecot"].lines[0][0][15:])
    for line in blocks("MIGRATION.md")["convert"]:
        for there, here in (("/etc/pop-", f"{place}/pop-"), ("/etc/pbs", f"{place}/pbs"), ("/var/log", str(place))):
            line = line.replace(there, here)
        command, _, target = line.partition(" > ")
        words = shlex.split(command)
        words[0] = PROGRAM if words[0] == "pbs-fast" else words[0]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=place)
        assert done.returncode == 0, (line, done.stderr)
        if target:
            (place / target).write_text(done.stdout)
        if "--check" in line:
            assert "1 addresses would be granted" in done.stdout
            assert "1 addresses are granted by its own code" in done.stdout
    installed = place / "pbs-fast/pbs-fast.toml"
    assert "grace = 77  # was: $grace = 77 (line 2)" in installed.read_text()
    site.config.write_text(installed.read_text() + 'mynetworks = ["127.0.0.0/8"]\n')
    site.grace = 77
    site.start()
    site.wait_rows("203.0.113.41")


@pytest.mark.parametrize(
    "name", re.findall(r"`([a-z_]+)`", TEXT.partition("## What the old settings become")[2].partition("\n## ")[0])
)
def test_keys_that_it_names_exist(name: str) -> None:
    assert name in KEYS or name in ("line_login", "line_logout", "custom_match", "add", "del"), name


@pytest.mark.parametrize(
    ("perl", "key", "value"),
    [
        ("$grace = 5;", "grace", 5),
        ("$dbfile = '/x/y.cdb'; $tie_func = \\&tie_CDB;", "dbfile", "cdb:/x/y"),
        ("$dbvalue = 'yes';", "value", "yes"),
        ("$logto = '/x/log';", "logto", "/x/log"),
        ("$write = 0;", "write", False),
        ("$debug = 1;", "debug", True),
        ("$reprocess = 1;", "reprocess", True),
        ("$flock = 0;", "flock", False),
        ("@mynets = ('10.0.0.0/8');", "mynetworks", ("10.0.0.0/8",)),
        ("$mynet_func = \\&mynet_postfix;", "mynetworks", ("postfix",)),
        ("$tail_getline_func = \\&getline_stdin;", "watchlog", ("-",)),
        ("$log_func = \\&syslog;", "logto", "syslog"),
        ("$file_tail{'name'} = '/x/maillog';", "watchlog", ("/x/maillog",)),
        ("$logtime_pat = '(\\d+/\\w+/\\d+:\\d+:\\d+:\\d+)';", "logtime", "%d/%b/%Y:%H:%M:%S"),
        ("$out_pat = '^[LOGTIME] \\S+ dovecot: x (\\d+)';", "count_sessions", True),
    ],
)
def test_its_table_of_settings(perl: str, key: str, value: object, tmp_path: Path) -> None:
    site = imported(f"{PATTERNS['dovecot'].perl}\n{perl}\n1;\n", tmp_path)
    assert getattr(site.settings.config, key) == value, site.conversion.toml
