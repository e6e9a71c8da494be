"""The replay: its counts are the truth's and a naive model's, whatever the backend, threads, pieces and packing."""

from __future__ import annotations

import gzip
import hashlib
import random
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.bench.hublog import Options, write_log
from pbs_fast.bench.replay import Replay, Result, digest
from pbs_fast.bench.report import COUNTED, record
from pbs_fast.errors import SourceError
from pbs_fast.matching import Backend, load_backend
from pbs_fast.replay.expiries import LIMIT
from pbs_fast.replay.feed import default_threads
from support.matchers import catalogue_matcher


def replay(core: Backend, *files: Path, now: int | None = None, grace: int = 1800, **more: Any) -> Result:
    matcher = catalogue_matcher(core.name)
    make = Replay(core, matcher, grace=grace, kept=more.pop("kept", LIMIT))
    return make([str(file) for file in files], now=now, **{"threads": 1} | more)


def counted(result: Result) -> dict[str, Any]:
    return {key: value for key, value in record(result).items() if key in COUNTED}


@cache
def whole(core: str, log: Path) -> dict[str, Any]:
    """What one thread counts of a log that no test changes, for all tests that compare with it."""
    return counted(replay(load_backend(core), log))


def test_counts_are_the_truth(core: Backend, hub: Any) -> None:
    result = whole(core.name, hub.path)
    assert result == {"files": 1} | {key: hub.totals[key] for key in COUNTED if key != "files"}
    # The log does what it is for: some grants ended, some of these addresses came back.
    assert 0 < result["expired"] < result["granted"]
    assert result["granted"] > result["distinct_ips"]


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("piece", [20_000, 300_000, 1 << 26])
def test_neither_threads_nor_pieces_nor_batches_matter(core: Backend, hub: Any, threads: int, piece: int) -> None:
    for batch in (1, 1_000_000):
        found = counted(replay(core, hub.path, threads=threads, piece=piece, batch=batch))
        assert found == whole(core.name, hub.path)


@pytest.mark.parametrize("threads", [1, 3])
def test_compressed_logs_count_the_same(core: Backend, hub: Any, tmp_path: Path, threads: int) -> None:
    path = tmp_path / "hub.log.gz"
    path.write_bytes(gzip.compress(hub.path.read_bytes(), 1))
    found = counted(replay(core, path, now=int(hub.path.stat().st_mtime), threads=threads))
    assert found == whole(core.name, hub.path)


@pytest.mark.parametrize("threads", [1, 2])
def test_several_files_are_one_log(core: Backend, hub: Any, tmp_path: Path, threads: int) -> None:
    lines = hub.path.read_bytes().splitlines(keepends=True)
    paths = []
    for number, start in enumerate(range(0, len(lines), 8_001)):
        paths.append(tmp_path / f"hub.{number}")
        paths[-1].write_bytes(b"".join(lines[start : start + 8_001]))
    parts = counted(replay(core, *paths, now=int(hub.path.stat().st_mtime), threads=threads))
    assert parts == whole(core.name, hub.path) | {"files": 4}


def test_a_file_given_twice_grants_nothing_twice(core: Backend, hub: Any) -> None:
    once, twice = replay(core, hub.path), replay(core, hub.path, hub.path, threads=2)
    assert (twice.lines, twice.logins, twice.digest) == (2 * once.lines, 2 * once.logins, once.digest)
    # Read again from the start, its timestamps run backwards: nothing is later than what is known.
    assert (twice.granted, twice.expired) == (once.granted, once.expired)


@pytest.mark.parametrize("grace", [1, 60, 86_400])
def test_grace(core: Backend, tmp_path: Path, grace: int) -> None:
    totals = write_log(tmp_path / "hub.log", Options(lines=8_000, seed=4), grace=grace)
    result = counted(replay(core, tmp_path / "hub.log", grace=grace))
    assert result == {"files": 1} | {key: totals[key] for key in COUNTED if key != "files"}


