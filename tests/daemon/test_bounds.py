"""Whoever may write to a log names as many hosts, users, sessions and addresses as they like: no state grows on it.

All limits are made small and forged lines fed through the whole pipeline. What is reachable from its parts is then
counted, twice; a memory without a bound, an old one or a new one, is seen by its growth.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from pbs_fast.config import Config
from pbs_fast.daemon import follower
from pbs_fast.daemon import refusals as ring
from pbs_fast.daemon.explain import Explainer
from pbs_fast.daemon.follower import clipped
from pbs_fast.events import Batch
from pbs_fast.formats import Format
from pbs_fast.formats.ends import session_ends
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.guards import Guards, answers, user_addresses
from pbs_fast.guards import shared_addresses as crowd
from pbs_fast.guards.deny import DenyList
from pbs_fast.guards.machine import Machine
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.health import refusals, skew
from pbs_fast.health.alarm import LimitAlarm
from pbs_fast.health.log_health import LogHealth
from pbs_fast.health.lost_lines import LOGGERS
from pbs_fast.health.skew import SkewWatch
from pbs_fast.ledger import counting, intake, sessions
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.sessions import OpenSessions
from pbs_fast.log.handlers import own_log
from pbs_fast.matching import census, load_backend
from pbs_fast.matching.python import address as addresses
from pbs_fast.matching.python import cuts, heads
from pbs_fast.matching.python import sessions as of_lines
from pbs_fast.matching.python import tags as routes
from pbs_fast.matching.python import timestamp as timestamps
from pbs_fast.matching.reader import Reader
from pbs_fast.matching.rewrite import logtime
from pbs_fast.matching.zones import zone_table
from pbs_fast.sources.lines import Piece

SMALL = 100
#: Every limit of a memory that lines fill; docs/FAULTS.md lists them.
LIMITS: tuple[tuple[ModuleType, str, int], ...] = (
    (skew, "MAX_HOSTS", SMALL),
    (census, "MAX_TAGS", 10),
    (refusals, "MAX_LINES", SMALL),
    (crowd, "MAX_ADDRESSES", SMALL),
    (crowd, "MAX_USERS", SMALL),
    (user_addresses, "MAX_USERS", SMALL),
    (user_addresses, "MAX_SITES", SMALL),
    (answers, "MAX_ANSWERS", SMALL),
    (ring, "RING", SMALL),
    (sessions, "MAX_OPEN", SMALL),
    (sessions, "_REMEMBERED", SMALL),
    (counting, "_MOST_DEFERRED", SMALL),
    (intake, "_MAX_TEXTS", SMALL),
    (heads, "REMEMBERED", SMALL),
    (routes, "TAGS_REMEMBERED", SMALL),
    (routes, "STARTS_REMEMBERED", SMALL),
    (timestamps, "CACHE_SIZE", SMALL),
    (addresses, "CACHE_SIZE", SMALL),
    (of_lines, "MAX_SESSIONS", SMALL),
    (cuts, "REMEMBERED", 10),
    (cuts, "REMEMBERED_PARTS", 10),
    (logtime, "REMEMBERED", SMALL),
)
#: A site's own server: any tag that ends so, logins in one line and in several, ends by session and by process.
MINE = Format(
    "mine", "Mine", "1", ("*/minepop",), (), ("in as",),
    (r"in as (?P<user>[^ ]*) from (?P<ip>[0-9A-Fa-f:.]+) id (?P<session>[^ ]*)",), (r"out (?P<session>[^ ]*)",),
    session_address=(r"open (?P<ip>[0-9A-Fa-f:.]+)",), session_success=(r"user (?P<user>[^ ]*)",),
    session_end=("closed",),
)  # fmt: skip


def forged(numbers: range) -> Iterator[bytes]:
    """Each with names of its own; each tenth with long ones."""
    for n in numbers:
        tail = "x" * 3_000 if n % 10 == 0 else ""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - n % 3 * 45_000 - n % 1_700))
        head = f"{at} host{n}{tail} t{n}{tail}/minepop[{n}{tail and '0' * 3_000}]: "
        ip = f"2001:db8:{n >> 16 & 0xFFFF:x}::{n & 0xFFFF:x}"
        yield f"{head}in as user{n}{tail} from {ip} id s{n}{tail}".encode()
        yield f"{head}in as user{n}{tail} from 10.0.0.{n % 250} id r{n}{tail}".encode()
        yield f"{head}open {ip}".encode()
        yield f"{head}user user{n}{tail}".encode()
        if n % 2:
            yield f"{head}closed".encode()
            yield f"{head}out s{n}{tail}".encode()
            yield f"{head}out nobody{n}".encode()
        yield (
            f"{at} host{n}{tail} dovecot: imap-login: Login: user=<u{n}>, method=PLAIN, rip={ip}, lip=192.0.2.10, "
            f"mpid={n}, session=<{n}{tail}>"
        ).encode()
        # Of no known server, and the words of a logging daemon.
        yield f"{at} host{n}{tail} tag{n}{tail}[{n}]: {tail}".encode()
        yield f"{at} host{n}{tail} journal: Suppressed {n} messages from mail{n}{tail}".encode()


def reachable(*roots: object) -> int:
    """Elements of containers and characters of texts that are reached from some objects."""
    seen: set[int] = set()
    todo: list[object] = list(roots)
    total = 0
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes):
            total += len(one)
            continue
        if isinstance(one, Mapping):
            total += len(one)
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset | deque):
            total += len(one)
            todo += one
        if type(one).__module__.startswith("pbs_fast"):
            slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
            todo += [getattr(one, name, None) for name in slots]
            todo += getattr(one, "__dict__", {}).values()
    return total


class Pipeline:
    """What the daemon has between its sources and its tables."""

    def __init__(self, backend: str, *, counts: bool, place: Path, hosts: tuple[str, ...] = ()) -> None:
        core = load_backend(backend)
        formats = [MINE, *load_catalogue()]
        self.matcher = core.Matcher([*formats, LOGGERS], zone_table("UTC"))
        self.health = LogHealth(formats)
        stamps_of_site = logtime.LogTime(r"@(\S*) ")
        self.reader = Reader(core, self.matcher, source="x", gap=0, live=True, fold=False, logtime=stamps_of_site)

        config = replace(Config().guards, max_rows=SMALL, max_users_per_address=1, hosts=hosts)
        (place / "networks").write_text("127.0.0.0/8\n")
        netblocks = read_netblocks((str(place / "networks"),), "/bin/false")
        self.guards = Guards(config, netblocks, Machine(), DenyList())
        self.ledger: Ledger = Ledger(1800)
        if counts:
            self.ledger = Ledger(1800, sessions=OpenSessions(86_400, session_ends(formats)))
        self.skew = SkewWatch(1800)
        self.alarm = LimitAlarm()
        self.own = str(place / "own.log")
        self.explain = Explainer(lambda second: second)
        self.refused: set[str] = set()
        self.remembered = ring.Refusals()

    def feed(self, lines: Iterator[bytes]) -> None:
        with own_log(self.own, debug=True):
            self._feed(lines)

    def _feed(self, lines: Iterator[bytes]) -> None:
        now = time.time()
        data = b"\n".join(lines) + b"\n"
        self.reader.feed(data, 0, len(data), offset=0, reference=int(now))
        self.health.look(self.reader, Piece(data, 0, len(data), 0, len(data)), int(now) + len(self.refused))
        batch: Batch = self.health.lost.taken(clipped(self.reader.take()))
        self.health.turned(now, self.reader.counters)
        screened = self.guards.screen(batch, self.ledger, now)
        self.refused |= {refusal.guard for refusal in screened.refused}
        self.alarm.saw(screened.refused, now)
        for host, kind, last in zip(screened.batch.host, screened.batch.kind, screened.batch.last, strict=True):
            if kind == "login" and (warning := self.skew.saw("x", host, last, now)):
                logging.getLogger("pbs_fast.test").warning(warning)
        self.explain.refused(screened.refused)
        self.remembered.add(screened.refused)
        self.explain.changed(self.ledger.observe(screened.batch, now))
        self.ledger.expire(now)

    def size(self) -> int:
        watching = (self.health, self.skew, self.alarm, self.explain, self.remembered)
        return reachable(self.matcher, self.reader, self.guards, self.ledger, *watching)


#: Memories are emptied when they are full, so sizes go up and down by some thousands.
MOST_GROWTH = 6_000


def growth(pipeline: Pipeline) -> int:
    """By how much what is reachable grows while as many forged lines are read again as filled it."""
    sizes = []
    for part in range(10):
        pipeline.feed(forged(range(part * 400, part * 400 + 400)))
        sizes.append(pipeline.size())
    return max(sizes[7:]) - max(sizes[3:7])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, limit in LIMITS:
        assert getattr(module, name) > limit
        monkeypatch.setattr(module, name, limit)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("backend", ["python", "rust"])
@pytest.mark.parametrize("counts", [False, True])
def test_nothing_grows(backend: str, counts: bool, tmp_path: Path) -> None:
    pipeline = Pipeline(backend, counts=counts, place=tmp_path)
    assert growth(pipeline) < MOST_GROWTH
    assert len(pipeline.ledger) > 0
    assert len(pipeline.skew) == SMALL


#: Memories that these lines fill by little (texts of a batch, first bytes, users of one address and addresses of one
#: user, of which each of two limits is enough, a site's timestamps,
#: hosts whose logins are recent; tags, of which few lines are looked at).
SLOW = {"_MAX_TEXTS", "MAX_TAGS", "STARTS_REMEMBERED", "MAX_USERS", "MAX_SITES", "MAX_HOSTS"}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "limit", [each for each in LIMITS if each[1] not in SLOW and each[0] not in (logtime, timestamps)], ids=str
)
def test_growth_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[ModuleType, str, int]
) -> None:
    """Without one of the limits, what is counted in the test above stands out."""
    module, name, _ = limit
    monkeypatch.setattr(module, name, 1 << 60)
    assert growth(Pipeline("python", counts=module in (sessions, counting), place=tmp_path)) > MOST_GROWTH


def test_a_sites_timestamps_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logtime, "REMEMBERED", SMALL)
    site = logtime.LogTime(r"@([^ ]*) ")
    for n in range(1_000):
        site.head(f"@{n}{'x' * (n % 2 * 1_000)} ".encode())
    assert len(site._known) <= SMALL
    assert max(map(len, filter(None, (key[0] for key in site._known)))) < logtime.LONGEST


def test_users_of_many_addresses_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "MAX_USERS", SMALL)
    people = crowd.SharedAddresses(30)
    for n in range(1_000):
        people.saw([f"192.0.2.{n % 20}"], [None], [f"user{n}"], [1], 1.0)
        several = sum(len(users) for users in people._users.values() if isinstance(users, set))
        assert people._several == several <= SMALL + 1
    assert not people._until


@pytest.mark.usefixtures("small")
def test_hosts_that_guards_refuse_are_not_remembered(tmp_path: Path) -> None:
    pipeline = Pipeline("python", counts=False, place=tmp_path, hosts=("hub",))
    pipeline.feed(forged(range(50)))
    assert pipeline.refused == {"hosts"}
    assert len(pipeline.skew) == 0


def test_names_are_cut_once_they_are_the_daemons() -> None:
    long = "x" * 300
    batch = Batch("x", ["192.0.2.1"], host=[long], user_first=[long], user_last=[None], session=[long], process=["a"])
    clipped(batch)
    shown = "x" * follower.LONGEST + "…"
    assert (batch.host, batch.user_first, batch.user_last, batch.session) == ([shown], [shown], [None], [shown])
    assert batch.process == ["a"]


def test_warnings_are_few() -> None:
    watch = SkewWatch(1800)
    said = [watch.saw("log", f"host{n // 3}", 0, 100_000.0 + n / 100) for n in range(30_000)]
    warnings = [each for each in said if each]
    assert len(warnings) == skew.MAX_WARNINGS
    assert warnings[-1].endswith("; warnings about other hosts are suppressed for an hour")
    assert len(watch) == skew.MAX_HOSTS
    assert [watch.saw("log", "late", 0, 200_000.0) for _ in range(3)][2] is not None
