"""What a change costs the daemon: milliseconds of one row in and one out, and of building the whole file."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from mtatables.common import ROW, Figure, address, table_of
from pbs_fast.events import Delta

KINDS = ("lmdb", "socketmap", "hash", "btree", "cdb", "text", "lmdb?keys=exim", "hash?keys=exim")


def deltas(sizes: tuple[int, ...]) -> Iterator[Figure]:
    for kind in KINDS:
        for rows in sizes:
            with table_of(kind, rows) as table:
                times = []
                count = 4 if rows > 100_000 else 40
                used = time.process_time()
                for i in range(count):
                    start = time.perf_counter()
                    table.apply(Delta({f"192.0.2.{i + 1}": ROW}, (f"192.0.2.{i}",)))
                    times.append(1000 * (time.perf_counter() - start))
                used = 1000 * (time.process_time() - used) / count
                window = table.window
                there = {address(i): ROW for i in range(rows)}
                start = time.perf_counter()
                table.rebuild(there)
                yield {
                    "figure": "deltas",
                    "table": kind,
                    "rows": rows,
                    "ms_median": round(statistics.median(times), 3),
                    "ms_of_processor": round(used, 3),
                    "ms_max": round(max(times), 3),
                    "window_s": round(window, 2),
                    "rebuild_s": round(time.perf_counter() - start, 2),
                }
