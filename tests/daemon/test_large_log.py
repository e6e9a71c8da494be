"""A log of a gigabyte: what of it lies before the window is passed over, so that readiness is no later for it."""

from __future__ import annotations

import time
from pathlib import Path

from daemon.running import Site, login, noise, timestamp

SIZE = 1 << 30
#: Lines between two of the timestamps that the search finds.
BLOCK = 2_000


def test_a_gigabyte_of_yesterday_delays_nothing(site: Site) -> None:
    """Asserted in bytes read, which other work on the machine does not change."""
    now = time.time()
    begun = now - 48 * 3600
    text = "postfix/smtpd[71]: connect from " + "x" * 140
    with site.log.open("wb", buffering=1 << 20) as log:
        while (written := log.tell()) < SIZE:
            at = timestamp(begun + (now - 60 - begun) * written / SIZE)
            log.write(f"{at} hub {text}\n".encode() * BLOCK)
    site.append(login("203.0.113.1", at=now - 30), noise(now))
    daemon = site.start()
    read = int(Path(f"/proc/{daemon.pid}/io").read_text().split("rchar: ")[1].split()[0])
    assert site.holds("203.0.113.1")
    assert "read back to" in site.said()
    # The window and the slack before it are 95 minutes of 48 hours, 35 MB; the program itself reads some 10 MB.
    assert read < 100_000_000
    assert daemon.stop() == 0
