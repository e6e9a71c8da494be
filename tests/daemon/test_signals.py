"""SIGTERM and SIGINT stop and keep the rows; SIGHUP reads again what may change, and a fault in it changes nothing."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.running import READY, Daemon, Site, lines_with, login, readable_to_all, require_nobody
from pbs_fast.events import Grant
from pbs_fast.tables import open_table

A, B, C, D = "203.0.113.1", "203.0.113.2", "2001:db8::3", "198.51.100.4"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_keeps_the_rows(any_site: Site, number: signal.Signals) -> None:
    site = any_site
    daemon = site.start()
    site.append(login(A), login(C))
    site.wait_rows(A, C)
    assert daemon.stop(number) == 0
    assert f"caught {number.name} -- exiting" in site.said()
    assert site.holds(A, C)
    assert lines_with(site.said(), "counted granted=2 lines=2 ")


def test_what_waits_is_written_at_the_stop(site: Site) -> None:
    """A login in the same instant as the signal is either in the table or comes with the next start."""
    site.cover()
    for number in range(5):
        daemon = site.start()
        site.append(login(f"10.0.0.{number}"))
        assert daemon.stop() == 0
    site.start()
    assert site.holds(*(f"10.0.0.{number}" for number in range(5)))


def test_after_a_signal_it_sleeps_again(site: Site) -> None:
    daemon = site.start()
    for count in (1, 2):
        daemon.send(signal.SIGHUP)
        site.wait_said("reloaded ", count)

    def slept() -> int:
        """How often it went to sleep so far; idle, four times a second, each time it looks at the log."""
        (line,) = lines_with(Path(f"/proc/{daemon.pid}/status").read_text(), "^voluntary_ctxt_switches:")
        return int(line.split()[1])

    time.sleep(0.5)
    before, began = slept(), time.monotonic()
    time.sleep(1)
    assert slept() - before < 50 * (time.monotonic() - began)


def test_sighup_opens_our_own_log_anew(site: Site) -> None:
    daemon = site.start()
    site.append(login(A))
    site.wait_said(f"added {A}")
    rotated = site.own.with_name("own.log.1")
    site.own.rename(rotated)
    site.append(login(B))
    site.wait_rows(A, B)
    assert not site.own.exists(), "it writes to the file that was open"
    daemon.send(signal.SIGHUP)
    site.wait_said("reloaded ")
    site.append(login(C))
    site.wait_said(f"added {C}")
    assert f"added {B}" in rotated.read_text()
    assert stat.S_IMODE(site.own.stat().st_mode) & 0o007 == 0, "it names users"


def test_sighup_puts_new_networks_guards_and_denials_in_force_at_once(site: Site) -> None:
    daemon = site.start()
    live = [A, B, C, D, "10.0.0.1", "10.0.0.2"]
    for ip in live[:4]:
        site.append(login(ip))
    site.append(login("10.0.0.1", "Mallory"), login("10.0.0.2", host="other"))
    site.wait_rows(*live)
    site.networks.write_text("127.0.0.0/8 198.51.100.0/24\n")
    site.configure(f'[guards]\nproxies = ["{B}"]\nhosts = ["hub"]\n')
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n[[deny]]\nusers = ["mallory"]\n')
    daemon.reload()
    site.wait_rows(C)
    said = site.said()
    assert lines_with(said, f"removed {D} from DB .*may relay anyway")
    assert lines_with(said, f"removed {B} from DB .*refused by the guard proxies")
    assert lines_with(said, f"removed {A} from DB .*refused by the guard deny")
    assert lines_with(said, "removed 10.0.0.1 from DB .*refused by the guard deny")
    assert lines_with(said, "removed 10.0.0.2 from DB .*refused by the guard hosts")
    site.append(*(login(ip) for ip in live[:4]), login("10.0.0.9"))
    site.wait_rows(C, "10.0.0.9")
    site.networks.write_text("127.0.0.0/8\n")
    site.configure()
    site.deny.unlink()
    daemon.reload()
    site.append(*(login(ip) for ip in live[:4]))
    site.wait_rows(A, B, C, D, "10.0.0.9")


def test_a_bad_new_configuration_keeps_the_old_one(site: Site) -> None:
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    site.configure(f'[guards]\nproxies = ["{B}"]\n')
    daemon = site.start()
    good = site.config.read_text()
    network = site.networks.read_text()
    faults = [
        (site.config, good + "max_row = 3\n", f"{site.config}:7: unknown key"),
        (site.config, good + "[formats.dovcot]\nprogram = ['x']\n", f"{site.config}:8: no format has the name"),
        (site.config, "count_sessions = 1\n", f"{site.config}:1: count_sessions"),
        (site.config, "grace = = 3\n", f"{site.config}:1: not valid TOML"),
        (site.deny, "[[deny]]\nadresses = []\n", f"{site.deny}:2: "),
        (site.networks, "203.0.113.0/24 10.0.0.1/8\n", f"{site.networks}:1: "),
    ]
    for path, text, complaint in faults:
        before, lines = path.read_text(), len(site.said().splitlines())
        path.write_text(text)
        daemon.reload("the previous settings stay in force")
        assert len(site.said().splitlines()) == lines + 1, "one line"
        assert f"reload failed, the previous settings stay in force: {complaint}" in site.said().splitlines()[-1]
        path.write_text(before)
    assert site.networks.read_text() == network
    site.append(login(A), login(B), login(C))
    site.wait_rows(C)


def test_a_sighup_under_nohup_is_a_reload_too(site: Site) -> None:
    """As in the old program: logrotate's HUP reopens the log, however it was started."""
    daemon = site.start(prefix=["nohup"])
    daemon.send(signal.SIGHUP)
    site.wait_said("reloaded")
    site.append(login(A))
    site.wait_rows(A)
    assert daemon.stop() == 0


