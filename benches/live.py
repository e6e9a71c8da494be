#!/usr/bin/env python3
"""Live figures: from the append of a login line to the accepted RCPT, and processor time per line followed.

Real Postfix on loopback, the real daemon, guards on; others write 0, 1 000 and 50 000 lines a second into the same log.
Run as root with Postfix installed. Prints what `make bench` puts into RESULTS.md; 4 minutes, with --quick one.

    benches/live.py
    benches/live.py --rate 50000 --seconds 20      # one run, as JSON
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from livemail import page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    parser.add_argument("--seconds", type=float, help="length of each run; by default 45, quick 10")
    parser.add_argument("--rate", type=int, help="this run alone, as JSON")
    parser.add_argument("--table", default="lmdb", help="of this run")
    given = parser.parse_args()
    if (reason := page.obstacle(given.table)) is not None:
        print(f"live.py: {reason}", file=sys.stderr)
        return 1
    if given.rate is None:
        print(page.live_part(quick=given.quick, seconds=given.seconds).text)
        return 0
    from livemail.runs import live

    before = os.getloadavg()[0]
    pause = page.HASH_PAUSE if given.table == "hash" else page.PAUSE
    found = live(given.table, given.rate, given.seconds or (10 if given.quick else page.LENGTH), pause)
    record: dict[str, object] = {
        name: {key: round(value, 2) for key, value in took._asdict().items()} for name, took in found.took.items()
    }
    record |= {"reached": round(found.reached), "at_once": found.at_once, "load": before}
    record |= {"cpu_per_million": round(found.cpu_per_million, 2), "share": round(found.share, 4)}
    print(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
