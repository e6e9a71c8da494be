"""What systemd hears: messages of sd_notify(3) on a socket that stands in for systemd's."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from daemon.running import Daemon, Site, login
from mta import PATIENCE, wait_for
from pbs_fast.daemon.notify import STATUS_PAUSE, Notifier, state
from pbs_fast.errors import PbsError, TableError
from support.own_log import heard


class Manager:
    """The service manager's end. `heard` are the messages so far, each as a dict, with when it came."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self.heard: list[tuple[float, dict[str, str]]] = []

    def listen(self) -> list[dict[str, str]]:
        """All messages so far."""
        while True:
            try:
                data = self._socket.recv(65_536)
            except BlockingIOError:
                return [message for _, message in self.heard]
            pairs = [line.partition("=") for line in data.decode().split("\n")]
            assert all(equals for _, equals, _ in pairs), data
            self.heard.append((time.monotonic(), {key: value for key, _, value in pairs}))

    def wait(self, key: str, count: int = 1) -> dict[str, str]:
        """The `count`th message that has the key."""
        wait_for(f"{key} number {count}", lambda: len(self.having(key)) >= count, seconds=PATIENCE)
        return self.having(key)[count - 1]

    def having(self, key: str) -> list[dict[str, str]]:
        return [message for message in self.listen() if key in message]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Both kinds of address in turn."""
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@pbs-fast-test-{os.getpid()}")
    yield made
    made.close()


class Time:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def unheard() -> str:
    raise AssertionError("asked for a state that nobody hears")


NewNotifier = Callable[..., Notifier]


@pytest.fixture
def said() -> Iterator[list[str]]:
    with heard(logging.WARNING) as found:
        yield found.lines


@pytest.fixture
def silent(said: list[str]) -> Iterator[None]:
    yield
    assert said == []


@pytest.fixture
def new_notifier() -> Iterator[NewNotifier]:
    """Notifiers that are closed."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(Notifier(*arguments))


