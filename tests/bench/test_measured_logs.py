"""Long logs of benches/measure: a replay counts what they say they hold, and their addresses are proper ones."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure.days import Days, renamer
from pbs_fast.bench.hublog import Options, iter_lines
from pbs_fast.bench.replay import Replay
from pbs_fast.bench.report import record
from pbs_fast.matching import Backend
from support.matchers import catalogue_matcher

LINES = 12_000


@pytest.fixture(scope="module")
def days() -> Days:
    return Days(LINES)


def test_a_replay_counts_what_many_days_hold(core: Backend, days: Days, tmp_path: Path) -> None:
    log = tmp_path / "days.log"
    matcher = catalogue_matcher(core.name)
    # A month's end is among them, and dates of one digit.
    for first, stop in ((0, 1), (1, 2), (2, 13)):
        days.append(log, range(first, stop))
        assert log.stat().st_size == stop * days.size
        found = record(Replay(core, matcher, grace=1800)([str(log)], now=None, threads=2))
        totals = days.totals(stop)
        assert {key: found[key] for key in totals} == totals
    assert totals["logins"] == 13 * LINES * 0.08
    # The days have few addresses in common.
    assert totals["distinct_ips"] > 12.5 * days.totals(1)["distinct_ips"]


def test_the_first_day_is_the_generators(days: Days) -> None:
    options = Options(lines=LINES, rate=LINES / 86_400)
    assert b"".join(days.text(0)) == b"".join(line + b"\n" for line, _ in iter_lines(options))


V4 = st.builds("{}.{}.{}.{}".format, st.sampled_from([2, 93, 100, 217]), *[st.integers(0, 255)] * 3)
V6 = st.binary(min_size=12, max_size=12).map(
    lambda tail: socket.inet_ntop(socket.AF_INET6, bytes.fromhex("20010db8") + tail)
)


@given(day=st.integers(0, 400), ips=st.sets(V4 | V6, min_size=2, max_size=20))
def test_other_addresses_are_canonical_and_as_long(day: int, ips: set[str]) -> None:
    others = [renamer(day)(ip) for ip in ips]
    assert len(set(others)) == len(ips)
    for ip, other in zip(ips, others, strict=True):
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        assert socket.inet_ntop(family, socket.inet_pton(family, other)) == other
        assert len(other) == len(ip)
        assert other[:4].split(".")[0] == ip[:4].split(".")[0]


def test_documentation_networks_stay() -> None:
    assert [renamer(5)(ip) for ip in ("192.0.2.77", "198.51.100.64", "203.0.113.127")] == [
        *("192.0.2.77", "198.51.100.64", "203.0.113.127")
    ]