def test_nothing_to_read(core: Backend, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    result = replay(core, empty, threads=2)
    assert counted(result) == dict.fromkeys(COUNTED, 0) | {"files": 1, "digest": hashlib.sha256().hexdigest()}


def test_a_last_line_without_newline_is_a_line(core: Backend, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\n\nlast")
    result = replay(core, log, log)
    assert (result.lines, result.bytes) == (6, 14)


def test_a_log_that_cannot_be_read_to_its_end_is_an_error(core: Backend, hub: Any, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(hub.path.read_bytes(), 1)[:-10])
    for threads in (1, 3):
        with pytest.raises(SourceError, match="cut off"):
            replay(core, cut, threads=threads)
        with pytest.raises(SourceError, match="no such file"):
            replay(core, hub.path, tmp_path / "none", threads=threads)


# -- against a naive model, event by event -------------------------------------------------------

NOW = 1_795_200_000
Login = tuple[str, int]


def naive(logins: Iterable[Login], grace: int) -> tuple[int, int, str]:
    """What section 6 of docs/MATCHING.md ends with, word for word: grants, ended ones, digest."""
    clock = 0
    latest: dict[str, int] = {}
    every: dict[str, int] = {}
    granted = 0
    for ip, timestamp in logins:
        every[ip] = max(timestamp, every.get(ip, timestamp))
        if timestamp > NOW + 300:
            continue
        clock = max(clock, timestamp)
        granted += ip not in latest or timestamp > latest[ip] + grace
        latest[ip] = max(timestamp, latest.get(ip, timestamp))
    live = sum(timestamp + grace > clock for timestamp in latest.values())
    return granted, granted - live, digest(every)


LOGINS = st.lists(
    st.tuples(
        st.sampled_from(["203.0.113.1", "203.0.113.2", "2001:db8::1", "10.0.0.1"]),
        # Mostly forward in time, sometimes back; the last few stand ahead of NOW.
        st.integers(-4_000, 700).map(lambda after: NOW + after),
    ),
    min_size=4,
    max_size=40,
)


@given(
    logins=LOGINS,
    grace=st.sampled_from([1, 60, 600]),
    batch=st.sampled_from([1, 500, 1 << 20]),
    kept=st.sampled_from([1, 2, LIMIT]),
)
def test_the_ledger_grants_what_the_rule_grants(
    core: Backend, tmp_path: Path, logins: list[Login], grace: int, batch: int, kept: int, share: Any
) -> None:
    log = tmp_path / "log"
    log.write_text(
        "".join(
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(timestamp))
            + f" mx dovecot: imap-login: Login: user=<u>, rip={ip}, lip=192.0.2.1\n"
            for ip, timestamp in logins
        )
    )
    result = replay(core, log, now=NOW, grace=grace, batch=batch, piece=200, kept=kept)
    share(result.granted > result.distinct_ips)
    assert (result.granted, result.expired, result.digest) == naive(logins, grace)
    assert result.logins == len(logins)


def test_refused_logins_count_for_the_digest_and_grant_nothing(core: Backend, tmp_path: Path) -> None:
    line = "2026-11-21T08:00:0{}Z mx dovecot: imap-login: Login: user=<u>, rip={}, lip=192.0.2.1\n"
    ips = ["127.0.0.1", "192.0.2.1", "fe80::1", "192.168.1.7"]
    log = tmp_path / "log"
    log.write_text("".join(line.format(number, ip) for number, ip in enumerate(ips)))
    result = replay(core, log, now=NOW + 100_000)
    start = 1_795_248_000
    assert (result.granted, result.distinct_ips) == (1, 4)
    assert result.digest == digest({ip: start + number for number, ip in enumerate(ips)})


def test_the_digest_is_of_lines_sorted_by_their_bytes() -> None:
    latest = {"9.0.0.1": 5, "10.0.0.1": 12, "2001:db8::1": 7, "10.0.0.10": 3}
    text = b"10.0.0.1 12\n10.0.0.10 3\n2001:db8::1 7\n9.0.0.1 5\n"
    assert digest(latest) == hashlib.sha256(text).hexdigest()
    shuffled = list(latest.items())
    random.Random(1).shuffle(shuffled)
    assert digest(dict(shuffled)) == digest(latest)


def test_own_logs_are_replayed_in_their_own_layout(core: Backend, tmp_path: Path) -> None:
    log = tmp_path / "dovecot.log"
    line = "Nov 21 08:00:{:02d} imap-login: Info: Login: user=<u{}>, method=PLAIN, rip=203.0.113.{}, lip=192.0.2.1\n"
    rubbish = "rubbish without a timestamp\n" * 2_000
    log.write_text(rubbish + "".join(line.format(n % 60, n, n) for n in range(200)))
    for threads in (1, 3):
        result = replay(core, log, now=NOW + 100_000, threads=threads, piece=20_000)
        assert (result.logins, result.distinct_ips) == (200, 200)


def test_default_threads() -> None:
    assert default_threads(load_backend("rust")) >= 1
    assert default_threads(load_backend("python")) == 1
