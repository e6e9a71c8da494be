"""`pbs-fast formats` and `pbs-fast version`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import pytest

from pbs_fast import __version__
from pbs_fast.cli import main
from pbs_fast.formats import loader
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import load_backend

Output = pytest.CaptureFixture[str]


def test_every_format_is_in_the_list(capfd: Output) -> None:
    assert main(["formats"]) == 0
    lines = capfd.readouterr().out.splitlines()
    catalogue = load_catalogue()
    assert "pbs-fast formats NAME shows" in lines.pop()
    assert [line.split()[0] for line in lines] == ["NAME", *(each.name for each in catalogue)]
    for line, each in zip(lines[1:], catalogue, strict=True):
        assert line.endswith(f"  {each.title}")
        assert len(line) <= 80


@pytest.mark.parametrize("name", [each.name for each in load_catalogue()])
def test_a_formats_page_has_its_samples_and_behind_an_option_its_patterns(name: str, capfd: Output) -> None:
    found = next(each for each in load_catalogue() if each.name == name)
    raw = tomllib.loads((loader.DATA / f"{name}.toml").read_text())
    session = raw.get("session", {})
    patterns = [*raw.get("login", ()), *raw.get("logout", ()), *(each for steps in session.values() for each in steps)]
    assert main(["formats", name]) == 0
    text = capfd.readouterr().out
    for tag in (*found.program, *found.tls_program):
        assert tag in text
    assert "\n  login    " in text
    assert "\n  attack   " in text
    assert "{ip}" not in text
    assert "(?P<" not in text
    assert f"pbs-fast formats {name} --patterns" in text.splitlines()[-1]
    assert main(["formats", "--patterns", name]) == 0
    text = capfd.readouterr().out
    assert patterns
    assert [pattern for pattern in patterns if f"  {pattern}\n" not in text] == []
    assert "  attack   " not in text


def test_patterns_of_no_format(capfd: Output) -> None:
    assert main(["formats", "--patterns"]) == 2
    assert "--patterns needs the name of a format" in capfd.readouterr().err


def test_json(capfd: Output) -> None:
    assert main(["formats", "--json"]) == 0
    every = json.loads(capfd.readouterr().out)
    assert [each["name"] for each in every] == [each.name for each in load_catalogue()]
    assert main(["formats", "--json", "dovecot"]) == 0
    one = json.loads(capfd.readouterr().out)
    found = next(each for each in load_catalogue() if each.name == "dovecot")
    assert tuple(one["login"]) == found.login
    assert {sample["kind"] for sample in one["samples"]} >= {"login", "failure", "attack"}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("dovcot", "pbs-fast formats: no such format dovcot; nearest: dovecot\n"),
        ("x\ny", "pbs-fast formats: no such format x\\x0ay; see: pbs-fast formats\n"),
    ],
)
def test_an_unknown_format(name: str, line: str, capfd: Output) -> None:
    assert main(["formats", name]) == 2
    assert capfd.readouterr() == ("", line)


def test_version_says_which_twin_and_why(capfd: Output) -> None:
    core = load_backend()
    assert main(["version", "--json"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert list(facts) == ["version", "core", "reason", "build", "python", "platform"]
    assert (facts["version"], facts["core"], facts["reason"]) == (__version__, core.name, core.reason)
    assert facts["build"] in ("release", "debug")
    assert main(["version", "--core=python"]) == 0
    text = capfd.readouterr().out
    assert f"version:  {__version__}\n" in text
    assert "core:     python\nreason:   --core=python\n" in text


def test_the_environment_chooses_the_twin() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pbs_fast", "version", "--json"],
        env=os.environ | {"PBS_FAST_CORE": "python"},
        capture_output=True,
        check=True,
    )
    facts = json.loads(done.stdout)
    assert (facts["core"], facts["reason"]) == ("python", "PBS_FAST_CORE=python")
