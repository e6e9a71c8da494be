"""A million live addresses: memory, length of the queue, and speed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pbs_fast.ledger.ledger import Ledger

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


def test_90_000_rows_take_no_longer_than_they_should() -> None:
    """Measured: 25 to 35 ms on an idle core; the bound leaves room for a busy machine and none for quadratic time."""
    ips = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(90_000)]
    best = 9.0
    for _ in range(5):
        rows = batch((ip, 1_700_000_000) for ip in ips)
        ledger = Ledger(1800)
        started = time.process_time()
        delta = ledger.observe(rows, 1_700_000_000)
        best = min(best, time.process_time() - started)
        assert len(delta.set) == len(ledger) == 90_000
    assert best < 0.25
