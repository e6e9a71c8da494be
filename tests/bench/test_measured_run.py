"""benches/run.py as a whole, with given figures: the page it writes, and the status it ends with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.test_measured_page import SAMPLES, point
from livemail.page import Part
from measure import logs
from measure.cases import Found
from measure.growth import FORMATS, LIVE, SHARE, SIZE, Curve
from measure.logs import Log
from measure.start import summary as starts_summary
from measure.switches import summary as switched
from measure.written import summary as written_summary

RUN = Path(__file__).parents[2] / "benches" / "run.py"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The program, which measures nothing: every part gives figures within the budgets."""
    spec = importlib.util.spec_from_file_location("benches_run", RUN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # A measurement that runs beside the tests keeps its files.
    monkeypatch.setattr(logs, "DATA", tmp_path)
    log = tmp_path / "log"
    log.write_bytes(b"x\n" * 100)
    points = [point(1e6, 100, 20), point(333e6, 100, 60)]
    found = Found("hub", "a day", 100, 1.0, {"scan": 0.1}, {"scan": 1.0}, {"scan": 2.0})
    tables = written_summary(unwritten())
    fake: dict[str, Any] = {
        "generated": lambda **_: Log(log, {"lines": 100}, "UTC"),
        "rivals": lambda _: ([], ["grep"]),
        "alternate": lambda *_: SAMPLES,
        "written": lambda *_: tables,
        "starts": lambda _: starts_summary({"bare": [0.1], "`pbs-fast version`": [0.12]}),
        "draw": lambda *_: True,
        "live_part": lambda **_: Part("## Live\n", 0.9),
        "switches": lambda *_: switched({"alone": [1.0], "control": [1.05]}),
    }
    for name, function in fake.items():
        monkeypatch.setattr(module, name, function)
    monkeypatch.setattr(module.page, "commit", lambda: "0123456789ab")
    monkeypatch.setattr(module.cases, "cases", lambda **_: [{}])
    monkeypatch.setattr(module.cases, "run", lambda *_: found)
    curves = [Curve(title, "ns a line", points) for title in (SIZE, LIVE, FORMATS, SHARE)]
    monkeypatch.setattr(module.growth, "curves", lambda **_: curves)
    return module


def unwritten() -> dict[str, Any]:
    return {f"none, {threads}": SAMPLES["fail2ban-regex"] for threads in ("1 thread", "default threads")}


def test_within_its_budgets(run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "RESULTS.md"
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick", f"--out={out}"])
    assert run.main() == 0
    text = out.read_text()
    for heading in ("Aims", "Beside its rivals", "Switched on", "With a table", "Command start", "The suite", "Growth"):
        assert text.count(f"\n## {heading}\n") == 1
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings[:3] == ["## Beside its rivals", "## Aims that are missed", "## Aims"]
    assert "Not installed, so not measured: grep." in text
    assert "| command | `benches/run.py --quick` |" in text
    assert "![growth](RESULTS.svg)" in text


def test_over_a_budget(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "RESULTS.md"
    dear = Found("hub", "a day", 100, 1.0, {"scan": 0.1}, {"scan": 3.0}, {"scan": 2.0})
    monkeypatch.setattr(run.cases, "run", lambda *_: dear)
    monkeypatch.setattr(run, "starts", lambda _: starts_summary({"bare": [0.1], "`pbs-fast version`": [0.2]}))
    monkeypatch.setattr(sys, "argv", ["run.py", f"--out={out}"])
    assert run.main() == 1
    said = capfd.readouterr().err
    assert said == "over budget: hub: scan; `pbs-fast version`: more than a bare typer program: 100 ms of 50\n"
    assert "**3.00 / 2**" in out.read_text()


def test_a_log_of_ones_own_writes_no_page(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    log, out = tmp_path / "own.log", tmp_path / "RESULTS.md"
    log.write_bytes(b"x\n")
    monkeypatch.setattr(sys, "argv", ["run.py", f"--log={log}", f"--out={out}"])
    assert run.main() == 0
    assert "Your log: 0 MB, 5 rounds in alternation." in capfd.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize("option", ["--log", "--perl"])
def test_what_is_not_there_is_said_at_once(
    option: str, run: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", f"{option}=/none"])
    with pytest.raises(SystemExit, match="2"):
        run.main()
    assert capfd.readouterr().err.endswith(f"error: {option}: /none is no file\n")
