"""A flood of a million lines: signals, expiry, table writes, the sign of life go on meanwhile, and memory is bounded.

The daemon is stopped while it is written, so that it meets the flood, a signal and an end of grace at the same time.
What these tests stand against is a loop that first reads all there is, which is told by the order of what it says.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
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


def pour(site: Site, daemon: Daemon, *blocks: str) -> None:
    """Write LINES lines into the log, the blocks in turn, while the daemon is stopped: it meets them all at once."""
    data = [block.encode() for block in blocks]
    daemon.send(signal.SIGSTOP)
    with site.log.open("ab", buffering=0) as log:
        for number in range(LINES // BLOCK):
            log.write(data[number % len(data)])


def few(at: float, number: int = 50) -> str:
    """A block of logins from few addresses, renewed over and over."""
    return "".join(login(f"10.1.1.{n % number}", at=at) + "\n" for n in range(BLOCK))


def before(text: str, one: str, other: str) -> bool:
    """Whether both stand in the text, this one first."""
    return 0 <= text.find(one) < text.find(other)


def distinct() -> list[str]:
    """All blocks of a flood in which no address comes twice."""
    before, after = login("@").split("@")
    ips = [f"{11 + (n >> 16)}.{n >> 8 & 255}.{n & 255}.7" for n in range(LINES)]
    return ["".join(f"{before}{ip}{after}\n" for ip in ips[n : n + BLOCK]) for n in range(0, LINES, BLOCK)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("backend", ["rust", "python"])
def test_a_flood_of_logins_starves_nothing(site: Site, systemd: Manager, backend: str) -> None:
    """What is due when the flood comes is done long before its last line is read."""
    clocks = site.set_clocks()
    site.cover()
    daemon = spawn(site, systemd, f"--core={backend}", WATCHDOG_USEC=str(int(WATCHDOG * 1e6)))
    systemd.wait("READY")
    idle = resident(daemon)
    site.append(login("203.0.113.1"))
    site.wait_rows("203.0.113.1")
    later = site.now() + site.grace + 60
    pour(site, daemon, few(later))
    site.append(login("203.0.113.2", at=later))
    clocks.advance(later - site.now())
    daemon.send(signal.SIGHUP)
    daemon.send(signal.SIGCONT)
    begun = time.monotonic()

    def over() -> bool:
        systemd.listen()
        return "added 203.0.113.2" in site.said()

    wait_for("the flood's end", over, seconds=500)
    took = time.monotonic() - begun
    assert before(site.said(), "reloaded ", "added 203.0.113.2")
    assert before(site.said(), "removed 203.0.113.1 from DB", "added 203.0.113.2")
    assert len(systemd.having("WATCHDOG")) >= took / WATCHDOG - 1, "systemd would have killed it"
    assert resident(daemon, "VmHWM") - idle < MEMORY
    assert daemon.stop() == 0
    (counted,) = lines_with(site.said(), "counted ")
    assert f" lines={LINES + 3} " in counted
    assert f" login={LINES + 2} " in counted


def test_a_flood_of_new_addresses_is_bounded(site: Site) -> None:
    """The guards stop grants, not the daemon; what is refused costs no memory, and one line of our own log."""
    site.cover()
    daemon = site.start()
    idle = resident(daemon)
    pour(site, daemon, *distinct())
    daemon.send(signal.SIGHUP)
    daemon.send(signal.SIGCONT)
    site.wait_said("reloaded ")
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
    pour(site, daemon, (noise(text="postfix/smtpd[71]: connect from " + "x" * 60) + "\n") * BLOCK)
    site.append(login("203.0.113.1"))
    daemon.send(signal.SIGCONT)
    site.wait_rows("203.0.113.1")
    assert resident(daemon, "VmHWM") - idle < MEMORY
    assert daemon.stop() == 0
    (counted,) = lines_with(site.said(), "counted ")
    assert f" other={LINES + 1} " in counted + " "
