"""A flood of a million lines: signals, expiry, table writes, the sign of life go on meanwhile, and memory is bounded.

The bounds are seconds on a machine whose processors are shared; what they stand against is a loop that first reads all
there is (the flood takes several of them, with the Python backend some twenty).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.running import Daemon, Site, lines_with, login, noise
from daemon.test_notify import Manager, spawn
from mta import wait_for

LINES = 1_000_000
BLOCK = 10_000
#: What systemd may wait for a sign of life in these tests, in seconds; it comes after half of it.
WATCHDOG = 4.0
#: What the daemon may take in memory beyond what it has when idle, in MiB: lines of one turn, and what is granted.
MEMORY = 64


@pytest.fixture
def systemd(site: Site) -> Iterator[Manager]:
    made = Manager(str(site.place / "notify"))
    yield made
    made.close()


def resident(daemon: Daemon, key: str = "VmRSS") -> int:
    """MiB of memory, now or (VmHWM) at most."""
    (line,) = lines_with(Path(f"/proc/{daemon.pid}/status").read_text(), f"^{key}:")
    return int(line.split()[1]) >> 10


def pour(site: Site, *blocks: str) -> None:
    """Write LINES lines into the log at full speed: the blocks in turn."""
    data = [block.encode() for block in blocks]
    with site.log.open("ab", buffering=0) as log:
        for number in range(LINES // BLOCK):
            log.write(data[number % len(data)])


def few(number: int = 50) -> str:
    """A block of logins from few addresses, renewed over and over."""
    return "".join(login(f"10.1.1.{n % number}") + "\n" for n in range(BLOCK))


def distinct() -> list[str]:
    """All blocks of a flood in which no address comes twice."""
    before, after = login("@").split("@")
    ips = [f"{11 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.7" for n in range(LINES)]
    return ["".join(f"{before}{ip}{after}\n" for ip in ips[n : n + BLOCK]) for n in range(0, LINES, BLOCK)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("backend", ["rust", "python"])
def test_a_flood_of_logins_starves_nothing(site: Site, systemd: Manager, backend: str) -> None:
    site.grace = 3
    site.cover()
    daemon = spawn(site, systemd, f"--core={backend}", WATCHDOG_USEC=str(int(WATCHDOG * 1e6)))
    systemd.wait("READY")
    idle = resident(daemon)
    site.append(login("203.0.113.1"))
    site.wait_rows("203.0.113.1")
    begun = time.monotonic()
    pour(site, few())
    # The last line, seen when all before it were; timestamped ahead, as grace is short and a flood may be long.
    site.append(login("203.0.113.2", at=time.time() + 250))
    wait_for("the first rows of the flood", lambda: "10.1.1.7" in site.rows())
    for count in (1, 2, 3):
        asked = time.monotonic()
        daemon.send(signal.SIGHUP)
        site.wait_said("reloaded ", count)
        assert time.monotonic() - asked < 5
    site.wait_said("removed 203.0.113.1 from DB", seconds=site.grace + 10)
    gone = time.monotonic() - begun
    wait_for("its end in the table", lambda: "203.0.113.1" not in site.rows())
    site.wait_said("added 203.0.113.2", seconds=240)
    took = time.monotonic() - begun
    assert gone < site.grace + 5, f"of {took:.0f} s"
    signs = [when for when, message in systemd.heard if "WATCHDOG" in message]
    systemd.listen()
    signs = [begun, *signs]
    assert all(after - before < WATCHDOG for before, after in pairwise(signs)), "systemd would have killed it"
    assert resident(daemon, "VmHWM") - idle < MEMORY
    asked = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - asked < 5
    (counted,) = lines_with(site.said(), "counted ")
    assert f" lines={LINES + 3} " in counted
    assert f" login={LINES + 2} " in counted


def test_a_flood_of_new_addresses_is_bounded(site: Site) -> None:
    """The guards stop grants, not the daemon; what is refused costs no memory, and one line of our own log."""
    site.cover()
    daemon = site.start()
    idle = resident(daemon)
    pour(site, *distinct())
    begun = time.monotonic()
    daemon.send(signal.SIGHUP)
    site.wait_said("reloaded ")
    assert time.monotonic() - begun < 5
    site.wait_said("max_new_per_minute is reached")
    time.sleep(2)  # let it go on with what is refused
    resident_at_most = resident(daemon, "VmHWM")
    assert daemon.stop() == 0
    assert len(lines_with(site.said(), "max_new_per_minute is reached")) == 1
    assert 10_000 <= len(site.rows()) <= 30_000, "some minutes' worth at most"
    assert resident_at_most - idle < MEMORY


def test_a_flood_of_other_lines_delays_nothing(site: Site) -> None:
    site.cover()
    daemon = site.start()
    idle = resident(daemon)
    pour(site, (noise(text="postfix/smtpd[71]: connect from " + "x" * 60) + "\n") * BLOCK)
    begun = time.monotonic()
    site.append(login("203.0.113.1"))
    site.wait_rows("203.0.113.1")
    assert time.monotonic() - begun < 10
    assert resident(daemon, "VmHWM") - idle < MEMORY
    assert daemon.stop() == 0
    (counted,) = lines_with(site.said(), "counted ")
    assert f" other={LINES + 1} " in counted + " "
