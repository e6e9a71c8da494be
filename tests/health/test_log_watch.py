"""What the daemon's look at its logs makes of them: warnings, notices, and their ends."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_fast.config import default_log, why_default
from pbs_fast.daemon.log_watch import INTERVAL, LASTS, LogWatch
from pbs_fast.daemon.notify import state
from pbs_fast.daemon.other_source import IDLE, OtherSource
from pbs_fast.events import Batch
from pbs_fast.health.log_health import SOME, LogHealth
from pbs_fast.health.notices import Notices
from pbs_fast.health.skew import MAX_WARNINGS, PAUSE, SkewWatch
from pbs_fast.sources.journal.newest import newest_entry
from pbs_fast.sources.journal.spec import JournalSpec
from pbs_fast.sources.protocol import Notice
from sources.journals import MACHINE, fields, message, store

START = 1_795_000_000.0
GRACE = 1_800


class Site:
    """Some logs, on a clock that the test sets."""

    def __init__(
        self, caplog: pytest.LogCaptureFixture, *paths: str, newest: Callable[[], float | None] | None = None
    ) -> None:
        caplog.set_level(logging.INFO)
        self._records = caplog.records
        self.now = START
        self.notices = Notices()
        self._asking: list[threading.Thread] = []

        def ask() -> float | None:
            self._asking.append(threading.current_thread())
            return None if newest is None else newest()

        self.other = None if newest is None else OtherSource(ask)
        self.watch = LogWatch(
            self.notices,
            grace=GRACE,
            wall=lambda: self.now,
            clock=lambda: self.now,
            other=self.other,
        )
        self.logs = [
            SimpleNamespace(
                path=path,
                health=LogHealth(()),
                counters=Counter({"login": 0, "logout": 0, "lines": 0}),
                source=SimpleNamespace(trouble=None),
                refused="",
                lost="",
                modified=int(START),
            )
            for path in paths
        ]

    @property
    def warned(self) -> list[str]:
        """The warnings so far."""
        return [record.getMessage() for record in self._records if record.levelno == logging.WARNING]

    @property
    def told(self) -> list[str]:
        """What else was logged so far."""
        return [record.getMessage() for record in self._records if record.levelno == logging.INFO]

    def turn(self, seconds: float = INTERVAL) -> list[str]:
        """So much later; the codes of the notices that stand then."""
        self.now += seconds
        self.watch.turned(cast("Any", self.logs))
        return [notice.code for notice in self.notices.list()]

    def asked(self) -> list[str]:
        """The same after the journal has answered."""
        self.turn()
        # A thread that ends leaves `enumerate` before it ceases to be alive: then it has asked.
        for thread in [*threading.enumerate(), *self._asking]:
            if thread.name == "journal-newest":
                thread.join(30)
        return self.turn()


def test_notices_come_and_go_with_what_they_tell(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(caplog, "a.log", "b.log")
    a = site.logs[0]
    assert site.turn() == []
    a.source.trouble = Notice("missing", "a.log", "a.log does not exist; waiting for it")
    a.refused = "a.log: entries tagged dovecot are rejected"
    assert site.turn() == ["log_missing", "refused_entries"]
    a.source.trouble = None
    assert site.turn() == ["refused_entries"]
    a.health.census.file_lines = a.health.census.file_headless = SOME
    assert site.turn() == ["refused_entries", "not_understood"]
    [said] = site.warned
    assert said.startswith("a.log: its lines are not understood")
    assert site.notices.list()[1].text == said
    a.counters["login"] += 1
    assert site.turn() == ["refused_entries"]
    assert site.told == ["a.log: its lines are understood now"]
    assert site.turn(LASTS) == [], "a one-time report does not stay for ever"
    a.lost = "a.log: journald dropped messages"
    assert site.turn() == ["logger_lost"]
    del site.logs[0]
    assert site.turn() == []


def test_between_two_looks_nothing_is_done(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(caplog, "a.log")
    site.turn()
    site.logs[0].refused = "x"
    assert site.turn(INTERVAL / 2) == []
    assert site.turn(INTERVAL / 2) == ["refused_entries"]


def login(log: str, host: str, age: float, n: int = 1) -> Batch:
    column = [int(START - age)] * n
    ones: list[Any] = [None] * n
    return Batch(
        log,
        ["192.0.2.1"] * n,
        column,
        column,
        [1] * n,
        ["login"] * n,
        ["dovecot"] * n,
        [host] * n,
        [0] * n,
        ones,
        [False] * n,
        ones,
        ones,
        ones,
        [0] * n,
        [""] * n,
    )


def test_a_log_that_runs_behind_is_named_until_it_does_not(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(caplog, "a.log")
    site.watch.logins(login("a.log", "mx", 7_200, 3))
    [said] = site.warned
    assert said == (
        "a.log: the logins of host mx have timestamps 2 h in the past, so they grant nothing; if the clock is right, "
        "set log_timezone to the log's time zone"
    )
    site.watch.logins(login("a.log", "other", 0))
    assert site.turn() == ["log_behind"], "another host's clock proves nothing"
    site.watch.logins(login("b.log", "mx", 0))
    assert site.turn() == ["log_behind"]
    site.watch.logins(login("a.log", "mx", 0))
    assert site.turn() == []


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "mx", "h"]), st.sampled_from([0, 30, 61, 7_200]))),
    st.integers(0, 7_200),
)
def test_hosts_that_are_done_change_nothing(logins: list[tuple[str, str, int]], age: int) -> None:
    watch = SkewWatch(60)
    for log, host, old in logins:
        watch.saw(log, host, int(START) - old, START)
    done = {(log, host) for log in "ab" for host in ("", "mx", "h", "unseen") if watch.is_done(log, {host})}
    before = dict(watch._stale)
    assert [watch.saw(log, host, int(START) - age, START) for log, host in done] == [None] * len(done)
    assert watch._stale == before
    assert not any(host == "unseen" for _, host in done)


def test_forged_hosts_neither_end_a_hosts_notice_nor_its_warning(caplog: pytest.LogCaptureFixture) -> None:
    site = Site(caplog, "a.log")
    site.watch.logins(login("a.log", "mx", 7_200, 3))
    for number in range(MAX_WARNINGS + 5):
        site.watch.logins(login("a.log", f"forged{number}", 7_200, 3))
    assert len(site.warned) == MAX_WARNINGS
    site.watch.logins(login("a.log", "late", 7_200, 3))
    for number in range(MAX_WARNINGS + 5):
        site.watch.logins(login("a.log", f"forged{number}", 0))
    assert site.turn() == ["log_behind"]
    assert "of host mx have" in site.notices.list()[0].text
    site.turn(PAUSE)
    site.watch.logins(login("a.log", "late", 7_200 - PAUSE))
    assert ["of host late have" in text for text in site.warned[MAX_WARNINGS:]] == [True]
    for host in ("late", "mx"):
        assert site.turn() == ["log_behind"]
        site.watch.logins(login("a.log", host, -PAUSE))
    assert site.turn() == []


def test_a_file_that_is_written_no_more_while_the_journal_is(caplog: pytest.LogCaptureFixture) -> None:
    newest: list[float | None] = [None]
    asked: list[int] = []

    def ask() -> float | None:
        asked.append(1)
        return newest[0]

    site = Site(caplog, "a.log", "b.log", newest=ask)
    site.turn(IDLE - INTERVAL * 3)
    assert site.asked() == []
    assert not asked, "a file that was just written is not doubted"
    assert site.asked() == []
    assert len(asked) == 1
    newest[0] = START + IDLE - 1
    site.turn(IDLE)
    assert site.asked() == [], "the journal is not ahead by enough"
    newest[0] = site.now
    site.turn(IDLE)
    assert site.asked() == ["log_stale"]
    [said] = site.warned
    assert said.startswith("a.log has not been written for ")
    assert "but a mail server writes to the journal: follow it (--watchlog=journal:)" in said
    site.turn(IDLE)
    assert site.asked() == ["log_stale"]
    assert len(site.warned) == 1
    site.logs[1].modified = int(site.now)
    assert site.turn() == []


def test_a_journal_that_does_not_answer_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    def ask() -> float | None:
        release.wait(30)
        return START + 10 * IDLE

    site = Site(caplog, "a.log", newest=ask)
    try:
        for _ in range(20):
            assert site.turn(IDLE) == []
        assert [thread.name for thread in threading.enumerate()].count("journal-newest") == 1
    finally:
        release.set()


def test_when_a_mail_server_last_wrote_to_a_journal(tmp_path: Path) -> None:
    journal = tmp_path / "system.journal"
    spec = JournalSpec(directory=(str(tmp_path),))
    assert newest_entry(spec) is None
    store(journal, fields(message("192.0.2.1"), START, _MACHINE_ID=MACHINE))
    store(journal, fields("forged", START + 100, _SYSTEMD_UNIT="session-3.scope", _UID="1000"))
    store(journal, fields("a filter's words", START + 200, _UID="1000"))
    assert newest_entry(spec) == START


def test_the_default_log_is_explained() -> None:
    assert why_default(default_log(lambda path: path == "/var/log/maillog")) == (
        "/var/log/maillog, the first of /var/log/mail.log, /var/log/maillog, /var/log/mail/info, /var/log/messages "
        "that exists"
    )
    assert why_default(default_log(lambda _: False)).startswith("the journal, as none of /var/log/mail.log, ")


@pytest.mark.parametrize(
    ("warnings", "words"),
    [
        ([], "; failing: x"),
        (["a: one"], "; failing: x; warning: a: one"),
        (["a: one", "b: " + "y" * 400], f"; failing: x; warning (and 1 more): b: {'y' * 297}…"),
    ],
)
def test_the_line_of_state_holds_the_newest_warning(warnings: list[str], words: str) -> None:
    assert state(2, ["hash:/a"], ["x"], warnings=warnings) == f"2 addresses may relay{words}; tables: hash:/a"
