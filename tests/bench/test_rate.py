"""The log's own rate: the naive count, in any envelope, whatever the pieces hold and however it is packed."""

from __future__ import annotations

import gzip
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.bench.rate import LogRate, log_rate
from pbs_fast.matching import Backend
from pbs_fast.matching.reader import Reader
from support.matchers import catalogue_matcher

NOW = 1_795_200_000


def rate(core: Backend, *files: Path, now: int | None = NOW + 10**6) -> LogRate | None:
    matcher = catalogue_matcher(core.name)
    reader = Reader(core, matcher, source="bench", gap=1800, live=False, fold=True)
    return log_rate([str(file) for file in files], reader, now)


def line(timestamp: int, text: str = "x") -> str:
    return time.strftime("%b %e %H:%M:%S", time.gmtime(timestamp)) + f" mx postfix/smtpd[1]: {text}\n"


# Gaps between lines: mostly none, some beyond a minute; each with a length of text.
GAPS = st.lists(
    st.tuples(st.sampled_from([0, 0, 0, 1, 7, 59, 60, 61, 4_000]), st.integers(0, 3_000)), min_size=8, max_size=60
)


@given(gaps=GAPS)
def test_the_naive_count(core: Backend, tmp_path: Path, gaps: list[tuple[int, int]], share: Any) -> None:
    timestamps = [NOW]
    text = line(NOW)
    for gap, length in gaps:
        timestamps.append(timestamps[-1] + gap)
        text += line(timestamps[-1], "x" * length)
    log = tmp_path / "log"
    log.write_text(text)
    counts = Counter(timestamp // 60 for timestamp in timestamps)
    minute, busiest = max(counts.items(), key=lambda item: (item[1], -item[0]))
    share(len(counts) > 2 and busiest > 2)
    assert rate(core, log) == LogRate(len(timestamps), NOW, timestamps[-1], busiest, minute * 60)


def test_lines_without_a_stamp_belong_to_the_minute_before(core: Backend, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("rubbish\n" * 3 + line(NOW) + "more\n" * 50 + line(NOW + 600) * 20)
    found = rate(core, log)
    assert found == LogRate(74, NOW, NOW + 600, 54, NOW)
    assert (found.average, found.peak) == (pytest.approx(74 / 600), pytest.approx(0.9))
    brief = LogRate(60, NOW, NOW + 6, 60, NOW)
    assert (brief.average, brief.peak) == (10, 10)


def test_packed_and_in_several_files(core: Backend, tmp_path: Path) -> None:
    text = "".join(line(NOW + second // 10) for second in range(30_000))
    whole, packed = tmp_path / "log", tmp_path / "log.gz"
    whole.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    expected = LogRate(30_000, NOW, NOW + 2_999, 600, NOW)
    assert rate(core, whole) == rate(core, packed) == expected
    assert rate(core, whole, packed) == expected._replace(lines=60_000)


def test_nothing_to_say(core: Backend, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("rubbish\n" * 100)
    assert rate(core, log) is None
    assert rate(core, Path("-")) is None
