"""The drift alarm: on counts, and on logs of Dovecot 2.3 and 2.4 joined, read by formats that know 2.3 only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.formats import Format
from pbs_fast.health import drift
from pbs_fast.health.drift import DAY, HOUR, LINES_SHARE, MISSED, MISSED_SHARE, Drift
from pbs_fast.health.log_health import LogHealth
from pbs_fast.matching import Backend
from pbs_fast.matching.reader import Reader
from pbs_fast.sources.lines import Piece

#: A Monday, 00:00 UTC.
START = 1_790_553_600.0
#: What knew Dovecot before 2.4 came.
OLD = Format(
    "dovecot",
    "Dovecot",
    "to 2.3",
    ("dovecot",),
    (),
    ("imap-login: Login: ", "tarted proxying to "),
    (
        r"imap-login: Login: user=<(?P<user>[^>]*)>, method=[A-Z-]+, rip=(?P<ip>[0-9a-f:.]+), lip=[^ ]*, .*",
        r"imap-login: proxy\([^()]*\): started proxying to [^ ]+: user=<(?P<user>[^>]*)>, method=[A-Z-]+, "
        r"rip=(?P<ip>[0-9a-f:.]+), lip=[^ ]*, .*",
    ),
    (r"imap\((?P<user>[^()]*)\)<[0-9]+><(?P<session>[^>]*)>: Disconnected: .*",),
)
LOGIN_23 = "imap-login: Login: user=<lena>, method=PLAIN, rip=192.0.2.77, lip=192.0.2.10, mpid=7, session=<a>"
LOGIN_24 = "imap-login: Logged in: user=<lena>, method=PLAIN, rip=192.0.2.77, lip=192.0.2.10, mpid=7, session=<a>"
PROXY_23 = (
    "imap-login: proxy(prx): started proxying to 127.0.0.2:143: user=<prx>, method=PLAIN, rip=192.0.2.77, "
    "lip=192.0.2.10, session=<a>"
)
PROXY_24 = (
    "imap-login: proxy(prx,127.0.0.2:143): Started proxying to remote host (0.015 secs): user=<prx>, method=PLAIN, "
    "rip=192.0.2.77, lip=192.0.2.10, session=<a>"
)
LOGOUT = "imap(lena)<7><a>: Disconnected: Logged out in=12 out=521"
OTHER = "lmtp(9): Connect from local"


class Site:
    """One log of Dovecot, read minute by minute."""

    def __init__(self, core: Backend) -> None:
        matcher = core.Matcher([OLD], ((-(2**40), 0),))
        self.reader = Reader(core, matcher, source="log", gap=0, live=True, fold=False)
        self.health = LogHealth([OLD])
        self.now = START + 9 * HOUR
        self.said: list[tuple[float, str]] = []
        self._offset = 0

    def minutes(self, number: int, *messages: str) -> None:
        """So many minutes, in each of which these messages are written."""
        for _ in range(number):
            self.now += 60
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now))
            data = "".join(f"{at} hub dovecot[7]: {message}\n" for message in messages).encode()
            if data:
                reference = int(self.now)
                self.reader.feed(data, 0, len(data), offset=self._offset, reference=reference)
                self.health.look(self.reader, Piece(data, 0, len(data), self._offset, len(data)), reference)
                self._offset += len(data)
            self.said += [(self.now, text) for text in self.health.turned(self.now, self.reader.counters)]


def test_a_new_wording_without_known_words_is_seen_by_the_logins_that_stop(core: Backend) -> None:
    site = Site(core)
    site.minutes(240, LOGIN_23, OTHER, LOGOUT)
    assert not site.said
    upgraded = site.now
    site.minutes(180, LOGIN_24, OTHER, LOGOUT)
    [(when, text)] = site.said
    assert HOUR <= when - upgraded <= HOUR + 300
    assert "no login was recognised for 1.0 h, in which 60 are usual, while 1" in text
    assert "no login was recognised for 3.0 h" in site.health.signs
    site.minutes(1, LOGIN_23)
    assert site.health.signs == ""


def test_a_new_wording_with_known_words_is_seen_by_the_missed_lines(core: Backend) -> None:
    site = Site(core)
    site.minutes(240, PROXY_23, OTHER)
    upgraded = site.now
    site.minutes(10, PROXY_24, OTHER)
    assert not site.said, "ten may be anything"
    site.minutes(110, PROXY_24, OTHER)
    (first, text), (second, _) = site.said
    assert first - upgraded <= 25 * 60
    assert second - first >= HOUR, "one warning an hour, whichever the sign"
    assert "match no pattern" in text
    site.minutes(70, PROXY_23, OTHER)
    assert site.health.signs == ""


def test_a_server_that_is_stopped_is_no_drift(core: Backend) -> None:
    site = Site(core)
    site.minutes(240, LOGIN_23, OTHER, LOGOUT)
    site.minutes(10 * 60)
    assert not site.said


def test_a_night_is_learnt(core: Backend) -> None:
    """Lines go on at night, logins do not. The first night may be taken for a drift, the following ones are usual."""
    site = Site(core)
    for _ in range(3):
        site.minutes(9 * 60, LOGIN_23, OTHER, LOGOUT)
        before = len(site.said)
        site.minutes(15 * 60, OTHER, OTHER)
    assert len(site.said) == before <= 1
    site.minutes(60, LOGIN_23, OTHER, LOGOUT)
    site.minutes(150, LOGIN_24, OTHER, LOGOUT)
    assert len(site.said) == before + 1, "and a drift by day is seen as soon as ever"


@pytest.mark.parametrize(("missed", "logins", "warned"), [(19, 0, 0), (20, 0, 1), (20, 179, 1), (20, 180, 0)])
def test_the_border_of_sign_a(missed: int, logins: int, warned: int) -> None:
    assert (MISSED, MISSED_SHARE) == (20, 0.1)
    watch = Drift()
    said = [watch.saw(START + n, 1, 0, 1) for n in range(missed - 1)]
    said.append(watch.saw(START + missed, logins + 1, logins, 1))
    # Of the 200th on, one tenth and not more is missed; before the logins come, all of them are.
    assert ("missed" in watch.standing) == bool(warned)
    assert len([text for text in said if text]) == warned


def test_missed_lines_of_more_than_an_hour_ago_do_not_count() -> None:
    watch = Drift()
    for n in range(200):
        assert watch.saw(START + n * 300, 1, 0, 1) is None
    assert not watch.standing


def stopped(*, logins: int = 60, lines: int = 10, after: Callable[[int], int], minutes: int = 300) -> Iterator[float]:
    """Hours after the last login at which there is a warning."""
    watch = Drift()
    for n in range(logins):
        assert watch.saw(START + n * 60, lines, 1, 0) is None
    for n in range(minutes):
        if watch.saw(START + (logins + n) * 60, after(n), 0, 0):
            yield (n + 1) / 60


def test_the_borders_of_sign_b() -> None:
    assert LINES_SHARE == 0.3
    assert [round(hours) for hours in stopped(after=lambda _: 4)] == [1]
    assert not list(stopped(after=lambda _: 2)), "too few lines go on"
    assert not list(stopped(after=lambda _: 10, logins=drift.MIN_LOGINS - 1)), "too few logins to know what is usual"
    assert not list(stopped(after=lambda _: 10, minutes=59))


def test_rare_logins_stop_for_twenty_of_their_gaps() -> None:
    watch = Drift()
    hour = 0
    for hour in range(24 * 10):
        watch.saw(START + hour * HOUR - 1, 0, 0, 0)
        for part in range(6):
            watch.saw(START + hour * HOUR + part * 600, 5, int(part == 0), 0)
    end = START + (hour + 1) * HOUR
    said = [n / 6 for n in range(24 * 6) if watch.saw(end + n * 600, 5, 0, 0)]
    assert len(said) == 1
    assert 19 <= said[0] <= 22


def test_a_warning_of_a_stop_that_lasts_comes_once_a_day() -> None:
    hours = list(stopped(after=lambda _: 10, minutes=60 * 60))
    assert [round(b - a) for a, b in pairwise(hours)] == [24, 24]


STEPS = st.lists(
    st.tuples(st.sampled_from((-DAY, 0.0, 2.0, 60.0, 600.0, 5 * HOUR)), *[st.integers(0, 50)] * 3), max_size=200
)


@given(steps=STEPS)
def test_never_two_warnings_within_an_hour_and_no_growth(steps: list[tuple[float, int, int, int]]) -> None:
    watch, now, last = Drift(), START, float("-inf")
    for step, lines, logins, missed in steps:
        now += step
        if watch.saw(now, lines, logins, missed) is not None:
            assert now - last >= HOUR
            last = now
        assert len(watch._hour) <= HOUR // 300 + 1
        assert len(watch.standing) <= 2


def test_a_sleep_is_no_stop() -> None:
    watch = Drift()
    for n in range(60):
        watch.saw(START + n * 60, 10, 1, 0)
    assert watch.saw(START + 10 * HOUR, 10_000, 0, 0) is None
    assert watch.saw(START + 10 * HOUR + 60, 10_000, 0, 0) is None
