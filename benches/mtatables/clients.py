"""What clients of a real Postfix see: the newly logged-in, those in a table that grows, and the crowd at a busy one."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from mta.postfix import Postfix, running
from mtatables.common import MAIN_CF, ROW, SMTPDS, Figure, address, publish, table_of
from mtatables.load import loaded, one_session, stranger
from pbs_fast.events import Delta
from pbs_fast.tables.queue import Pending

#: Rows of the tables that Postfix reads here, where they do not grow.
ROWS = 10_000


def restarts(postfix: Postfix) -> int:
    """How many smtpds ended because the table had changed."""
    return postfix.logged().count("has changed -- restarting")


def fresh(seconds: float) -> Iterator[Figure]:
    """Clients that try once, right after their row was written, while 300 other sessions a second go on."""
    for kind in ("old", "hash", "btree", "cdb", "lmdb", "socketmap"):
        for rate in (0.3, 3.0, 10.0):
            with (
                table_of(kind, ROWS) as table,
                running(table.spec, smtpd_limit=SMTPDS, main_cf=MAIN_CF) as postfix,
            ):
                pending = Pending(table)
                codes: Counter[int] = Counter()
                waits: list[float] = []
                with loaded(postfix, stranger, workers=10, rate=30) as others:
                    time.sleep(2)
                    start = due = time.monotonic()
                    # One in three seconds needs longer until there is a share.
                    end = start + (2 * seconds if rate < 1 else seconds)
                    while due < end:
                        time.sleep(max(0.0, due - time.monotonic()))
                        number = len(waits)
                        client = f"203.0.{number >> 8}.{number & 255}"
                        waits.append(publish(pending, Delta({client: ROW}, (address(number),))))
                        codes[one_session(postfix.port, client)] += 1
                        due = max(due + 1 / rate, time.monotonic())
                    took = time.monotonic() - start
                yield {
                    "figure": "fresh",
                    "table": kind,
                    "asked_changes_per_s": rate,
                    "changes_per_s": round(len(waits) / took, 1),
                    "tries": len(waits),
                    "accepted_percent": round(100 * codes[250] / len(waits), 1),
                    "denied": codes[554],
                    "wait_ms_median": round(1000 * statistics.median(waits), 1),
                    "wait_ms_max": round(1000 * max(waits), 1),
                    "other_sessions_per_s": round(sum(others.values()) / (took + 2)),
                    "others_denied": others[554] == sum(others.values()),
                    "restarts": restarts(postfix),
                }


#: How many rows a growing table starts and ends with.
STEADY, GROWN = 1_000, 40_000


def growth() -> Iterator[Figure]:
    """Clients that stand in the table all the time while it grows from 1 000 to 40 000 rows, in two ways."""
    for kind in ("old", "hash", "lmdb", "btree", "cdb", "socketmap"):
        for rows, rate in ((100, 20.0), (1_000, 2.0)):
            with table_of(kind, STEADY) as table, running(table.spec, smtpd_limit=SMTPDS, main_cf=MAIN_CF) as postfix:
                pending = Pending(table)
                steps = [range(first, min(first + rows, GROWN)) for first in range(STEADY, GROWN, rows)]
                done = 0
                with loaded(postfix, steady, workers=SMTPDS) as codes:
                    time.sleep(1)
                    start = time.monotonic()
                    while done < len(steps) or len(pending):
                        if done < len(steps) and time.monotonic() >= start + done / rate:
                            pending.add(Delta({address(i): ROW for i in steps[done]}))
                            done += 1
                        pending.flush()
                        time.sleep(0.005)
                    took = time.monotonic() - start
                asked = sum(codes.values())
                yield {
                    "figure": "growth",
                    "table": kind,
                    "rows_a_step": rows,
                    "steps_per_s": rate,
                    "seconds": round(took, 1),
                    "sessions": asked,
                    "wrong": asked - codes[250],
                    "wrong_percent": round(100 * (asked - codes[250]) / asked, 2),
                    "codes": {str(code): count for code, count in sorted(codes.items())},
                    "restarts": restarts(postfix),
                }


def steady(chance: random.Random) -> str:
    """Somebody who was in the table before it grew."""
    return address(chance.randrange(STEADY))


#: Tables take turns; medians of the rounds count.
ROUNDS = 3


class Run(NamedTuple):
    """One round of `sessions`."""

    sessions_per_s: float
    processor_ms: float
    restarts_per_s: float
    writes_per_s: float


def sessions(seconds: float) -> Iterator[Figure]:
    """A saturated Postfix, its table at rest and changed ten times a second."""
    tables = [(kind, rate) for kind in ("hash", "lmdb", "socketmap") for rate in (0.0, 10.0)]
    rounds = [{each: _saturated(*each, seconds / ROUNDS) for each in tables} for _ in range(ROUNDS)]
    for kind, rate in tables:
        runs = [each[kind, rate] for each in rounds]
        yield {
            "figure": "sessions",
            "table": kind,
            "asked_changes_per_s": rate,
            "writes_per_s": round(statistics.median(run.writes_per_s for run in runs), 1),
            "restarts_per_s": round(statistics.median(run.restarts_per_s for run in runs), 1),
            "ms_of_processor_a_session": round(statistics.median(run.processor_ms for run in runs), 3),
            "of_each_round": ", ".join(f"{run.processor_ms:.2f}" for run in runs),
            "sessions_per_s_beside_others": round(statistics.median(run.sessions_per_s for run in runs)),
        }


def _saturated(kind: str, rate: float, seconds: float) -> Run:
    with table_of(kind, ROWS) as table, running(table.spec, smtpd_limit=SMTPDS, main_cf=MAIN_CF) as postfix:
        pending = Pending(table)
        changes = written = 0
        with loaded(postfix, stranger, workers=SMTPDS) as codes:
            used = time.process_time() + postfix.processor_seconds()
            start = due = time.monotonic()
            while (now := time.monotonic()) < start + seconds:
                if rate and now >= due:
                    pending.add(Delta({f"203.0.113.{changes % 250}": ROW}, (address(changes),)))
                    changes += 1
                    due += 1 / rate
                written += len(pending) > 0 and pending.flush()
                time.sleep(0.005 if rate else seconds)
        took = time.monotonic() - start
        used = time.process_time() + postfix.processor_seconds() - used
        assert codes.keys() <= {554}, codes
        count = sum(codes.values())
        return Run(count / took, 1000 * used / count, restarts(postfix) / took, written / took)
