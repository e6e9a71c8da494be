"""RESULTS.md of the figures, and curves as SVG where matplotlib is installed."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from measure.cases import Found
from measure.contenders import RIPGREP, RUST_1, Samples, median, stage
from measure.growth import Curve

ROOT = Path(__file__).resolve().parents[2]


def machine() -> str:
    """Processor, how many, and the system."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)):
        model = found[1]
    return f"{model}, {os.cpu_count()} processors, {platform.system()} {platform.release().split('-')[0]}"


def commit() -> str:
    """The commit that was measured, and whether its code was changed."""

    def git(*command: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *command], stdout=subprocess.PIPE, check=True).stdout.decode()

    changed = git("status", "--porcelain", "--", "python", "rust", "benches/measure", "benches/suite.toml")
    return git("rev-parse", "--short=12", "HEAD").strip() + (" with changes" if changed.strip() else "")


def facts(load: float, command: str) -> list[tuple[str, str]]:
    """What was measured, where and when. `load` is the machine's before the run."""
    version = subprocess.run(
        [sys.executable, "-m", "pbs_fast", "version", "--json"], stdout=subprocess.PIPE, check=True
    ).stdout
    ours = json.loads(version)
    now = datetime.datetime.now(datetime.UTC)
    return [
        ("date", f"{now:%Y-%m-%d %H:%M} UTC"),
        ("commit", commit()),
        ("machine", machine()),
        ("load before", f"{load:.1f}"),
        ("Python", platform.python_version()),
        ("pbs-fast", f"{ours['version']}, {ours['build']}"),
        ("command", f"`{command}`"),
    ]


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column at the left, the others at the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def rivals_part(samples: Samples, missing: list[str], title: str) -> str:
    """The contenders, the fastest of them as the measure: seconds for a million lines, lines/s, ratio to ripgrep."""
    base = _per_line(samples, RIPGREP)
    rows = []
    for name, runs in samples.items():
        each = _per_line(samples, name) or 0.0
        worst, best = max(run.seconds for run in runs), min(run.seconds for run in runs)
        spread = (worst - best) / median(runs)
        rows.append(
            [name, f"{runs[0].lines:,}", f"{median(runs):.3f}", f"{spread:.0%}", _rate(1 / each), _ratio(each, base)]
        )
        if name == RUST_1.name:
            columns = (median(runs) - stage(runs, "ledger") - stage(runs, "table")) / runs[0].lines
            share = f"{columns * runs[0].lines:.3f}"
            rows.append(
                ["of that, reading to folded columns", "", share, "", _rate(1 / columns), _ratio(columns, base)]
            )
    text = f"## Beside its rivals\n\n{title}\n\n"
    text += table(["", "lines", "median s", "spread", "lines/s", "x rg, per line"], rows)
    if missing:
        text += f"\nNot installed, so not measured: {', '.join(missing)}.\n"
    return text


def _per_line(samples: Samples, name: str) -> float | None:
    return median(samples[name]) / samples[name][0].lines if name in samples else None


def _rate(rate: float) -> str:
    return f"{rate / 1e6:.3g} M" if rate >= 1e6 else f"{rate / 1e3:.3g} k"


def _ratio(each: float, base: float | None) -> str:
    return "-" if base is None else f"{each / base:.2f}"


def suite_part(found: list[Found]) -> str:
    """The cases; a stage over its budget in bold."""
    rows = []
    for case in found:
        row = [case.name, f"{case.lines:,}", f"{case.seconds:.3f}"]
        for name, budget in case.budget.items():
            if name not in case.ratios:
                row.append(f"{case.stages[name]:.3f} s")
                continue
            text = f"{case.ratios[name]:.2f} / {budget:g}"
            row.append(f"**{text}**" if name in case.over else text)
        rows.append(row)
    why = "".join(f"- `{case.name}`: {case.why}\n" for case in found)
    return (
        "## The suite\n\nRust, one thread. Each stage's time as a ratio to ripgrep on the same log, and its budget;"
        " what is over it stands in bold.\n\n"
        + table(["case", "lines", "median s", *found[0].budget], rows)
        + f"\n{why}"
    )


def growth_part(curves: list[Curve], plot: str | None) -> str:
    """The curves as tables."""
    text = "## Growth\n\nRust, one thread; the ratio is to the first row.\n"
    if plot:
        text += f"\n![growth]({plot})\n"
    for curve in curves:
        rows = [[p.at, f"{p.ns:.0f}", f"{p.ratio:.2f}", f"{p.peak_rss_mb:.0f}"] for p in curve.points]
        text += "\n" + table([curve.title, curve.unit, "ratio", "peak memory, MB"], rows)
    return text


def draw(curves: list[Curve], path: Path) -> bool:
    """The curves as one picture; False without matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    for axes, curve in zip(figure.subplots(2, 2).flat, curves, strict=True):
        axes.plot([point.x for point in curve.points], [point.ns for point in curve.points], "o-")
        axes.set(title=curve.title, ylabel=curve.unit)
        axes.set_ylim(bottom=0)
    with mpl.rc_context({"svg.hashsalt": "pbs-fast"}):
        figure.savefig(path, metadata={"Date": None})
    return True
