"""The page of a run: figures, commit, date, machine."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mtatables.common import Figure
from pbs_fast import __version__

ROOT = Path(__file__).resolve().parents[2]

TITLES = {
    "deltas": "Milliseconds of one change (one row in, one out), and seconds of building the whole table",
    "fresh": "Clients that try once, right after their row was written; 10 000 rows, other sessions meanwhile",
    "growth": "Clients in the table while it grows from 1 000 to 40 000 rows",
    "sessions": "Sessions of a saturated Postfix, 10 000 rows",
    "lookups": "Look-ups of a socketmap of 100 000 rows by 100 clients at a time",
}


def machine() -> list[str]:
    """What ran it, one line each."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    postfix = _said("postconf", "-h", "mail_version")
    return [
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- pbs-fast {__version__}, commit {_said('git', '-C', str(ROOT), 'describe', '--always', '--dirty')}",
        f"- machine: {os.cpu_count()} processors ({cpu}), {memory >> 20} GiB, {platform.system()} {platform.release()}",
        f"- Python {platform.python_version()}, Postfix {postfix}",
    ]


def page(figures: Sequence[Figure], head: Iterable[str], load: tuple[float, float]) -> str:
    """Markdown: a table for each kind of figure, in the order in which they were measured."""
    lines = [
        "# Tables, measured",
        "",
        "Written by `benches/tables.py --record`; what each figure means: benches/README.md.",
        "",
        *head,
        f"- load average (1 minute) before {load[0]:.2f}, after {load[1]:.2f} (the bench itself is most of the latter)",
    ]
    for kind in dict.fromkeys(str(figure["figure"]) for figure in figures):
        rows = [{k: v for k, v in figure.items() if k != "figure"} for figure in figures if figure["figure"] == kind]
        lines += ["", f"## {TITLES[kind]}", "", _row(rows[0]), _row("---" for _ in rows[0])]
        lines += [_row(row.values()) for row in rows]
    return "\n".join(lines) + "\n"


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
