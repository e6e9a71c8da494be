"""One replay with the Rust backend, one thread, and FORMATS formats of the catalogue: `one.py FORMATS GRACE LOG`.

A process of its own, because peak memory is a process's. Prints the JSON object of `bench`. A log that is read within
milliseconds is replayed again and again, and the median run printed: else the first run's allocations are all there is
to see.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from pbs_fast.bench.repeats import median_record
from pbs_fast.bench.replay import Replay
from pbs_fast.bench.report import record
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import load_backend
from pbs_fast.matching.zones import zone_table

#: Seconds of replays, and no more of them than this.
_ENOUGH, _RUNS = 0.3, 25


def _timed(replay: Replay, log: str) -> dict[str, Any]:
    """A record whose times are processor times: of one thread the same as wall time, save that others cannot harm it.

    Only the replay as a whole can be asked for its processor time, and that includes what comes after its clock has
    stopped, so its share of the wall time is taken for that of every part.
    """
    started, used = time.perf_counter(), time.process_time()
    found = record(replay([log], now=None, threads=1))
    share = min((time.process_time() - used) / (time.perf_counter() - started), 1.0)
    stages = {name: share * spent for name, spent in found["stages"].items()}
    counted = {key: value for key, value in found.items() if not key.endswith("_per_s")}
    return counted | {"seconds": share * found["seconds"], "stages": stages}


def main() -> None:
    formats, grace, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    core = load_backend("rust")
    catalogue = load_catalogue()
    # Those of the generated log first, so that more formats do not find more.
    used = ("courier-imap", "courier-pop3", "cyrus", "cyrus-rfc5424", "dovecot", "uw")
    catalogue = tuple(sorted(catalogue, key=lambda form: form.name not in used))[:formats]
    matcher = core.Matcher(catalogue, zone_table("UTC"))
    records = [_timed(Replay(core, matcher, grace=grace), log)]
    while sum(each["seconds"] for each in records) < _ENOUGH and len(records) < _RUNS:
        records.append(_timed(Replay(core, matcher, grace=grace), log))
    print(json.dumps(median_record(records)))


if __name__ == "__main__":
    main()
