"""The stub and the constants of the native module are those of the module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pbs_fast
from mta import require_library
from pbs_fast import _core, events
from pbs_fast.matching.python import fold, scan

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


def stubtest(module: str, mypy_path: Path) -> subprocess.CompletedProcess[str]:
    require_library("mypy")
    command = [sys.executable, "-m", "mypy.stubtest", module, "--mypy-config-file", str(ROOT / "pyproject.toml")]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"MYPYPATH": str(mypy_path), "PYTHONPATH": str(mypy_path)},
    )


def test_stub_is_the_modules() -> None:
    done = stubtest("pbs_fast._core", ROOT / "python")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stub_that_drifts_is_found(tmp_path: Path) -> None:
    stub = (ROOT / "python" / "pbs_fast" / "_core.pyi").read_text()
    drifted = stub.replace("def one_pass(pattern: str)", "def one_pass(pattern: str, strict: bool = ...)")
    assert drifted != stub
    package = tmp_path / "pbs_fast"
    package.mkdir()
    for source in (ROOT / "python" / "pbs_fast").iterdir():
        (package / source.name).symlink_to(source)
    (package / "_core.pyi").unlink()
    (package / "_core.pyi").write_text(drifted)
    done = stubtest("pbs_fast._core", tmp_path)
    assert done.returncode == 1
    assert "one_pass" in done.stdout


def test_constants_are_those_of_the_python_side() -> None:
    assert pbs_fast.__version__ == _core.VERSION
    assert events.MAX_AHEAD == _core.MAX_AHEAD
    assert scan.MAX_LINE == _core.MAX_LINE == 16_384
    assert fold.MAX_USERS == _core.MAX_USERS
    assert _core.PROFILE in ("release", "debug")
