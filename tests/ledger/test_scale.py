"""A million live addresses: memory, length of the queue, and speed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pbs_fast.ledger.ledger import Ledger
from support.timing import growth

from .rows import batch

pytestmark = pytest.mark.system

MILLION = 1_000_000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from Linux's /proc")
def test_a_million_addresses_in_300_mb_and_renewals_leave_the_queue_no_longer() -> None:
    """Measured: 285 MB of the whole process, of which 80 MB are a million distinct user names."""
    script = Path(__file__).with_name("scale.py")
    done = subprocess.run([sys.executable, script, str(MILLION)], check=True, capture_output=True, timeout=110)
    report = json.loads(done.stdout)
    assert report["rows"] == MILLION
    assert report["counters"] == {"granted": MILLION, "renewed": 3 * MILLION, "expired": 0}
    assert report["queued"] == [MILLION] * 4
    assert max(report["mb"]) < 300
    assert report["left"] == report["left_queued"] == 0


def test_a_row_costs_the_same_among_many() -> None:
    def prepare(rows: int) -> Callable[[], object]:
        ledger = Ledger(1800)
        logins = batch((f"10.{row >> 16}.{row >> 8 & 255}.{row & 255}", 1_700_000_000) for row in range(rows))

        def observe() -> None:
            assert len(ledger.observe(logins, 1_700_000_000).set) == len(ledger) == rows

        return observe

    assert growth(prepare, 1_000, 16) < 32
