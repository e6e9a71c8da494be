"""`match`, `bench`, `run --reprocess` and an ordinary start say the same of one log: grants, ends and counters.

The rule is written out once more here, event by event, from what `match` says. Logs end now, so that a start sees their
last half hour.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon.running import Site, login, noise, pbs
from pbs_fast.bench.replay import digest

A, B, C, D = "203.0.113.1", "203.0.113.2", "2001:db8::3", "198.51.100.4"
GRACE = 1800
#: Age in seconds of the last line of each log that ends with one of now.
LAST_LINE = 20


class Naive(NamedTuple):
    """What the rule says of the events of `match`."""

    granted: int
    expired: int
    refused_ahead: int
    latest: dict[str, int]
    """Greatest timestamp of each address, whatever became of the login."""
    ends: dict[str, int]
    """End of each address's last grant."""


def naive(events: Sequence[dict[str, str]], reference: int) -> Naive:
    granted = refused = 0
    clock = reference - LAST_LINE
    latest: dict[str, int] = {}
    ends: dict[str, int] = {}
    for event in events:
        if event["event"] != "login":
            continue
        ip, timestamp = event["ip"], int(datetime.fromisoformat(event["time"]).timestamp())
        latest[ip] = max(timestamp, latest.get(ip, timestamp))
        if timestamp > reference + 300:
            refused += 1
            continue
        clock = max(clock, timestamp)
        granted += ip not in ends or timestamp > ends[ip]
        ends[ip] = max(timestamp + GRACE, ends.get(ip, 0))
    live = sum(end > clock for end in ends.values())
    return Naive(granted, granted - live, refused, latest, ends)


def in_order(now: float) -> list[list[str]]:
    return [
        [
            noise(now - 8_000),
            login(A, at=now - 7_000),
            login(A, at=now - 6_000),
            login(B, at=now - 5_900),
            login(A, at=now - 3_000),
            login(C, at=now - 900),
            noise(now - LAST_LINE),
        ]
    ]


def out_of_order(now: float) -> list[list[str]]:
    """A row has ended when an earlier login of its address comes: it is no new grant."""
    return [
        [
            noise(now - 9_000),
            login(A, at=now - 7_200),
            login(B, at=now - 3_600),
            login(A, at=now - 6_600),
            login(C, at=now - 600),
            login(A, at=now - 1_000),
            login(D, at=now - 1_200),
            noise(now - LAST_LINE),
        ]
    ]


def ahead(now: float) -> list[list[str]]:
    return [[noise(now - 4_000), login(A, at=now + 100_000_000), login(B, at=now - 30), login(C, at=now + 86_400)]]


def holes(now: float) -> list[list[str]]:
    """What a writer that does not append leaves when its log is truncated, at the start and in the middle."""
    nul = "\0" * 4096
    return [
        [
            nul + noise(now - 4_000),
            nul * 5 + login(A, at=now - 3_000),
            nul + login(B, at=now - 200),
            login(C, at=now - 100),
            nul + noise(now - LAST_LINE),
        ]
    ]


def two_files(now: float) -> list[list[str]]:
    """Two logs at the same time: the second begins before the first ends."""
    return [
        [noise(now - 8_000), login(A, at=now - 7_000), login(B, at=now - 500), noise(now - LAST_LINE)],
        [noise(now - 8_000), login(A, at=now - 6_500), login(A, at=now - 4_000), login(C, at=now - 50)],
    ]


LOGS = (in_order, out_of_order, ahead, holes, two_files)


@pytest.fixture
def now() -> Iterator[int]:
    """A whole second; what is compared with the clock lies seconds away from it."""
    return int(time.time())


def counted(said: str) -> dict[str, int]:
    words = re.findall(r"counted (.+)", said)[-1].split()
    return {name: int(number) for name, _, number in (word.partition("=") for word in words)}


@pytest.mark.parametrize("core", ["rust", "python"])
@pytest.mark.parametrize("logs", LOGS, ids=lambda make: make.__name__)
def test_all_say_the_same(
    new_site: Callable[[str], Site], tmp_path: Path, now: int, logs: Callable[[float], list[list[str]]], core: str
) -> None:
    files = [tmp_path / f"mail{number}.log" for number, _ in enumerate(logs(now))]
    for file, lines in zip(files, logs(now), strict=True):
        file.write_text("".join(f"{line}\n" for line in lines))
        os.utime(file, (now, now))
    names = [str(file) for file in files]
    matched = pbs("match", "--json", f"--core={core}", *names)
    events = [json.loads(line) for line in matched.stdout.splitlines()]
    rule = naive(events, now)
    assert len(rule.latest) >= 3, "match sees every login"

    bench = json.loads(pbs("bench", "--json", f"--core={core}", f"--grace={GRACE}", *names).stdout)
    assert bench["digest"] == digest(rule.latest)
    assert (bench["granted"], bench["expired"]) == (rule.granted, rule.expired)

    live = {ip: end for ip, end in rule.ends.items() if end > now}
    for start in (["--reprocess"], ["--reprocess", "--debug"], []):
        site = new_site("lmdb")
        site.log = files[0]
        more = [f"--watchlog={name}" for name in names[1:]]
        daemon = site.spawn(*start, *more, f"--core={core}", "--once", f"--logto={site.own}")
        assert daemon.end()[0] == 0
        assert site.rows() == sorted(live), site.said()
        totals = counted(site.said())
        assert totals.get("refused_ahead", 0) == rule.refused_ahead
        if start:
            assert (totals["granted"], totals.get("expired", 0)) == (rule.granted, rule.expired)
        for ip, end in live.items():
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
            assert re.search(rf"{re.escape(ip)} .*until={until}", site.said()), (ip, until, site.said())


@pytest.mark.parametrize("seed", range(2))
def test_the_audit_lines_do_not_depend_on_debug(tmp_path: Path, seed: int) -> None:
    """Without it those of one second are one record, with it each is written at once."""
    r = random.Random(seed)
    log, config = tmp_path / "mail.log", tmp_path / "pbs.toml"
    at, lines = int(time.time()) - 80_000, []
    for _ in range(600):
        at += r.choice([0, 0, 0, 0, 1, 40, -30])
        lines.append(login(f"203.0.113.{r.randrange(60)}", at=at) if r.random() < 0.9 else noise(at))
    log.write_text("".join(f"{line}\n" for line in lines))
    config.write_text('mynetworks = ["127.0.0.0/8", "203.0.113.7"]\ngrace = 60\n')
    said = []
    for debug in ([], ["--debug"]):
        own = tmp_path / f"own{len(debug)}.log"
        options = ["--nowrite", "--reprocess", "--once", f"--watchlog={log}", *debug, f"--logto={own}"]
        assert pbs("run", f"--config={config}", *options).returncode == 0
        said.append(re.findall(r"(?m)^.{15} would (?:add|remove) .*", own.read_text()))
    assert said[0] == said[1]
    assert len(said[0]) > 200
    # Seconds with several lines, and both kinds of lines by turns.
    words = [(line[:15], line[22:25]) for line in said[0]]
    assert sum(one == two for one, two in pairwise(words)) > 50
    assert sum(one[1] != two[1] for one, two in pairwise(words)) > 50
