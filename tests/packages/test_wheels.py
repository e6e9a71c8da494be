"""The pure wheel, and the release's set of files. `make wheels` installs and tries all kinds; that takes minutes."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from email.parser import HeaderParser
from importlib import util
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType

import pytest

import pbs_fast
from mta import unavailable
from packages import PACKAGING

ROOT = PACKAGING.parent
HATCHLING = Path(sys.executable).with_name("hatchling")


@pytest.fixture(scope="session")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `make wheels` builds it."""
    if not HATCHLING.exists():
        unavailable("hatchling is not installed; `make setup` does it")
    place = tmp_path_factory.mktemp("pure")
    subprocess.run([HATCHLING, "build", "--target=wheel", f"--directory={place}"], cwd=ROOT, check=True)
    (wheel,) = place.iterdir()
    return wheel


def wheels() -> ModuleType:
    """packaging/wheels.py."""
    found = util.spec_from_file_location("wheels", PACKAGING / "wheels.py")
    assert found is not None
    assert found.loader is not None
    module = util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_its_name(pure: Path) -> None:
    assert pure.name == f"pbs_fast-{pbs_fast.__version__}-py3-none-any.whl"


def test_it_holds_the_whole_package_but_the_native_module(pure: Path) -> None:
    package = ROOT / "python" / "pbs_fast"
    wanted = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".so", ".pyd", ".pyc")
    }
    found = {name for name in zipfile.ZipFile(pure).namelist() if ".dist-info/" not in name}
    assert found == wanted
    assert len([name for name in found if name.startswith("pbs_fast/formats/data/")]) > 3


def test_it_says_of_itself_what_the_native_wheel_says(pure: Path, tmp_path: Path) -> None:
    """Both backends read one pyproject.toml; what they make of it must be one thing to pip and to PyPI."""
    with zipfile.ZipFile(pure) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        ours = HeaderParser().parsestr(archive.read(name).decode())
        scripts = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    maturin = [Path(sys.executable).with_name("maturin"), "pep517", "write-dist-info"]
    here = [f"--interpreter={sys.executable}", f"--metadata-directory={tmp_path}"]
    subprocess.run([*maturin, *here], cwd=ROOT, check=True)
    (native,) = distributions(path=[str(tmp_path)])
    theirs = HeaderParser().parsestr(native.read_text("METADATA") or "")
    for key in ("Name", "Version", "Summary", "License-Expression", "Requires-Python", "Metadata-Version"):
        assert ours[key] == theirs[key], key
    for key in ("Classifier", "Provides-Extra", "License-File"):
        assert sorted(ours.get_all(key) or ()) == sorted(theirs.get_all(key) or ()), key
    assert set(map(requirement, ours.get_all("Requires-Dist") or ())) == set(
        map(requirement, theirs.get_all("Requires-Dist") or ())
    )
    assert words(scripts) == words(native.read_text("entry_points.txt") or "")


def words(text: str) -> list[str]:
    """An INI file without its spacing, sorted."""
    return sorted("".join(line.split()) for line in text.splitlines() if line)


def requirement(line: str) -> tuple[str, frozenset[str], str]:
    """Name, bounds and whether there is a marker: the backends spell versions and markers differently."""
    need, _, marker = line.partition(";")
    name = need.strip().partition(">=")[0].strip().partition("<")[0]
    bounds = need.strip().removeprefix(name).split(",")
    extra = "extra" if "extra ==" in marker else "python" if "python" in marker else marker.strip()
    return name, frozenset(map(str.strip, bounds)), extra.replace('"', "'")


def test_without_the_native_module_it_works(pure: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pure) as archive:
        archive.extractall(tmp_path / "site")
    log = tmp_path / "mail.log"
    log.write_text(
        "2026-11-23T03:04:05+00:00 hub dovecot: imap-login: Login: user=<ann>, method=PLAIN, rip=198.51.100.7,"
        " lip=192.0.2.10, mpid=71, TLS, session=<9mVjWnQ7pQDLAHEF>\n"
    )
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    program = (
        f"import sys; sys.path[:0] = {[str(tmp_path / 'site'), *libraries]!r}; from pbs_fast.cli import main;"
        f" sys.exit(main(['version']) or main(['match', {str(log)!r}]))"
    )
    # Without site, or the editable installation's package would be found.
    done = subprocess.run([sys.executable, "-S", "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "core:     python\nreason:   this installation has no Rust backend\n" in done.stdout
    assert "198.51.100.7" in done.stdout


def release_of(version: str) -> list[str]:
    platforms = [
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "manylinux_2_17_aarch64.manylinux2014_aarch64",
        "musllinux_1_2_x86_64",
        "musllinux_1_2_aarch64",
        "macosx_10_12_x86_64",
        "macosx_11_0_arm64",
    ]
    return [
        *(f"pbs_fast-{version}-{tag}-{each}.whl" for tag in ("cp311-abi3", "cp314-cp314t") for each in platforms),
        f"pbs_fast-{version}-py3-none-any.whl",
        f"pbs_fast-{version}.tar.gz",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda files: files, None),
        (lambda files: files[1:], "0 of -cp311-abi3-manylinux"),
        (lambda files: files[:-1], r"0 of \.tar\.gz"),
        (lambda files: [*files, "pbs_fast-9.9-py3-none-any.whl"], r"left over: pbs_fast-9\.9"),
        (lambda files: [*files, files[0].replace("2_17", "2_28")], "2 of -cp311-abi3-manylinux"),
    ],
)
def test_a_release_is_complete(
    change: Callable[[list[str]], list[str]], reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, version = wheels(), pbs_fast.__version__
    monkeypatch.setattr(module, "DIST", tmp_path)
    for name in change(release_of(version)):
        (tmp_path / name).touch()
    if reason is None:
        module.release(f"v{version}")
        with pytest.raises(SystemExit, match=r"tag v0\.0 is not v"):
            module.release("v0.0")
    else:
        with pytest.raises(SystemExit, match=reason):
            module.release(f"v{version}")
