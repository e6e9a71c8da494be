"""The page: for each kind of figures the newest run, with commit, date and machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from mtatables.common import Figure
from pbs_fast import __version__

ROOT = Path(__file__).resolve().parents[2]

TITLES = {
    "deltas": "Milliseconds of one change (one row in, one out), and seconds of building the whole table",
    "fresh": "Clients that try once, right after their row was written; 10 000 rows, other sessions meanwhile",
    "growth": "Clients in the table while it grows from 1 000 to 40 000 rows",
    "ends": "A `hash:` whose rows end as fast as they begin: what writing the ends later would spare; 1 000 rows",
    "sessions": "Sessions of a saturated Postfix, 10 000 rows",
    "lookups": "Look-ups of a socketmap of 100 000 rows by 100 clients at a time",
}


class Section(TypedDict):
    """One kind of figures and where they come from."""

    head: list[str]
    figures: list[Figure]


def head(before: float) -> list[str]:
    """When, what and on what, a line each; `before` is the load average before it was measured."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    commit = _said("git", "-C", str(ROOT), "describe", "--always", "--dirty")
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; pbs-fast {__version__}, commit {commit}",
        f"{os.cpu_count()} processors ({cpu}), {memory / (1 << 20):.0f} GiB, {system}",
        f"Python {platform.python_version()}, Postfix {_said('postconf', '-h', 'mail_version')}; "
        f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after (the bench's own included)",
    ]


def write(page: Path, measured: Mapping[str, Section]) -> None:
    """Put these sections into the page, and into the JSON file beside that keeps those measured before."""
    store = page.with_suffix(".json")
    known: dict[str, Section] = json.loads(store.read_text()) if store.exists() else {}
    known |= measured
    page.parent.mkdir(exist_ok=True)
    store.write_text(json.dumps(known, indent=1) + "\n")
    lines = [
        "# Tables, measured",
        "",
        "Written by `benches/tables.py --record`; how it is measured: [benches/README.md](../README.md).",
    ]
    for kind, title in TITLES.items():
        if kind in known:
            lines += _section(title, known[kind])
    page.write_text("\n".join(lines) + "\n")


def _section(title: str, section: Section) -> list[str]:
    rows = [{name: cell for name, cell in figure.items() if name != "figure"} for figure in section["figures"]]
    return [
        *("", f"## {title}", ""),
        *(f"- {line}" for line in section["head"]),
        *("", _row(rows[0]), _row("---" for _ in rows[0])),
        *(_row(row.values()) for row in rows),
    ]


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(cell: object) -> str:
    if isinstance(cell, dict):
        return ", ".join(f"{name}: {value}" for name, value in cell.items())
    return f"{cell:,}".replace(",", " ") if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "?"
    except OSError:
        return "?"
