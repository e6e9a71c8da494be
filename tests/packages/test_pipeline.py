"""The pipeline: its steps exist, its actions are pinned, its rights are few. zizmor, in `make lint`, knows far more."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mta import unavailable
from packages import PACKAGING, tool

ROOT = PACKAGING.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted([*PACKAGING.glob("*.sh"), *(ROOT / "scripts").glob("*.sh")])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_step_that_judges_is_a_target_of_ours(path: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    text = path.read_text()
    called = {
        word
        for line in re.findall(r"\bmake ((?:[a-z-]+ ?)+)", re.sub(r"#.*|name: .*", "", text))
        for word in line.split()
        if word != "on"
    }
    assert len(called) >= 3
    assert called <= targets
    others = {line.split()[0] for line in re.findall(r"- run: (?!>-)(.+)", text)} - {"make", "sudo", "rustup"}
    # A bare container lacks what the hosted machines have, and is told where Rust's installer put it.
    assert others <= {
        "gh",
        "apt-get",
        "scripts/install-rust.sh",
        "scripts/install-test-servers.sh",
        'PATH="$HOME/.cargo/bin:$PATH"',
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_say_their_version(path: Path) -> None:
    uses = re.findall(r"uses: (.+)", path.read_text())
    assert len(uses) > 5
    for each in uses:
        assert each.startswith("./") or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each
    pins = {
        each.partition("@")[0]: each for every in WORKFLOWS for each in re.findall(r"uses: (.+)", every.read_text())
    }
    assert all(pins[each.partition("@")[0]] == each for each in uses), "one version of an action in all workflows"


def test_what_is_attested_is_uploaded_before_a_test_can_change_it() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    uploads = 0
    for job in re.split(r"(?m)^  (?=[a-z-]+:$)", text):
        if "upload-artifact@" in job:
            before, _, after = job.partition("upload-artifact@")
            assert not re.search(r"- run: make (?!build-wheels)|docker run", before), before
            assert "test-wheels" in after, after
            uploads += job.count("upload-artifact@")
    assert uploads == 3


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_rights_are_given_to_jobs_and_few_may_write(path: Path) -> None:
    text = path.read_text()
    assert "\npermissions: {}\n" in text
    writes = re.findall(r"(?m)^ +([a-z-]+): write$", text)
    assert sorted(writes) == (["attestations", "contents", "id-token", "id-token"] if path.stem == "release" else [])
    assert "secrets." not in text


def test_licences_are_listed_as_they_are() -> None:
    if shutil.which("cargo") is None:
        unavailable("cargo is not installed")
    program = f"import sys; sys.path.insert(0, {str(PACKAGING)!r}); import licences; print(licences.listing(), end='')"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / "docs" / "LICENCES.md").read_text(), "packaging/licences.py writes it"


def test_each_dependency_has_its_reason() -> None:
    """ARCHITECTURE.md names each library and crate that we ask for."""
    tour = (ROOT / "ARCHITECTURE.md").read_text()
    reasons = tour.partition("## Dependencies, and why")[2].partition("\n## ")[0]
    asked = re.findall(r'(?m)^    "([A-Za-z_.-]+)[>=]', (ROOT / "pyproject.toml").read_text())
    for manifest in (ROOT / "rust").glob("*/Cargo.toml"):
        block = manifest.read_text().partition("\n[dependencies]\n")[2].partition("\n[")[0]
        asked += re.findall(r"(?m)^([a-z0-9_-]+) = ", block)
    assert len(asked) > 15
    assert [name for name in asked if name not in reasons and name != "pbs-core"] == []


def test_setup_installs_only_the_groups_that_it_names() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert {"build", "test", "lint", "plot"} <= set(groups)
    assert "dev" not in groups, "maturin develop installs one of that name, too"
    assert re.findall(r"--group (\w+)", (ROOT / "scripts" / "setup.sh").read_text()) == ["build", "test"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shell_scripts_are_read_by_a_shell(script: Path) -> None:
    assert script.stat().st_mode & 0o111 or script.name in ("deb-proof.sh", "proof.sh", "root.sh")
    shell = script.read_text().partition("\n")[0].removeprefix("#!").split()[0]
    subprocess.run([tool(Path(shell).name), "-n", script], check=True)


def test_the_hint_for_hash_tables_names_the_extra() -> None:
    assert 'bdb = ["berkeleydb' in (ROOT / "pyproject.toml").read_text()
    for text in (ROOT / "README.md", ROOT / "docs" / "MTA-POSTFIX.md", ROOT / "python/pbs_fast/tables/types/bdb.py"):
        assert "pip install 'pbs-fast[bdb]'" in text.read_text(), text
