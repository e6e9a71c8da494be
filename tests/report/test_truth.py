"""Every verdict and every count against the town's truth, in one log and in many, with either backend."""

from __future__ import annotations

import gzip
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from pbs_fast.matching.backends import Backend, load_backend
from pbs_fast.replay import feed
from pbs_fast.report import merge
from pbs_fast.report.findings import Findings
from report.conftest import look
from report.town import DAY, START, Town, town, write


def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a log of these tests is many of them."""
    monkeypatch.setattr(feed, "PIECE", 40_000)
    monkeypatch.setattr(feed, "_SHARED_PIECE", 40_000)
    monkeypatch.setattr(merge, "_TURN", 50_000)
    monkeypatch.setattr(merge, "_HEAD", 4_000)


def holds(found: Findings, hub: Town) -> None:
    """Everything that the findings say is true."""
    by_name = {login.name: login for login in found.logins}
    assert set(by_name) == set(hub.users)
    wrong = {
        name: (by_name[name].verdict, truth.verdict)
        for name, truth in hub.users.items()
        if by_name[name].verdict != truth.verdict
    }
    assert not wrong
    assert {truth.verdict for truth in hub.users.values()} == {
        "unused", "can", "fixed", "device", "roaming", "shared", "suspect",
    }  # fmt: skip
    for name, truth in hub.users.items():
        login = by_name[name]
        assert (login.messages, login.recipients, login.logins) == (truth.messages, truth.recipients, truth.logins), (
            name
        )
    assert found.ways == dict(hub.ways)
    daily = Counter({(way.day.toordinal(), key): getattr(way, key) for way in found.days for key in hub.ways})
    assert daily == {(day + 719_163, way): n for (day, way), n in hub.daily.items()}
    assert dict(found.delays) == dict(hub.delays)
    assert found.lines == len(hub.lines)


@pytest.mark.parametrize("envelope", ["rfc3164", "rfc3339", "rfc5424-sd", "solaris", "freebsd", "busybox"])
def test_one_log(core: Backend, hub: Town, tmp_path: Path, envelope: str) -> None:
    if envelope in ("rfc5424-sd", "solaris"):
        # RFC 5424's writers end the program's name at a slash, and Solaris puts an id in front of the message: what
        # sessions say of TLS is not read there, so no verdict `device`.
        found = look(core, [write(hub, tmp_path / "mail.log", envelope)])
        assert found.ways == dict(hub.ways)
        assert dict(found.delays) == dict(hub.delays)
        return
    holds(look(core, [write(hub, tmp_path / "mail.log", envelope)]), hub)


@pytest.mark.parametrize("threads", [1, 3])
def test_logs_of_two_servers_and_rotated_ones(
    hub: Town, tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_pieces(monkeypatch)
    pop = write(hub, tmp_path / "dovecot.log", only=("dovecot",))
    lines = write(hub, tmp_path / "all.log", only=("postfix", "sshd", "spamd")).read_bytes().splitlines(keepends=True)
    third = len(lines) // 3
    (tmp_path / "mail.log.2.gz").write_bytes(gzip.compress(b"".join(lines[:third])))
    (tmp_path / "mail.log.1").write_bytes(b"".join(lines[third : 2 * third]))
    (tmp_path / "mail.log").write_bytes(b"".join(lines[2 * third :]))
    # In whatever order a shell names them.
    files = [tmp_path / name for name in ("mail.log", "mail.log.1", "mail.log.2.gz")]
    holds(look(load_backend(), [*files, pop], threads=threads), hub)
    holds(look(load_backend(), [pop, *reversed(files)], threads=threads), hub)


def test_the_piece_size_changes_nothing(hub: Town, town_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch)
    holds(look(load_backend(), [town_log]), hub)


def test_the_policy_service_makes_it_certain(tmp_path: Path) -> None:
    hub = town(2, days=8, info=True)
    found = look(load_backend(), [write(hub, tmp_path / "mail.log")])
    assert found.certain == found.ways["grant"] == hub.ways["grant"]
    assert look(load_backend(), [write(town(2, days=8), tmp_path / "without.log")]).certain == 0


def test_since_counts_from_there_with_the_grants_of_before(hub: Town, town_log: Path) -> None:
    since = START + 5 * DAY
    found = look(load_backend(), [town_log], since=since)
    days = [(day, way) for day, way in hub.daily if day >= since // DAY]
    assert sum(found.ways.values()) == sum(hub.daily[each] for each in days)
    # The log is read in slices, of which one begins before and ends after that moment.
    assert since <= found.first < since + 3_600
    assert found.last == look(load_backend(), [town_log]).last
    assert [way.day.toordinal() - 719_163 for way in found.days] == list(range(since // DAY, found.last // DAY + 1))
    # A login just before the moment grants a message just after it.
    late = Town(days=1)
    late.person("a@example.org", "fixed")
    late.login(START, "a@example.org", "86.1.1.1")
    late.relay(START + 100, "a@example.org", "86.1.1.1", since=100)
    log = write(late, town_log.parent / "late.log")
    counted = look(load_backend(), [log], since=START + 50)
    assert (counted.ways["grant"], counted.login_lines) == (0, 0) or counted.ways["grant"] == 1


@pytest.mark.parametrize(("after", "relied"), [(-2, 1), (-3, 0), (0, 1), (1_799, 1), (1_802, 1), (1_803, 0)])
def test_the_borders_of_a_grant(core: Backend, tmp_path: Path, after: int, relied: int) -> None:
    hub = Town()
    hub.person("a@example.org", "fixed")
    hub.login(START + 5_000, "a@example.org", "86.1.1.1")
    hub.mail(START + 5_000 + after, "86.1.1.1", 1)
    hub.person("b@example.org", "unused")
    hub.login(START + 9_000, "b@example.org", "86.1.1.9")
    found = look(core, [write(hub, tmp_path / "mail.log")])
    assert found.ways["grant"] == relied
    if relied:
        assert found.delays == ((max(0, after), 1),)


def test_a_poll_right_after_the_message_does_not_hide_the_login_before(core: Backend, tmp_path: Path) -> None:
    hub = Town()
    hub.person("a@example.org", "fixed")
    for second in (0, 601, 602):
        hub.login(START + second, "a@example.org", "86.1.1.1")
    hub.mail(START + 600, "86.1.1.1", 1)
    assert look(core, [write(hub, tmp_path / "mail.log")]).delays == ((600, 1),)


@pytest.mark.system
def test_memory_does_not_grow_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_pieces(monkeypatch)
    logs = [write(town(days=days), tmp_path / f"{days}.log") for days in (4, 4, 40)]
    peaks = []
    for log in logs:
        tracemalloc.start()
        look(load_backend(), [log], now=START + 40 * DAY)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert logs[2].stat().st_size > 7 * logs[1].stat().st_size
    # The first only fills what is made once. A login that roams is remembered with 64 addresses at most.
    assert peaks[2] < 1.5 * peaks[1]


def test_a_login_counts_that_is_read_after_the_message(core: Backend, tmp_path: Path) -> None:
    pop, smtp = Town(), Town()
    pop.person("a@example.org", "fixed")
    smtp.say(START, "postfix/smtpd", 1, "connect from unknown[203.0.113.1]")
    for second in range(1, 600):
        for _ in range(6):
            pop.say(START + second, "dovecot", 0, f"imap(b@example.org)<1><x>: Debug: {'x' * 60}")
    pop.login(START + 400, "a@example.org", "86.1.1.1")
    smtp.mail(START + 500, "86.1.1.1", 1)
    logs = [write(pop, tmp_path / "pop.log"), write(smtp, tmp_path / "mail.log")]
    with pytest.MonkeyPatch.context() as patched:
        small_pieces(patched)
        found = look(core, logs)
    assert (found.ways["grant"], found.delays) == (1, ((100, 1),))
