"""One replay with the Rust twin, one thread, and FORMATS formats of the catalogue: `one.py FORMATS GRACE LOG`.

A process of its own, because peak memory is a process's. Prints the JSON object of `bench`.
"""

from __future__ import annotations

import json
import sys

from pbs_fast.bench.replay import Replay
from pbs_fast.bench.report import record
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import load_core
from pbs_fast.zones import zone_table


def main() -> None:
    formats, grace, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    core = load_core("rust")
    catalogue = load_catalogue()
    # Those of the generated log first, so that more formats do not find more.
    used = ("courier-imap", "courier-pop3", "cyrus", "cyrus-rfc5424", "dovecot", "uw")
    catalogue = tuple(sorted(catalogue, key=lambda form: form.name not in used))[:formats]
    replay = Replay(core, core.Matcher(catalogue, zone_table("UTC")), grace=grace)
    print(json.dumps(record(replay([log], now=None, threads=1))))


if __name__ == "__main__":
    main()
