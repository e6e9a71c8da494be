"""Which backend is loaded: a missing native module is a visible fallback, a broken one an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pbs_fast
from pbs_fast import _core
from pbs_fast.errors import CoreError, UsageError
from pbs_fast.matching import Backend, load_backend
from pbs_fast.matching.backends import VARIABLE

PACKAGE = Path(pbs_fast.__file__).parent

ASK = """
import sys
from pbs_fast.errors import PbsError
from pbs_fast.matching import load_backend
try:
    core = load_backend(*sys.argv[1:])
except PbsError as error:
    print(type(error).__name__, error)
else:
    print(core.name, core.reason)
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def ask(tmp_path: Path, native: bytes | None, *choice: str) -> str:
    """What load_backend says in a copy of the package whose native module holds these bytes, or is not there."""
    package = tmp_path / "pbs_fast"
    package.mkdir(exist_ok=True)
    for source in PACKAGE.iterdir():
        if source.suffix not in (".so", ".pyd") and not (package / source.name).exists():
            (package / source.name).symlink_to(source)
    if native is not None:
        (package / "_core.abi3.so").write_bytes(native)
    # The path goes in front of the installed package's.
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{ASK}", *choice]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def test_auto_takes_the_native_twin() -> None:
    core = load_backend()
    assert (core.name, core.profile) == ("rust", _core.PROFILE)
    assert core.Matcher is _core.Matcher
    assert "Rust backend is installed" in core.reason


def test_each_twin_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_backend("rust").name == "rust"
    assert load_backend("python").name == "python"
    monkeypatch.setenv(VARIABLE, "python")
    core = load_backend()
    assert (core.name, core.reason) == ("python", "PBS_FAST_CORE=python")
    assert core.profile.startswith("CPython 3.")
    assert load_backend("rust").reason == "--core=rust"
    monkeypatch.setenv(VARIABLE, "")
    assert load_backend().name == "rust"


def test_a_core_cannot_be_changed() -> None:
    core = load_backend()
    with pytest.raises(AttributeError):
        core.name = "python"  # type: ignore[misc]
    assert isinstance(core, Backend)


@pytest.mark.parametrize(("choice", "nearest"), [("rsut", "rust"), ("Python", "python"), ("automatic", "auto")])
def test_an_unknown_choice_names_the_nearest(choice: str, nearest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=f"--core={choice}: .*did you mean {nearest}"):
        load_backend(choice)
    monkeypatch.setenv(VARIABLE, choice)
    with pytest.raises(UsageError, match=f"PBS_FAST_CORE={choice}: .*did you mean {nearest}"):
        load_backend()


def test_without_a_native_module_auto_falls_back_and_says_so(tmp_path: Path) -> None:
    assert ask(tmp_path, None) == "python this installation has no Rust backend"
    assert ask(tmp_path, None, "python") == "python --core=python"


def test_without_a_native_module_rust_is_an_error(tmp_path: Path) -> None:
    said = ask(tmp_path, None, "rust")
    assert said.startswith("CoreError --core=rust: this installation has no Rust backend")
    assert "pip install" in said


@pytest.mark.parametrize("choice", [(), ("auto",), ("rust",)])
def test_a_broken_native_module_is_never_passed_over(tmp_path: Path, choice: tuple[str, ...]) -> None:
    said = ask(tmp_path, b"this is no shared object", *choice)
    assert said.startswith("CoreError pbs_fast._core: the Rust backend is installed but cannot be loaded")
    assert "PBS_FAST_CORE=python" in said


def test_a_truncated_native_module_is_broken(tmp_path: Path) -> None:
    assert _core.__file__ is not None
    whole = Path(_core.__file__).read_bytes()
    assert ask(tmp_path, whole).startswith("rust auto")
    # Cut within its headers; further on the system's loader itself may die of it.
    assert ask(tmp_path, whole[:100]).startswith("CoreError")


def test_python_does_not_touch_a_broken_native_module(tmp_path: Path) -> None:
    assert ask(tmp_path, b"this is no shared object", "python") == "python --core=python"


def test_a_native_module_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pbs_fast, "__version__", "9.9.9")
    with pytest.raises(CoreError, match=rf"version {_core.VERSION}, the package 9\.9\.9; reinstall"):
        load_backend()