@pytest.mark.usefixtures("silent")
def test_the_life_of_a_service(manager: Manager, new_notifier: NewNotifier) -> None:
    environ = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    clock = Time()
    notifier = new_notifier(environ, clock)
    assert environ == {"A": "b"}, "children are not to speak for us"
    notifier.turned(lambda: "early")
    notifier.reloading()
    notifier.reloaded("early")
    assert manager.listen() == [], "a reload during the start must not pass for readiness"
    notifier.ready("two\nlines")
    assert manager.listen() == [{"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "two\\x0alines"}]
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    notifier.reloaded("again")
    reloading, ready = manager.listen()[1:]
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert ready == {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "again"}
    notifier.stopping()
    assert manager.listen()[3:] == [{"STOPPING": "1"}]


@pytest.mark.usefixtures("silent")
def test_the_watchdog_hears_of_turns_at_half_its_interval(manager: Manager, new_notifier: NewNotifier) -> None:
    clock = Time()
    notifier = new_notifier({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "10000000"}, clock)
    notifier.ready("")
    assert notifier.due == 1005.0
    for second in range(21):
        clock.now = 1000.0 + second
        notifier.turned(lambda: "")
    assert len(manager.having("WATCHDOG")) == 4
    assert notifier.due == 1025.0
    clock.now = 1100.0
    assert len(manager.having("WATCHDOG")) == 4, "nothing turned since"


@pytest.mark.parametrize("extra", [{}, {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}])
def test_no_watchdog_that_is_not_ours(
    extra: dict[str, str], manager: Manager, new_notifier: NewNotifier, said: list[str]
) -> None:
    notifier = new_notifier({"NOTIFY_SOCKET": manager.name, **extra}, Time())
    assert notifier.due == float("inf")
    notifier.turned(lambda: "")
    assert manager.listen() == []
    assert len(said) == ("0" in extra.values())


@pytest.mark.usefixtures("silent")
def test_the_state_is_told_when_it_changed_and_not_too_often(manager: Manager, new_notifier: NewNotifier) -> None:
    clock = Time()
    notifier = new_notifier({"NOTIFY_SOCKET": manager.name}, clock)
    notifier.ready("0")
    for step in range(100):
        clock.now += STATUS_PAUSE / 10
        notifier.turned(lambda step=step: str(step // 50))  # type: ignore[misc]
    assert [message["STATUS"] for message in manager.listen()] == ["0", "1"]
    for step in range(100):
        clock.now += STATUS_PAUSE / 10
        notifier.turned(lambda step=step: f"each {step}")  # type: ignore[misc]
    assert 10 <= len(manager.listen()) - 2 <= 11


@pytest.mark.usefixtures("silent")
def test_why_it_could_not_start_is_the_last_state(manager: Manager) -> None:
    def fails(error: Exception) -> None:
        with Notifier({"NOTIFY_SOCKET": manager.name}):
            raise error

    with pytest.raises(PbsError):
        fails(TableError("the disk is full"))
    with pytest.raises(ZeroDivisionError):
        fails(ZeroDivisionError())
    assert manager.listen() == [{"STATUS": "the disk is full"}]


@pytest.mark.usefixtures("silent")
def test_without_systemd_nothing_is_sent() -> None:
    sockets = [each for each in Path("/proc/self/fd").iterdir() if each.exists() and stat.S_ISSOCK(each.stat().st_mode)]
    with Notifier({"WATCHDOG_USEC": "10"}) as notifier:
        assert notifier.due == float("inf")
        notifier.ready("x")
        notifier.turned(unheard)
        notifier.stopping()
        now = [each for each in Path("/proc/self/fd").iterdir() if each.exists() and stat.S_ISSOCK(each.stat().st_mode)]
        assert len(now) == len(sockets)


@pytest.mark.parametrize("name", ["vsock:2:1234", "relative"])
def test_an_address_that_we_do_not_speak_is_said(name: str, said: list[str]) -> None:
    Notifier({"NOTIFY_SOCKET": name}).ready("x")
    assert len(said) == 1
    assert name in said[0]


def test_a_failure_to_send_is_said_once_until_it_works_again(
    tmp_path: Path, new_notifier: NewNotifier, said: list[str]
) -> None:
    name = str(tmp_path / "notify")
    notifier = new_notifier({"NOTIFY_SOCKET": name})
    notifier.ready("x")
    notifier.stopping()
    assert said == ["cannot send our state to systemd: No such file or directory; continuing without"]
    manager = Manager(name)
    notifier.stopping()
    manager.close()
    notifier.stopping()
    assert len(said) == 2


def test_the_words_of_the_state() -> None:
    assert state(1, ["hash:/a", "lmdb:/b"], []) == "1 address may relay; tables: hash:/a lmdb:/b"
    assert state(0, [], []) == "0 addresses may relay; tables: none"
    assert state(2, ["hash:/a"], ["hash:/a: disk full"]) == (
        "2 addresses may relay; failing: hash:/a: disk full; tables: hash:/a"
    )


def test_the_state_says_what_is_wrong_before_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    missing = "/var/log/mail.log does not exist"
    line = state(
        1204,
        ["lmdb:/a"],
        ["lmdb:/a: disk full"],
        last_login=1_796_034_737.2,
        warnings=["drift: 37 lines were missed", missing],
    )
    assert line == (
        "1204 addresses may relay, last login 2026-11-30 10:32:17; failing: lmdb:/a: disk full; "
        "warning (and 1 more): /var/log/mail.log does not exist; tables: lmdb:/a"
    )


# -- the real daemon ---------------------------------------------------------------------------------------------------


@pytest.fixture
def systemd(site: Site) -> Iterator[Manager]:
    made = Manager(str(site.place / "notify"))
    yield made
    made.close()


def spawn(site: Site, systemd: Manager, *more: str, **variables: str) -> Daemon:
    words = [f"NOTIFY_SOCKET={systemd.name}", *(f"{name}={value}" for name, value in variables.items())]
    return site.spawn(*more, prefix=["env", *words, *(site.clocks.prefix if site.clocks else ())])


def test_start_reload_and_stop_of_the_daemon(site: Site, systemd: Manager) -> None:
    site.cover()
    site.append(login("203.0.113.5"))
    daemon = spawn(site, systemd)
    ready = systemd.wait("READY")
    assert site.holds("203.0.113.5"), "ready says that the tables are in order"
    status = ready["STATUS"]
    assert ready == {"READY": "1", "MAINPID": str(daemon.pid), "STATUS": status}
    assert re.fullmatch(rf"1 address may relay, last login [0-9-]+ [0-9:]+; tables: {re.escape(site.spec)}", status)
    site.append(login("203.0.113.6"))
    wait_for("the new state", lambda: "2 addresses may relay" in systemd.wait("STATUS", 2)["STATUS"])
    sent = time.monotonic_ns() // 1000
    daemon.reload()
    systemd.wait("READY", 2)
    kinds = [key for message in systemd.listen() for key in ("READY", "RELOADING", "STOPPING") if key in message]
    assert kinds == ["READY", "RELOADING", "READY"]
    assert int(systemd.having("RELOADING")[0]["MONOTONIC_USEC"]) >= sent, "else systemd takes it for an older reload"
    assert daemon.stop() == 0
    assert list(systemd.listen()[-1]) == ["STOPPING"]
    assert systemd.having("WATCHDOG") == []


def test_a_daemon_that_cannot_start_says_why(site: Site, systemd: Manager) -> None:
    site.log.unlink()
    site.log.mkdir()
    status, _, err = spawn(site, systemd).end()
    assert status == 1
    last = systemd.listen()[-1]
    assert last["STATUS"] in err
    assert systemd.having("READY") == []


def test_a_daemon_stopped_during_its_start_is_never_ready(site: Site, systemd: Manager) -> None:
    site.append(*(login(f"203.0.113.{n % 200}") for n in range(200_000)))
    daemon = spawn(site, systemd)
    daemon.wait_until("it has opened its table", lambda: "table lmdb:" in site.said())
    assert daemon.stop() == 0
    if "ready:" not in site.said():
        assert systemd.having("READY") == []
    assert systemd.having("STOPPING")


def test_the_sign_of_life_comes_from_the_loop(site: Site, systemd: Manager) -> None:
    """While postconf keeps a reload waiting, the process lives and the loop does not turn: no sign."""
    postconf = site.place / "postconf"
    environment = site.place / "environment"
    postconf.write_text(
        f'#!/bin/sh\n[ "$2" = mynetworks ] || exit 0\nenv >{environment}\n'
        f"while [ -e {site.place}/slow ]; do sleep 0.05; done\necho 127.0.0.0/8\n"
    )
    postconf.chmod(0o755)
    site.config.write_text(f'mynetworks = ["postfix"]\npostconf = "{postconf}"\ndeny = "{site.deny}"\n')
    site.cover()
    daemon = spawn(site, systemd, WATCHDOG_USEC="1000000")
    systemd.wait("READY")
    assert "PATH=" in environment.read_text()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & {
        line.partition("=")[0] for line in environment.read_text().splitlines()
    }
    wait_signs(systemd, 6)
    times = [when for when, message in systemd.heard if "WATCHDOG" in message]
    assert median(after - before for before, after in pairwise(times)) < 1.0, "half the interval, also when idle"
    (site.place / "slow").touch()
    daemon.send(signal.SIGHUP)
    systemd.wait("RELOADING")
    begun = len(systemd.having("WATCHDOG"))
    time.sleep(1.5)
    assert len(systemd.having("WATCHDOG")) == begun
    (site.place / "slow").unlink()
    systemd.wait("READY", 2)
    wait_signs(systemd, begun + 2)
    assert daemon.stop() == 0


def wait_signs(systemd: Manager, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while len(systemd.having("WATCHDOG")) < count:
        assert time.monotonic() < end
        time.sleep(0.002)  # their times are those of our looks
