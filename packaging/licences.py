"""Lists whose work we ship and under which licence: the crates in the native module, the Python libraries it needs.

    .venv/bin/python packaging/licences.py                 writes docs/LICENCES.md
    .venv/bin/python packaging/licences.py debian WHEELS   prints the Debian package's copyright file, texts included

What the crates say comes from `cargo metadata` (normal dependencies only: what runs while building is not shipped),
what the libraries say from their installed metadata. A test holds the list to both.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "docs" / "LICENCES.md"
#: The oldest Python, Debian 12's, for which a library may need more than for ours.
OLDEST = {"python_full_version": "3.11.2", "python_version": "3.11"}
#: Where older metadata say it only among the classifiers, or at length.
SPDX = {"MIT License": "MIT", "BSD License": "BSD-3-Clause", "ISC License": "ISC", "Apache 2": "Apache-2.0"}
_TEXTS = re.compile(r"(?i)^(licen[cs]e|copying|notice|unlicense|copyright)")


def crates() -> dict[str, tuple[str, Path]]:
    """Name -> (licence, its directory) of each crate linked into the native module."""
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    packages: dict[str, Any] = {each["id"]: each for each in found["packages"]}
    needs = {each["id"]: each["deps"] for each in found["resolve"]["nodes"]}
    todo = [each for each in found["workspace_members"] if packages[each]["name"] == "pbs-python"]
    linked: set[str] = set()
    while todo:
        each = todo.pop()
        if each in linked or "proc-macro" in packages[each]["targets"][0]["kind"]:
            continue
        linked.add(each)
        todo += [need["pkg"] for need in needs[each] if any(kind["kind"] is None for kind in need["dep_kinds"])]
    others = sorted((packages[each] for each in linked if packages[each]["source"]), key=lambda each: each["name"])
    return {each["name"]: (each["license"], Path(each["manifest_path"]).parent) for each in others}


def libraries() -> dict[str, str]:
    """Name -> licence of each Python library that an installation with `bdb`, `metrics` and `share` brings."""
    found: dict[str, str] = {}
    todo = [("pbs-fast", frozenset({"bdb", "metrics", "share"}))]
    while todo:
        name, extras = todo.pop()
        about = distribution(name)
        if name != "pbs-fast":
            found[canonicalize_name(name)] = licence(about)
        for line in about.requires or ():
            need = Requirement(line)
            wanted = need.marker is None or any(
                need.marker.evaluate({"extra": extra, **python}) for extra in {"", *extras} for python in ({}, OLDEST)
            )
            if wanted and canonicalize_name(need.name) not in found:
                todo.append((need.name, frozenset(need.extras)))
    return dict(sorted(found.items()))


def licence(about: Distribution) -> str:
    said = next((about.metadata[key] for key in ("License-Expression", "License") if key in about.metadata), "")
    if not said or "\n" in said:
        marks = [each.rpartition(" :: ")[2] for each in about.metadata.get_all("Classifier") or () if "License" in each]
        said = marks[0] if marks else ""
    if not said:
        raise SystemExit(f"licences: {about.metadata['Name']} does not say its licence")
    return SPDX.get(said, said)


def listing() -> str:
    """docs/LICENCES.md."""
    lines = [
        "# Licences of what we ship",
        "",
        "pbs-fast itself is under the MIT licence ([LICENSE](../LICENSE)). This list is written by",
        "`packaging/licences.py`; versions are in `Cargo.lock` and `constraints.txt`. Every wheel with a native module",
        "also holds a CycloneDX bill of its crates.",
        "",
        "| crate in the native module | licence |",
        "|---|---|",
        *(f"| {name} | {said} |" for name, (said, _) in crates().items()),
        "",
        "| Python library (berkeleydb, prometheus-client, valkey only with `[bdb,metrics,share]`) | licence |",
        "|---|---|",
        *(f"| {name} | {said} |" for name, said in libraries().items()),
        "",
    ]
    return "\n".join(lines)


def texts_of_crates() -> Iterator[tuple[str, str]]:
    for name, (_, directory) in crates().items():
        for file in sorted(directory.iterdir()):
            if file.is_file() and _TEXTS.match(file.name):
                yield f"{name}: {file.name}", file.read_text(errors="replace")


def texts_of_wheels(wheels: Path) -> Iterator[tuple[str, str]]:
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                head, _, last = name.rpartition("/")
                if ".dist-info" in head and _TEXTS.match(last) and not wheel.name.startswith("pbs_fast-"):
                    yield f"{wheel.name.split('-')[0]}: {last}", archive.read(name).decode(errors="replace")


def debian(wheels: Path) -> str:
    """The copyright file: ours, the list, then each text once with all that came under it."""
    texts: dict[str, list[str]] = {}
    for name, raw in (*texts_of_crates(), *texts_of_wheels(wheels)):
        text = "\n".join(raw.splitlines())  # some end their lines as Windows does
        apache = "Apache License" in text and "Version 2.0, January 2004" in text
        texts.setdefault("See /usr/share/common-licenses/Apache-2.0." if apache else text.strip(), []).append(name)
    parts = ["pbs-fast\n", (ROOT / "LICENSE").read_text(), "The package holds these works of others.\n"]
    parts += [f"  {name}: {said}\n" for name, (said, _) in crates().items()]
    parts += [f"  {name}: {said}\n" for name, said in libraries().items()]
    for text, names in texts.items():
        parts.append(f"\n{'-' * 78}\n{', '.join(names)}\n\n{text}\n")
    return "".join(parts)


def main(arguments: list[str]) -> int:
    match arguments:
        case []:
            LIST.write_text(listing())
        case ["debian", wheels]:
            print(debian(Path(wheels)), end="")
        case _:
            print("usage: licences.py [debian WHEELS]", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
