"""scripts/setup.sh: what a machine lacks is named at once, in one line, before anything is changed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from packages import PACKAGING, tool

ROOT = PACKAGING.parent
#: Of the system, what the script itself calls.
TOOLS = ("sh", "dirname", "sed", "sort", "head", "cut", "touch", "rm", "env")
#: Programs of a machine: name -> what it is as a script.
OLD = {
    "python3": 'case "$*" in *version_info*) exit 1;; *) echo 3.9.2;; esac',
    "cargo": "echo cargo 1.63.0",
}
NEW = {"python3": 'case "$*" in *ensurepip*) exit 1;; *sysconfig*) echo /none;; esac', "cargo": "echo cargo 1.95.0"}


def said(place: Path, programs: dict[str, str], user: int) -> str:
    """The line of a machine that has these programs only."""
    for name, script in (programs | {"id": f"echo {user}"}).items():
        (place / name).write_text(f"#!/bin/sh\n{script}\n")
        (place / name).chmod(0o755)
    for name in TOOLS:
        (place / name).symlink_to(tool(name))
    tree = place / "tree"
    (tree / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "Cargo.toml", tree)
    shutil.copy(ROOT / "scripts" / "setup.sh", tree / "scripts")
    done = subprocess.run(
        [tree / "scripts" / "setup.sh"], env={"PATH": str(place)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert sorted(path.name for path in tree.iterdir()) == ["Cargo.toml", "scripts"], "nothing is changed"
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("user", [0, 1000])
def test_a_machine_that_has_nothing(tmp_path: Path, user: int) -> None:
    """Root without apt-get is told the same."""
    line = said(tmp_path, {}, user)
    for part in (
        "Python 3.11 or later",
        "a C compiler",
        "Rust 1.",
        "python3-venv",
        "gcc libc6-dev",
        "libdb-dev",
        "rustup",
    ):
        assert part in line, line


def test_what_is_too_old(tmp_path: Path) -> None:
    line = said(tmp_path, OLD, 1000)
    assert "Python 3.11 or later (python3 is 3.9.2; set PYTHON=...)" in line
    assert "(cargo is 1.63.0; see https://rustup.rs)" in line


def test_debians_python_without_venv(tmp_path: Path) -> None:
    line = said(tmp_path, NEW, 1000)
    assert "Python's venv, a C compiler (Debian: python3-venv gcc libc6-dev)" in line
    assert "Rust" not in line


def test_root_gets_the_packages_in_one_go_unless_something_else_is_missing(tmp_path: Path) -> None:
    called = tmp_path / "called"
    line = said(tmp_path, OLD | {"apt-get": f'echo "$@" >>{called}'}, 0)
    assert "Rust" in line
    assert not called.exists(), "nothing is installed while something must be done by hand"
