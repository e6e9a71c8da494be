"""Builds what this platform can into dist/ (native wheel, pure wheel, sdist) and tests each where nothing else is.

    python packaging/wheels.py build            what `make wheels` does first
    python packaging/wheels.py test [FILE...]   then this, with the files of dist/
    python packaging/wheels.py release TAG      whether dist/ holds what a release consists of, and nothing else

Each file is installed into an empty virtual environment from a folder of wheels, with no index, and must pass
packaging/installed.py. Where dist/ holds both wheels, pip must take the native one here and the pure one elsewhere.
The folder, target/wheelhouse, is filled from the index beforehand, with constraints.txt's versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
HOUSE = ROOT / "target" / "wheelhouse"
#: For a machine that no native wheel is made for.
ELSEWHERE = ("--platform=linux_riscv64", "--python-version=3.11", "--implementation=cp", "--only-binary=:all:")
#: The files of a release, after name and version: each platform's abi3 wheel and free-threaded one, and the sources.
ENDINGS = (
    *(
        f"-{python}-{platform}"
        for python in ("cp311-abi3", "cp314-cp314t")
        for platform in (
            *(f"{libc}_*_{arch}.whl" for libc in ("manylinux", "musllinux") for arch in ("x86_64", "aarch64")),
            "macosx_*_x86_64.whl",
            "macosx_*_arm64.whl",
        )
    ),
    "-py3-none-any.whl",
    ".tar.gz",
)


def main(arguments: Sequence[str]) -> int:
    match arguments:
        case ["build"]:
            build()
        case ["test"]:
            test(sorted(DIST.glob("pbs_fast-*")))
        case ["test", *files]:
            test([Path(file).resolve() for file in files])
        case ["release", tag]:
            release(tag)
        case _:
            print("usage: wheels.py build | test [FILE...] | release TAG", file=sys.stderr)
            return 2
    return 0


def build() -> None:
    """Empties dist/ and fills it."""
    shutil.rmtree(DIST, ignore_errors=True)
    here = Path(sys.executable).parent
    native = ("build", "--release", "--locked", f"--interpreter={sys.executable}")
    for name, command in {
        "native": (here / "maturin", *native, f"--out={DIST}"),
        "sdist": (here / "maturin", "sdist", f"--out={DIST}"),
        "pure": (here / "hatchling", "build", "--target=wheel", f"--directory={DIST}"),
    }.items():
        begun = time.monotonic()
        call(*command)
        print(f"wheels: built {name} in {time.monotonic() - begun:.0f} s")


def test(files: Sequence[Path]) -> None:
    """Installs and checks each file. Raises SystemExit when there is none or one does not pass."""
    if not files:
        raise SystemExit("wheels: dist/ holds nothing to test; run `make wheels`")
    stock()
    for file in files:
        print(f"wheels: {file.name} ({file.stat().st_size:,} bytes)")
        install_and_check(file)
    kinds = {is_pure(file) for file in files if file.suffix == ".whl"}
    if kinds == {True, False}:
        choose(files)


def stock() -> None:
    """Fills the folder that the installations take everything else from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    pip("wheel", f"--wheel-dir={HOUSE}", f"--constraint={ROOT / 'constraints.txt'}", *wanted)


def install_and_check(file: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pbs-fast-wheels-") as place:
        call(sys.executable, "-m", "venv", place)
        inside = Path(place) / "bin"
        # Isolated: no settings of this machine, no index; what the sdist is built with comes from the folder too.
        install = ("-m", "pip", "--isolated", "install", "--quiet", "--no-index", f"--find-links={HOUSE}", file)
        call(inside / "python", *install)
        call(inside / "python", "-m", "pip", "--isolated", "check")
        core = "python" if is_pure(file) else "rust"
        # From another directory, or the checkout's own package would be found first.
        call(inside / "python", ROOT / "packaging" / "installed.py", inside / "pbs-fast", f"--core={core}", at=place)


def choose(files: Sequence[Path]) -> None:
    """pip's own choice among all the files together."""
    with tempfile.TemporaryDirectory(prefix="pbs-fast-choice-") as place:
        for file in files:
            shutil.copy(file, place)
        for name, options, pure in (("here", (), False), ("elsewhere", ELSEWHERE, True)):
            taken = Path(place) / name
            pip("--isolated", "download", "--no-index", f"--find-links={place}", "--no-deps", f"--dest={taken}",
                *options, "pbs-fast")  # fmt: skip
            (file,) = taken.iterdir()
            print(f"wheels: pip takes {file.name} {name}")
            if is_pure(file) != pure:
                raise SystemExit(f"wheels: {name} pip takes {file.name}, the wrong one")


def release(tag: str) -> None:
    """Raises SystemExit when a file is missing or too many, or the tag is not the version's."""
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    if tag != f"v{version}":
        raise SystemExit(f"wheels: tag {tag} is not v{version}, the version in Cargo.toml")
    missing, found = [], {file.name for file in DIST.iterdir()}
    for ending in ENDINGS:
        fits = {name for name in found if fnmatchcase(name, f"pbs_fast-{version}{ending}")}
        if len(fits) != 1:
            missing.append(f"{len(fits)} of {ending}")
        found -= fits
    if missing or found:
        raise SystemExit(f"wheels: dist/ is no release: {', '.join(missing)}; left over: {', '.join(sorted(found))}")
    print(f"wheels: {len(ENDINGS)} files of {version}")


def is_pure(file: Path) -> bool:
    return file.name.endswith("-py3-none-any.whl")


def pip(*arguments: str | Path) -> None:
    call(sys.executable, "-m", "pip", *arguments, quiet=True)


def call(*command: str | Path, at: str | Path = ROOT, quiet: bool = False) -> None:
    """Runs a command; what it said is shown when it fails. Raises SystemExit then."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "CARGO_TARGET_DIR": str(ROOT / "target")}
    done = subprocess.run(command, cwd=at, env=environment, text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)  # fmt: skip
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        raise SystemExit(f"wheels: {' '.join(map(str, command))} ended with {done.returncode}")
    if not quiet and (said := [line for line in done.stdout.splitlines() if line.startswith("  works:")]):
        print("\n".join(said))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
