"""What it would spare Postfix to write the ends of rows later, together with the next new row: changes and restarts."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterator

from mta.postfix import running
from mtatables.clients import restarts
from mtatables.common import MAIN_CF, ROW, SMTPDS, Figure, address, table_of
from mtatables.load import loaded, stranger
from pbs_fast.events import Delta
from pbs_fast.tables.queue import Pending

#: How long the end of a row would wait for a new one, in seconds.
HELD = 1.0


def ends(seconds: float) -> Iterator[Figure]:
    """New rows at random; as many end, at whole seconds as in the ledger. 30 sessions a second meanwhile."""
    for rate in (1.0, 3.0, 10.0):
        for held in (0.0, HELD):
            yield {"figure": "ends", "logins_per_s": rate, "ends_wait_s": held, **_run(rate, held, seconds)}


def _run(rate: float, held: float, seconds: float) -> dict[str, float]:
    chance = random.Random(1)
    with table_of("hash", 1_000) as table, running(table.spec, smtpd_limit=SMTPDS, main_cf=MAIN_CF) as postfix:
        pending = Pending(table)
        ending: deque[tuple[float, str]] = deque()
        waiting: list[str] = []
        changes = removals = made = 0
        since = new = float("inf")
        with loaded(postfix, stranger, workers=10, rate=3):
            begun = due = time.monotonic()
            while (now := time.monotonic()) < begun + seconds:
                if now >= due:
                    pending.add(Delta({address(made + 2_000): ROW}))
                    # It ends some seconds later, with all others of its second.
                    ending.append((int(now) + 5.0, address(made + 2_000)))
                    made, new = made + 1, min(new, now)
                    due += chance.expovariate(rate)
                while ending and ending[0][0] <= now:
                    waiting.append(ending.popleft()[1])
                    since = min(since, now)
                if waiting and (new <= now or now >= since + held):
                    pending.add(Delta(removed=tuple(waiting)))
                    waiting, since = [], float("inf")
                if len(pending) and pending.flush():
                    changes += 1
                    removals += new == float("inf")
                    new = float("inf")
                time.sleep(0.002)
            took = time.monotonic() - begun
        return {
            "changes_per_s": round(changes / took, 2),
            "without_a_new_row": round(removals / took, 2),
            "restarts_per_s": round(restarts(postfix) / took, 2),
        }
