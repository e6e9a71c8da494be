"""kill -9 inside the publishing of a change, system call by system call, for each table that is a file.

What one round is and what it must find: tests/tables/campaign.py. Run as root with Postfix installed
(scripts/install-test-servers.sh); some ten minutes:

    .venv/bin/python benches/kills.py

The tables lie on a tmpfs: kill -9 loses nothing that was written, whatever disk is below, and a disk's waits for each
sync would only make the campaign long. Writes benches/record/kills.md, table by table. Ends with status 1 where
anything was found wrong, or where fewer than 100 kills of a table fell on a write, rename, sync or lock: such a
campaign proves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

from pbs_fast import __version__  # noqa: E402
from tables.campaign import GROWTH, Campaign, Kill, Result, postmap_alone  # noqa: E402
from tables.stepper import UNSUPPORTED  # noqa: E402

TMPFS = Path("/dev/shm")  # noqa: S108 - a directory of its own is made there
RECORD = ROOT / "benches" / "record" / "kills.md"
#: Fewer kills on a write, rename, sync or lock than this are no proof.
TELLING = 100

LEGEND = (
    "Each call is met before it, while it runs and after it. *Telling*: write, rename, sync and lock together. *Other "
    "change*: creating, removing, growing, closing, mode and time of a file. *Elsewhere*: reading, memory."
)
WELL = (
    "After every kill no row was missing that was valid before and after the change, and Postfix (`postmap -q` of each "
    "row; a plain reader for text) read what we read; after every restart the table held exactly what the log implies, "
    "by `postmap -s` too (cdb: `postmap -q`); the readers, who looked up 200 valid rows all the time, never missed one "
    "and met no error."
)


def page(results: Sequence[tuple[Result, float]], file_system: str) -> str:
    """The record, as Markdown."""
    bad = [f"{result.table}: {fault}" for result, _ in results for fault in result.faults]
    kills = [len(result.kills) for result, _ in results]
    verdict = "**Nothing was found wrong.**" if not bad else f"**{len(bad)} faults were found; they stand at the end.**"
    return "\n".join(
        [
            "# kill -9 inside the publishing of a change",
            "",
            "Written by `benches/kills.py`; what a round is and what it must find: `tests/tables/campaign.py`.",
            "",
            *conditions(),
            f"- tables on {file_system}",
            "",
            f"{sum(kills)} kills inside changes of one row to {max(GROWTH.values())} rows, and "
            f"{sum(len(result.start_kills) for result, _ in results)} inside restarts. {verdict}",
            "",
            "## Where the kills fell",
            "",
            *_rows(
                ("table", "kills", "at a write", "rename", "sync", "lock", "telling", "other change", "elsewhere"),
                (
                    (
                        result.table,
                        len(result.kills),
                        *(kinds[name] for name in ("write", "rename", "sync", "lock")),
                        result.telling,
                        kinds["other change"],
                        kinds["none"],
                    )
                    for result, _ in results
                    for kinds in (result.by_kind(),)
                ),
            ),
            "",
            LEGEND,
            "",
            "## What stood there afterwards",
            "",
            *_rows(
                (
                    "table",
                    "as before",
                    "as after",
                    "rows of both",
                    "half a new file beside",
                    "in restarts",
                    "readers' rounds",
                    "s",
                ),
                (
                    (
                        result.table,
                        *(stands[name] for name in ("old", "new", "half")),
                        sum(kill.litter for kill in result.kills),
                        len(result.start_kills),
                        ", ".join(f"{name} {rounds}" for name, rounds in result.readers.items()),
                        round(seconds),
                    )
                    for result, seconds in results
                    for stands in (Counter(kill.stands for kill in result.kills),)
                ),
            ),
            "",
            WELL if not bad else "What was found wrong stands below.",
            "",
            "## Kills by change and call",
            "",
            *_rows(("table", "change", "calls"), _by_change(results)),
            *(["", "## Faults", "", *(f"- {fault}" for fault in bad)] if bad else []),
            "",
        ]
    )


def conditions() -> list[str]:
    """When, of what and on what this was measured."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    commit = _said("git", "-C", str(ROOT), "describe", "--always", "--dirty=, with changes", "--abbrev=12")
    return [
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        f"- pbs-fast {__version__}, commit {commit}",
        f"- machine: {cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} processors, "
        f"{platform.system()} {platform.release()}; load average at the end {os.getloadavg()[0]:.1f}",
        f"- Python {platform.python_version()}, Postfix {_said('postconf', '-h', 'mail_version')}",
    ]


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _by_change(results: Sequence[tuple[Result, float]]) -> Iterator[tuple[object, ...]]:
    for result, _ in results:
        kills: list[Kill] = [*result.kills, *result.start_kills]
        for change in dict.fromkeys(kill.change for kill in kills):
            calls = Counter(kill.call for kill in kills if kill.change == change)
            named = {name: count for name, count in calls.most_common() if not name.startswith("#")}
            rest = sum(count for name, count in calls.items() if name.startswith("#"))
            words = [f"{name} {count}" for name, count in named.items()] + ([f"others {rest}"] if rest else [])
            yield result.table, change, ", ".join(words)


def _rows(head: Sequence[str], body: Iterator[tuple[object, ...]] | Sequence[tuple[object, ...]]) -> list[str]:
    return [f"| {' | '.join(str(cell) for cell in cells)} |" for cells in (head, ["---"] * len(head), *body)]


def campaign(kind: str, directory: Path, kills: int, start_kills: int) -> tuple[Result, float]:
    """One table's campaign, and how long it took in seconds."""
    directory.mkdir()
    start = time.monotonic()
    return Campaign(kind, directory).run(kills, start_kills=start_kills), time.monotonic() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=list(GROWTH), help="hash, btree, lmdb, cdb, text; all by default")
    parser.add_argument("--kills", type=int, default=300, help="inside changes, for each table")
    parser.add_argument("--start-kills", type=int, default=60, help="inside restarts, for each table")
    parser.add_argument("--directory", type=Path, help="where the tables lie, for a time; default: on a tmpfs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="tables at a time")
    parser.add_argument("--record", type=Path, default=RECORD, help="where the result is written")
    options = parser.parse_args()
    if UNSUPPORTED:
        parser.error(UNSUPPORTED)
    place = Path(tempfile.mkdtemp(prefix="pbs-kills-", dir=options.directory or TMPFS))
    results = []
    with postmap_alone(place), ProcessPoolExecutor(options.jobs) as pool:
        todo = [
            pool.submit(campaign, kind, place / kind, options.kills, options.start_kills) for kind in options.tables
        ]
        for done in todo:
            result, seconds = done.result()
            results.append((result, seconds))
            facts = {"table": result.table, "kills": len(result.kills), "telling": result.telling}
            print(json.dumps({**facts, "seconds": round(seconds), "faults": result.faults}), flush=True)
            options.record.parent.mkdir(exist_ok=True)
            options.record.write_text(page(results, _said("stat", "-f", "-c", "%T", str(place))))
    shutil.rmtree(place)
    enough = all(result.telling >= min(TELLING, options.kills) for result, _ in results)
    return 0 if enough and not any(result.faults for result, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
