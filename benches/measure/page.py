"""RESULTS.md of the figures. Knows how they are shown and not how they are measured."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from measure.cases import Found
from measure.contenders import RUST_1, Samples, median, spread, to_columns
from measure.growth import Curve, Point
from measure.rivals import RG_JOB, RG_RARE
from measure.start import Start
from measure.switches import Switched
from measure.verdict import Aim, columns_per_line, per_line
from measure.written import Written

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


def aims_part(aims: list[Aim]) -> str:
    """What is missed, in sentences; then all that is aimed at beside what was reached."""
    rows, missed = [], ""
    for aim in aims:
        found, limit = (_of_unit(value, aim.unit) for value in (aim.found, aim.limit))
        wanted = f"at {'least' if aim.at_least else 'most'} {limit}"
        rows.append([aim.what, wanted, found if aim.met else f"**{found}**"])
        if not aim.met:
            missed += f"- {aim.what}: {found}, and it should be {wanted}{aim.reason and f': {aim.reason}'}.\n"
    return f"## Aims that are missed\n\n{missed or 'None.'}\n## Aims\n\n" + table(["", "aim", "reached"], rows)


def _of_unit(value: float, unit: str) -> str:
    if unit == "lines/s":
        return _rate(value)
    return f"{value:.2f}" if unit == "x" else f"{value:.0f} ms" if unit == "ms" else f"{value:.2f} {unit}"


def rivals_part(samples: Samples, missing: list[str], title: str) -> str:
    """The contenders: seconds, lines/s, and each line's time as a ratio to that of both of ripgrep's patterns."""
    bases = [per_line(samples, name) for name in (RG_RARE, RG_JOB)]
    rows = []
    for name, runs in samples.items():
        each = per_line(samples, name) or 0.0
        found = runs[0].record.get("logins", runs[0].found)
        row = [name, f"{runs[0].lines:,}", f"{found:,}", f"{median(runs):.3f}", f"{spread(runs):.0%}", _rate(1 / each)]
        rows.append(row + [_ratio(each, base) for base in bases])
        if name == RUST_1.name:
            columns = columns_per_line(samples)
            row = ["of that, reading to folded columns", "", "", f"{to_columns(runs):.3f}", "", _rate(1 / columns)]
            rows.append(row + [_ratio(columns, base) for base in bases])
    header = ["", "lines", "finds", "median s", "spread", "lines/s", "x rg, rare literal", "x rg, all servers"]
    text = f"## Beside its rivals\n\n{_sentences(samples)}\n{title}\n\n" + table(header, rows)
    if missing:
        text += f"\nNot installed, so not measured: {', '.join(missing)}.\n"
    return text


def _sentences(samples: Samples) -> str:
    """The short form of the table: how our one thread compares with each of the others."""
    ours = per_line(samples, RUST_1.name)
    if not ours:
        return ""
    text = f"pbs-fast with everything on reads {_rate(1 / ours)} lines/s on one thread. A line takes it\n\n"
    for name in samples:
        each = per_line(samples, name)
        if each and not name.startswith("pbs-fast"):
            how = f"{ours / each:.1f} times as long as" if ours >= each else f"1/{each / ours:.0f} of the time of"
            text += f"- {how} `{name}`\n"
    return text


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
        "## The suite\n\nRust, one thread. Each stage's time as a ratio to ripgrep (rare literal) on the same log, and"
        " its budget; what is over it stands in bold.\n\n"
        + table(["case", "lines", "median s", *found[0].budget], rows)
        + f"\n{why}"
    )


def tables_part(rows: list[Written], title: str) -> str:
    """Table writes beside the same pipeline without."""
    shown = []
    for row in rows:
        if row.seconds is None or row.ratio is None:
            shown.append([row.table, row.threads, f"not measured: {row.why}", "", ""])
        else:
            shown.append([row.table, row.threads, f"{row.seconds:.3f}", f"{row.spread:.0%}", f"{row.ratio:.2f}"])
    return f"## With a table\n\n{title}\n\n" + table(["table", "", "median s", "spread", "x without"], shown)


def switches_part(rows: list[Switched], lines: int) -> str:
    """The daemon with each part switched on."""
    shown = [
        [row.name, f"{row.cpu:.2f}", f"{row.spread:.0%}", "" if row.ratio is None else f"{row.ratio:.2f}"]
        if row.why_not is None
        else [row.name, f"not measured: {row.why_not}", "", ""]
        for row in rows
    ]
    return (
        f"## Switched on\n\nProcessor time of the daemon while it follows {lines:,} lines that are written in one go,"
        " without a table in a file, in alternation; the ratio is the median of the rounds'.\n\n"
        + table(["", "CPU s a million lines", "spread", "x alone"], shown)
    )


def start_part(starts: list[Start], rounds: int) -> str:
    """How long commands take to start."""
    rows = [
        [
            each.name,
            f"{1e3 * each.seconds:.0f}",
            f"{each.spread:.0%}",
            "" if each.over_ms is None else f"{each.over_ms:+.0f}",
        ]
        for each in starts
    ]
    title = f"## Command start\n\nWall time of the whole process, {rounds} rounds in alternation.\n\n"
    return title + table(["", "median ms", "spread", "more than bare, ms"], rows)


def growth_part(curves: list[Curve], plot: str | None) -> str:
    """The curves as tables."""
    text = "## Growth\n\nRust, one thread, processor time; the ratio is to the first row.\n"
    if plot:
        text += f"\n![growth]({plot})\n"
    for curve in curves:
        header = [curve.title, curve.unit, "ratio", "peak memory, MB"]
        text += "\n" + table(header, [_growth_row(point) for point in curve.points])
    return text


def _growth_row(point: Point) -> list[str]:
    if point.ns is None or point.ratio is None or point.peak_rss_mb is None:
        return [point.at, f"not measured: {point.why}", "", ""]
    return [point.at, f"{point.ns:.0f}", f"{point.ratio:.2f}", f"{point.peak_rss_mb:.0f}"]
