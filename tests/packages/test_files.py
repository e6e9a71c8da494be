"""Accounts, directories, rotation and examples."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from packages import PACKAGING, tool
from pbs_fast.config import Config, Settings, load, merge
from pbs_fast.guards.deny import read_deny

EXAMPLE = PACKAGING / "etc" / "pbs-fast.toml"


def uncommented(path: Path) -> str:
    """The file with each commented setting and table switched on."""
    return re.sub(r"(?m)^#(?=[a-z0-9_]+ = |\[)", "", path.read_text())


def test_account_and_directories(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    for name in ("etc", "var/lib", "var/log"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc" / "group").write_text("root:x:0:\nadm:x:4:\n")
    root = f"--root={tmp_path}"
    subprocess.run([tool("systemd-sysusers"), root, PACKAGING / "sysusers.d" / "pbs-fast.conf"], check=True)
    account = next(
        line.split(":") for line in (tmp_path / "etc" / "passwd").read_text().splitlines() if "pbs-fast" in line
    )
    assert (account[0], account[5]) == ("pbs-fast", "/var/lib/pbs-fast")
    assert account[6].endswith("nologin")
    uid, gid = int(account[2]), int(account[3])
    assert 0 < uid < 1000
    subprocess.run([tool("systemd-tmpfiles"), root, "--create", PACKAGING / "tmpfiles.d" / "pbs-fast.conf"], check=True)

    def found(name: str) -> tuple[int, int, int]:
        status = (tmp_path / name).stat()
        return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid

    assert found("var/lib/pbs-fast") == (0o755, uid, gid)
    assert found("var/log/pbs-fast") == (0o750, uid, 4)
    assert found("etc/pbs-fast") == (0o755, 0, 0)
    assert list((tmp_path / "var/lib/pbs-fast").iterdir()) == []


def test_rotation_by_logrotate(tmp_path: Path) -> None:
    """The real logrotate, with our paths, the account it runs here and a program that notes the signal."""
    logrotate = tool("logrotate")
    logs = tmp_path / "log"
    logs.mkdir(mode=0o750)
    (logs / "pbs-fast.log").write_text("Nov  2 03:04:05 added 192.0.2.1 to DB\n")
    program = tmp_path / "init"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/told\n')
    program.chmod(0o755)
    text = (PACKAGING / "logrotate" / "pbs-fast").read_text()
    for old, new in (
        ("/var/log/pbs-fast/", f"{logs}/"),
        ("su pbs-fast adm", "su root root"),
        ("create 0640 pbs-fast adm", "create 0640 root root"),
        ("/run/systemd/system", str(tmp_path / "no-systemd")),
        ("/etc/init.d/pbs-fast", str(program)),
    ):
        assert old in text
        text = text.replace(old, new)
    snippet = tmp_path / "snippet"
    snippet.write_text(text)
    snippet.chmod(0o644)
    subprocess.run([logrotate, "--force", "--state", tmp_path / "state", snippet], check=True)
    assert (logs / "pbs-fast.log.1").read_text().endswith("to DB\n")
    assert stat.S_IMODE((logs / "pbs-fast.log").stat().st_mode) == 0o640
    assert (tmp_path / "told").read_text() == "reload\n"


def test_the_example_is_what_the_model_says() -> None:
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(PACKAGING)!r}); import make_example as m; print(m.example(), end='')",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert made == EXAMPLE.read_text(), "packaging/make_example.py writes it"


def read(path: Path) -> Settings:
    return merge(load(str(path)), ())


def test_the_example_changes_only_the_account() -> None:
    assert read(EXAMPLE).config == Config(user="pbs-fast")


def test_each_line_of_the_example_can_be_switched_on(tmp_path: Path) -> None:
    path = tmp_path / "all.toml"
    path.write_text(uncommented(EXAMPLE))
    settings = read(path)
    assert settings.config.program_tags == {"dovecot": ("dovecot-backend",)}
    assert settings.config.logto == "/var/log/pbs-fast/pbs-fast.log"
    from pbs_fast.config.keys import CAP_EXCEPTIONS, KEYS

    assert {*KEYS, CAP_EXCEPTIONS} == {key for key in settings.origins if not key.startswith("formats.")}


def test_the_example_of_a_deny_list(tmp_path: Path) -> None:
    deny = PACKAGING / "etc" / "deny.toml"
    assert read_deny(str(deny)).denials == ()
    path = tmp_path / "deny.toml"
    path.write_text(uncommented(deny))
    first, second = read_deny(str(path)).denials
    assert len(first.networks) == 3
    assert second.users == ("mallory@example.org",)
    assert second.until < float("inf")
