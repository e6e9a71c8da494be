"""What is said of a log that is not understood, of loggers that dropped lines and of refusals; what is kept of them."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count

import pytest

from pbs_fast.formats.loader import load_catalogue
from pbs_fast.health import lost_lines, notices, refusals
from pbs_fast.health.log_health import ENOUGH, SOME, LogHealth
from pbs_fast.health.lost_lines import LOGGERS, LostLines
from pbs_fast.health.notices import Notices
from pbs_fast.health.refusals import Refusals
from pbs_fast.matching import Backend, census
from pbs_fast.matching.census import TagCounts
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.lines import Piece

UTC = ((-(2**40), 0),)
NOW = 1_795_000_000
HEAD = "2026-11-18T07:06:40Z mx "
LOGIN = f"{HEAD}dovecot: imap-login: Login: user=<u>, method=PLAIN, rip=203.0.113.4, lip=192.0.2.1, session=<S>"
FAILED = f"{HEAD}dovecot: imap-login: Disconnected: Connection closed (auth failed): user=<u>, rip=203.0.113.4"
POSTFIX = f"{HEAD}postfix/qmgr[1]: removed"
UNKNOWN = f"{{18/Nov/2026 07:06:40}} {LOGIN}"
BARE = LOGIN.removeprefix(HEAD)
FORMATS = load_catalogue()


class Log:
    """One log with its health."""

    def __init__(self, core: Backend) -> None:
        self.reader = Reader(core, core.Matcher([*FORMATS, LOGGERS], UTC), source="log", gap=0, live=True, fold=False)
        self.health = LogHealth(FORMATS)
        self.now = NOW
        self._offset = 0

    def begin_file(self) -> None:
        self._offset = 0

    def read(self, *lines: str, seconds: int = 2) -> list[str]:
        """Lines of now, then a look so many seconds later."""
        data = "".join(f"{line}\n" for line in lines).encode()
        if data:
            if not self._offset:
                self.reader.begin_file()
                self.health.begin_file()
            self.reader.feed(data, 0, len(data), offset=self._offset, reference=self.now)
            self.health.look(self.reader, Piece(data, 0, len(data), self._offset, len(data)), self.now)
            self._offset += len(data)
            self.health.lost.taken(self.reader.take())
        self.now += seconds
        return self.health.turned(self.now, self.reader.counters)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (UNKNOWN, f"its lines are not understood: {SOME} of {SOME} lines do not begin like a line of any known log"),
        (BARE, f"its lines are not understood: {SOME} of {SOME} lines have no timestamp; for example: dovecot: imap"),
    ],
)
def test_a_layout_that_is_not_known_is_said_soon_and_once(line: str, words: str, core: Backend) -> None:
    log = Log(core)
    assert log.read(*[line] * (SOME - 1)) == []
    [said] = log.read(line)
    assert said.startswith(words)
    assert log.health.not_understood == said
    assert log.read(*[line] * 50) == [], "what stands is not said again"
    log.begin_file()
    assert log.read(LOGIN) == []
    assert log.health.not_understood is None


def test_no_known_tag_among_a_thousand_lines(core: Backend) -> None:
    log = Log(core)
    assert log.read(*[POSTFIX] * (ENOUGH - 1)) == []
    [said] = log.read(POSTFIX)
    assert "no line has the tag of a known server (most frequent: postfix/qmgr 1000)" in said
    assert log.read(LOGIN) == []
    assert log.health.not_understood is None
    assert log.read(*[POSTFIX] * 5_000) == [], "it did hold a login"


def test_few_lines_without_a_known_tag_are_enough_after_an_hour(core: Backend) -> None:
    log = Log(core)
    assert log.read(*[POSTFIX] * SOME) == []
    assert log.read(seconds=3_500) == []
    assert len(log.read(seconds=200)) == 1


def test_a_known_server_without_any_login_is_said_after_an_hour(core: Backend) -> None:
    log = Log(core)
    assert log.read(*[FAILED] * ENOUGH, seconds=60) == []
    assert log.read(seconds=3_000) == []
    [said] = log.read(seconds=600)
    assert "lines of a known server (dovecot 1000), but none is a login" in said


def test_a_log_that_turns_unreadable_after_a_rotation_is_said(core: Backend) -> None:
    log = Log(core)
    assert log.read(*[LOGIN] * 100, *[UNKNOWN] * 100) == []
    log.begin_file()
    assert len(log.read(*[UNKNOWN] * SOME)) == 1


def test_a_flood_is_not_looked_at_line_by_line(core: Backend) -> None:
    log = Log(core)
    for _ in range(20):
        log.read(*[POSTFIX] * 2_000, seconds=1)
    assert log.health.census.lines <= ENOUGH + 20 * 20
    log.read(LOGIN)
    assert not log.health.wants_lines, "nothing is looked at while logins come"


# -- tags -----------------------------------------------------------------------------------------------------------


def test_the_most_frequent_tags_are_found_among_forged_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "MAX_TAGS", 20)
    numbers, tags = count(), TagCounts()
    lines = [b"a"] * 3_000 + [b"b"] * 2_000 + [b"c"] * 1_500 + [b"%d%s" % (next(numbers), b"x" * 500)] * 1
    lines += [b"forged%d%s" % (next(numbers), b"x" * 500) for _ in range(5_000)]
    random.Random(1).shuffle(lines)
    true = Counter(lines)
    for tag in lines:
        tags.add(tag, tag * 3)
        assert len(tags) <= 20
    found = tags.most_frequent()
    assert [name for name, _, _ in found] == ["a", "b", "c"]
    for name, lines_of_it, _ in found:
        assert true[name.encode()] <= lines_of_it <= true[name.encode()] + len(lines) / 20
    assert all(len(tag) <= census.LONGEST_TAG for tag in tags._tags)
    assert all(len(each.sample) <= census.LONGEST_SAMPLE for each in tags._tags.values())


def test_a_tag_that_comes_late_is_not_kept_out_by_forged_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "MAX_TAGS", 20)
    tags = TagCounts()
    for n in range(20 * 5):
        tags.add(b"early%d" % (n % 20), b"")
    for n in range(500):
        for tag in (b"late", b"x%d" % n, b"y%d" % n):
            tags.add(tag, b"")
    assert tags.most_frequent()[0][0] == "late"


# -- loggers that dropped lines ---------------------------------------------------------------------------------------

LOST = {
    "rsyslogd-2177: imuxsock lost 228 messages from pid 2547 due to rate-limiting": 228,
    "rsyslogd: imjournal: 236 messages lost due to rate-limiting": 236,
    "rsyslogd: imuxsock[pid: 51, name: /usr/libexec/dovecot/log]: 48 messages lost due to rate-limiting (200 allowed "
    "within 5 seconds)": 48,
    "rsyslogd: imudp(*:514): 12 messages lost due to rate-limiting [v8.2302.0 try https://www.rsyslog.com/e/2177 ]": 12,
    "rsyslogd: imuxsock[pid 29156]: 5 messages lost due to rate-limiting": 5,
    "syslog-ng[3]: Destination queue full, dropping messages; queue_len='10000', log_fifo_size='10000', count='4', "
    "persist_name='afsocket_dd_qfile(stream,serverdown:514)'": 4,
    "systemd-journald[3]: Suppressed 9 messages from dovecot.service": 9,
    "systemd-journal[1864]: Suppressed 917 messages from /system.slice/courier-imap.service": 917,
    "journal: Suppressed 7124 messages from /system.slice/named.service": 0,
    "rsyslogd: imuxsock begins to drop messages from pid 25306 due to rate-limiting": 0,
    "dovecot: imjournal: 236 messages lost due to rate-limiting": 0,
    "su: imuxsock lost 228 messages from pid 2547 due to rate-limiting": 0,
}


@pytest.mark.parametrize(("words", "lines"), LOST.items())
def test_the_words_of_a_logger_that_dropped_lines(words: str, lines: int, core: Backend) -> None:
    log = Log(core)
    said = log.read(HEAD + words)
    assert log.health.lost.lines == lines
    assert bool(said) == bool(lines)
    if lines:
        assert said[0].startswith(f"the logging daemon dropped {lines} lines")
        assert log.health.lost.recent(log.now) == said[0]
        assert log.health.lost.recent(log.now + lost_lines.PAUSE) == ""


def test_its_rows_are_taken_out_and_nothing_else(core: Backend) -> None:
    log = Log(core)
    data = f"{LOGIN}\n{HEAD}rsyslogd: imjournal: 236 messages lost due to rate-limiting\n{LOGIN}\n".encode()
    log.reader.feed(data, 0, len(data), offset=0, reference=NOW)
    batch = log.health.lost.taken(log.reader.take())
    assert (batch.ip, batch.kind, set(batch.format)) == (["203.0.113.4"] * 2, ["login"] * 2, {"dovecot"})


def test_forged_losses_are_one_warning_an_hour_with_a_bounded_number(core: Backend) -> None:
    log = Log(core)
    said = []
    for n in range(100):
        said += log.read(
            *(f"{HEAD}journal: Suppressed 999999999 messages from mail{n}{part}" for part in range(50)), seconds=60
        )
    said = [text for text in said if "dropped" in text]
    assert len(said) == 2
    assert all("dropped 1000000000 lines, logins perhaps" in text for text in said)
    assert len(log.health.lost._units) <= lost_lines.MOST_UNITS
    assert isinstance(log.health.lost, LostLines)


# -- refusals and notices ---------------------------------------------------------------------------------------------


def test_a_refusal_is_due_once_an_hour_for_each_address_and_reason() -> None:
    watch = Refusals()
    assert watch.is_due("192.0.2.1", "local", 0.0)
    assert not watch.is_due("192.0.2.1", "local", refusals.PAUSE - 1)
    assert watch.is_due("192.0.2.1", "hosts", 1.0)
    assert watch.is_due("192.0.2.2", "local", 1.0)
    assert watch.is_due("192.0.2.1", "local", refusals.PAUSE)


def test_refusals_of_forged_addresses_are_few_and_forgotten() -> None:
    watch = Refusals()
    due = Counter(n // refusals.PAUSE for n in range(4 * refusals.PAUSE) if watch.is_due(f"2001:db8::{n:x}", "x", n))
    assert set(due.values()) == {refusals.MAX_LINES}
    assert len(watch) <= 2 * refusals.MAX_LINES
    assert watch.is_full(4 * refusals.PAUSE - 1)
    assert not watch.is_full(4 * refusals.PAUSE + 1)


def test_notices_stand_from_their_beginning_until_they_are_cleared() -> None:
    standing = Notices()
    assert standing.set("drift", "a.log", "a.log: one", 1_795_000_000.4)
    assert standing.set("drift", "b.log", "b.log: one", 1_795_000_001.0)
    assert not standing.set("drift", "a.log", "a.log: two", 1_795_000_002.0)
    assert standing.list() == [
        ("drift", "a.log: two", 1_795_000_000.4),
        ("drift", "b.log: one", 1_795_000_001.0),
    ]
    assert standing.clear("drift", "a.log")
    assert not standing.clear("drift", "a.log")
    standing.set("log_behind", "b.log", "b.log: behind", 1.0)
    standing.drop("b.log")
    assert standing.list() == []


def test_notices_are_bounded() -> None:
    standing = Notices()
    for n in range(10_000):
        standing.set("drift", f"{n}.log", "x" * 5_000, 1.0)
    assert len(standing) == notices.MAX_NOTICES
    assert {len(each.text) for each in standing.list()} == {notices.LONGEST}
    assert not standing.set("drift", "0.log", "still known", 2.0)
    assert standing.list()[0].text == "still known"