def test_as_another_user_it_can_open_its_log_again(site: Site) -> None:
    """Started by root with `user`: what it must open later belongs to that user."""
    require_nobody()
    site.place.chmod(0o777)
    site.configure('user = "nobody"\n')
    daemon = site.start(prefix=readable_to_all())
    assert site.own.stat().st_uid == site.file.stat().st_uid == 65534
    site.append(login(A))
    site.wait_rows(A)
    daemon.reload()
    assert "still writing to the file that was open before" not in site.said()
    (uids,) = lines_with(Path(f"/proc/{daemon.pid}/status").read_text(), "^Uid:")
    assert set(uids.split()[1:]) == {"65534"}
    assert daemon.stop() == 0


def signalled(number: signal.Signals, module: str) -> list[str]:
    """What starts a program that gets the signal while it imports that module (`each`: with each of its imports)."""
    return [sys.executable, str(Path(__file__).with_name("signalled.py")), number.name, module]


def start_signalled(site: Site, number: signal.Signals, module: str) -> Daemon:
    """A daemon started so; `run` and its options follow the program's name."""
    return Daemon([*signalled(number, module), "pbs-fast", "run", *site.arguments()], site)


def test_a_sighup_at_any_moment_of_the_start_does_not_end_it(site: Site) -> None:
    daemon = start_signalled(site, signal.SIGHUP, "each")
    try:
        daemon.wait_until("it is ready", lambda: READY in site.said())
        assert "reloaded mynetworks, guards, caps and deny list" in site.said(), "what was noted early is acted upon"
        site.append(login(A))
        site.wait_rows(A)
        assert daemon.stop() == 0
    finally:
        daemon.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "module", ["typer", "pbs_fast.config.read", "pbs_fast.daemon.assemble", "pbs_fast.tables.types.lmdb", "each"]
)
def test_a_stop_at_any_moment_of_the_start_ends_it_well(site: Site, number: signal.Signals, module: str) -> None:
    table = open_table(site.spec)
    table.rebuild({B: Grant(2_000_000_000, None, "", "new")})
    table.close()
    daemon = start_signalled(site, number, module)
    try:
        status, out, err = daemon.end()
    finally:
        daemon.kill()
    assert (status, out, err) == (0, "", "")
    assert f"caught {number.name} -- exiting" in site.said()
    assert READY not in site.said()
    assert site.holds(B)


def test_the_old_program_notes_signals_too(site: Site) -> None:
    arguments = [f"--watchlog={site.log}", f"--dbfile={site.spec}", f"--logto={site.own}"]
    command = [*signalled(signal.SIGHUP, "each"), "pop-before-smtp", f"--config={site.config}", *arguments]
    daemon = Daemon(command, site)
    try:
        daemon.wait_until("it is ready", lambda: READY in site.said())
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def test_what_is_no_daemon_ends_at_a_signal(site: Site) -> None:
    """`run --list` is over in no time, but a table on a dead disk must not keep the terminal."""
    command = [*signalled(signal.SIGTERM, "typer"), "pbs-fast", "run", "--list", *site.arguments()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGTERM
