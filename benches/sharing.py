#!/usr/bin/env python3
"""Sharing grants: from a login on one node to the accepted RCPT on another, catch-up, memory, dead and hung hubs.

    benches/sharing.py                       # 3 minutes; prints the page
    benches/sharing.py --record              # into record/sharing.md
    benches/sharing.py --soak 10 --record    # 3 POP and 3 SMTP nodes, 2 hubs, links cut at random; 10 minutes

Run as root with Postfix and redis-server (or valkey-server) installed. Each figure is measured in turns with the local
path of the same run, so that a busy machine slows both alike; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benches"), str(ROOT / "tests")]

import share_parts  # noqa: E402 - the folders are on the path now
from livemail import page  # noqa: E402
from sharemail import figures, soak  # noqa: E402

if TYPE_CHECKING:
    from livemail.clients import Took

RECORD = ROOT / "benches" / "record" / "sharing.md"
#: What the nodes' design aims at: p50 and p99 in ms of an open session, quiet and among 1,000 logins a second.
AIMS = {0: (4, 15), 1000: (8, 25)}
#: Bytes of a grant sent, rows a second of a catch-up, seconds of a start, and the ratio with dead and hung hubs.
BYTES, ROWS, START, RATIO = 120, 100_000, 2.0, 1.1
#: Rows of a catch-up without network and tables.
PARTS = 50_000


def measured(seconds: float) -> str:
    """The page's part with the figures."""
    parts = ["## Latency\n\nFrom the append of a login on one node to the accepted RCPT, `lmdb:`, one hub.\n"]
    parts.append(
        "| others' logins/s | path | | p50 ms | p99 ms | worst ms | tries | aim |\n|---|---|---|---|---|---|---|---|"
    )
    for rate, aim in AIMS.items():
        found = figures.latency(seconds, rate)
        for path, took in (("the same node", found.local), ("another node", found.shared)):
            for name in ("inside", "fresh"):
                wanted = f"{aim[0]} / {aim[1]}" if (path, name) == ("another node", "inside") else ""
                parts.append(f"| {rate:,} | {path} | {page.NAMES[name]} | {_row(took[name])} | {wanted} |")
    caught = figures.catch_up()
    faulty = figures.faulty(seconds)
    alive = faulty.took["alive"]
    parts.append(
        "\n## Catch-up\n\n"
        f"A node that only receives starts, and finds {figures.ACTIVE:,} live rows, each sent and renewed once.\n"
        "\n| | | aim |\n|---|---|---|\n"
        f"| ready, without any row | {caught.empty_s:.2f} s | |\n"
        f"| ready, with all | {caught.ready_s:.2f} s | {START:g} s |\n"
        f"| rows read and merged, table written | {caught.rows_per_second:,.0f}/s | {ROWS:,}/s |\n"
        f"| the same, a second of one processor | {caught.rows_per_cpu_second:,.0f}/s | |\n"
        f"{_parts()}"
        f"| memory of the hub | {caught.bytes_a_grant:.0f} bytes a grant sent | {BYTES} |\n"
        "\n## The local path while a hub does not serve\n\nThe same node, in an open session.\n"
        "\n| hub | p50 ms | p99 ms | worst ms | tries | p50 to alive | mean turn ms | no turn over ms |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for state, local in faulty.took.items():
        mean, longest = faulty.turns[state]
        parts.append(f"| {state} | {_row(local)} | {local.median / alive.median:.2f} | {mean:.3f} | {longest:g} |")
    parts.append(f"\nThe ratios are to be {RATIO} at most.")
    return "\n".join(parts) + "\n"


def _parts() -> str:
    """Without network, guards and tables."""
    rates = {batch: share_parts.catch_up(PARTS, batch).rows_per_second for batch in (200, 20, 1)}
    return "".join(
        f"| the same, but decoded, verified and put into the ledger only, {batch} rows a message | {rate:,.0f}/s | |\n"
        for batch, rate in rates.items()
    )


def _row(took: Took) -> str:
    return f"{took.median:.2f} | {took.p99:.2f} | {took.worst:.2f} | {took.tries}"


def head() -> str:
    """When, where and of what."""
    changed = _git("status", "--porcelain", "python", "rust", "benches")
    machine = f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}"
    return (
        "Written by `benches/sharing.py`, which says how.\n\n"
        f"- date: {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}\n"
        f"- commit {_git('rev-parse', '--short=12', 'HEAD')}{', with changes' if changed else ''}\n"
        f"- machine: {machine}; load average before {os.getloadavg()[0]:.1f}\n"
        f"- Python {platform.python_version()}, hub {figures.server_version()}\n"
    )


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=True).stdout.strip()


_SOAK = "# Links cut at random\n"


def put(file: Path, part: str, *, soaked: bool) -> None:
    """Replace the figures, or the soak, in the record; the other part stays."""
    text = file.read_text() if file.exists() else ""
    found = re.search(rf"(?ms)^{_SOAK}.*\Z", text)
    kept = (text[: found.start()] if soaked else found[0]) if found else (text if soaked else "")
    parts = [kept, part] if soaked else [part, kept]
    file.write_text("\n".join(each.strip() + "\n" for each in parts if each.strip()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=24, help="length of each run with clients")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="cut links at random for so long")
    parser.add_argument("--seed", type=int, default=1, help="of the soak's cuts and logins")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(ROOT)}")
    given = parser.parse_args()
    if (reason := page.obstacle()) is not None:
        print(f"sharing.py: {reason}", file=sys.stderr)
        return 1
    before, failed = head(), False
    if given.soak is None:
        text = f"# Sharing grants\n\n{before}\n{measured(given.seconds)}"
    else:
        found = soak.soak(60 * given.soak, given.seed)
        text, failed = f"{_SOAK}\n{before}\n{found.page()}", not found.clean
    print(text)
    if given.record:
        put(RECORD, text, soaked=given.soak is not None)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
