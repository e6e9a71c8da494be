"""The loop's side of sharing, with hubs that are played: what is given to them, and that nothing waits for one."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from ledger.rows import Login, batch
from pbs_fast.config.model import Share as ShareKeys
from pbs_fast.daemon import share as share_
from pbs_fast.daemon.share import Peers, Share
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.sessions import OpenSessions
from pbs_fast.share import outbox
from pbs_fast.share.hub import Came, CaughtUp, Connected, Entries, Exchanged, Failed, Lost, Sampled, _parts
from pbs_fast.share.inbox import Got, Read
from pbs_fast.share.message import Message, Revoke, Row
from pbs_fast.share.outbox import Outgoing
from pbs_fast.share.spec import parse_hub
from pbs_fast.share.tombstones import Denied
from support.clock import FakeClock

KEYS = ShareKeys(hubs=("valkey://hub1",), from_=("pop2",))


class PlayedHub:
    """Takes what it is given and answers at once, unless it `hangs`."""

    def __init__(self, clock: FakeClock) -> None:
        self.url = parse_hub("valkey://hub1")
        self.came: deque[Came] = deque()
        self.idle = self.started = self.closed = self.hangs = False
        self.given: list[Outgoing] = []
        self.reads: list[Read] = []
        self._clock, self._end = clock, 0

    def start(self) -> None:
        self.started = True

    def connect(self) -> None:
        self.came += [Connected(), self._exchanged([])]

    def take(self) -> Came | None:
        return self.came.popleft() if self.came else None

    def give(self, outgoing: Sequence[Outgoing]) -> None:
        self.idle = False
        self.given += outgoing
        if not self.hangs:
            self.came.append(self._exchanged(outgoing))

    def read(self, reads: Sequence[Read]) -> None:
        self.reads += reads

    def close(self) -> None:
        self.closed = True

    def _exchanged(self, outgoing: Sequence[Outgoing]) -> Exchanged:
        before = f"{self._end}-0" if self._end else None
        ids = []
        for _ in outgoing:
            self._end += 1
            ids.append(f"{self._end}-0")
        now = self._clock.now()
        return Exchanged(before, ids, Sampled(now, now + 5, now), frozenset({"pop1", "pop2"}))

    def rows(self) -> set[str]:
        """The addresses in what it was given."""
        records = [json.loads(each.entry.m) for each in self.given]
        return {row[0] for record in records if record["k"] == "rows" for row in record["r"]}


class Played:
    """A Share with so many hubs, and a ledger with so many rows of our own logs; `session`: the longest counted one."""

    def __init__(self, rows: int = 0, keys: ShareKeys = KEYS, session: int = 0, hubs: int = 1) -> None:
        self.clock = FakeClock()
        self.hubs = [PlayedHub(self.clock) for _ in range(hubs)]
        self.hub = self.hubs[0]
        self.ledger = Ledger(1800, sessions=OpenSessions(session, {}) if session else None)
        self.said: list[tuple[str, str, str]] = []
        self.share = Share(keys, "pop1", lambda _: self.hubs, b"k" * 32, ledger=self.ledger, clock=self.clock)  # type: ignore[list-item]
        self.share.watch.troubled = lambda *what: self.said.append(what)
        self.share.begin()
        self.log_in(rows)

    def log_in(self, rows: int) -> None:
        now = int(self.clock.now())
        logins = [Login(f"10.0.{n >> 8}.{n & 255}", now) for n in range(rows)]
        self.share.changed(self.ledger.observe(batch(logins), now))


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Played]]:
    with ExitStack() as stack:

        def make(*arguments: object, **options: object) -> Played:
            played = Played(*arguments, **options)  # type: ignore[arg-type]
            stack.callback(played.share.close)
            return played

        yield make
        monkeypatch.setattr(share_, "_FLUSH", 0.0)


def test_a_hub_is_given_what_it_is_owed_while_it_is_idle(play: Callable[..., Played]) -> None:
    played = play(rows=5_000)
    played.share.turn()
    assert not played.hub.given
    played.hub.connect()
    played.share.turn()
    first = len(played.hub.rows())
    assert 0 < first < 5_000
    while played.hub.came or played.share.outbox.waiting(0):
        played.share.turn()
    assert len(played.hub.rows()) == 5_000
    assert played.share.outbox.waiting(0) == 0


@pytest.mark.parametrize(("rows", "waits"), [(199, False), (200, True)])
def test_only_after_a_burst_new_rows_are_collected(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch, rows: int, waits: bool
) -> None:
    monkeypatch.setattr(share_, "_BURST", 60.0)
    played = play(rows=rows)
    played.hub.connect()
    played.share.turn()
    assert len(played.hub.rows()) == rows
    played.log_in(rows + 1)
    played.share.turn()
    assert (len(played.hub.rows()) == rows) is waits
    assert played.share.pause() > 0
    played.share.close()
    assert len(played.hub.rows()) == rows + 1, "a stop does not wait"


def test_a_stop_sends_what_is_owed(play: Callable[..., Played]) -> None:
    played = play(rows=3_000)
    played.hub.connect()
    played.share.turn()
    played.share.close()
    assert len(played.hub.rows()) == 3_000
    assert played.hub.closed


def test_a_stop_sends_renewals_that_are_still_collected(play: Callable[..., Played]) -> None:
    played = play(rows=10)
    played.hub.connect()
    while played.hub.came or played.share.outbox.waiting(0):
        played.share.turn()
    played.hub.given.clear()
    played.clock.advance(1000)  # less than half of grace is left
    played.log_in(10)
    assert played.share.outbox.waiting(0) == 10
    played.share.close()
    assert len(played.hub.rows()) == 10


def test_a_stop_waits_for_a_hub_that_hangs_for_some_seconds_only(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share_, "_FLUSH", 0.2)
    played = play(rows=3_000)
    played.hub.connect()
    played.hub.hangs = True
    played.share.turn()
    began = time.monotonic()
    played.share.close()
    assert time.monotonic() - began < 10
    assert played.hub.closed


def test_a_hub_that_is_down_is_not_waited_for(play: Callable[..., Played]) -> None:
    played = play(rows=10)
    played.hub.came.append(Failed("Connection refused"))
    played.share.turn()
    began = time.monotonic()
    played.share.close()
    assert time.monotonic() - began < share_._FLUSH


def test_a_hub_in_trouble_is_a_notice_until_it_is_back(play: Callable[..., Played]) -> None:
    played = play()
    url = "valkey://hub1"
    played.share.turn()
    assert not any(text for _, _, text in played.said)
    played.hub.came += [Failed("no answer in time"), Lost("no answer in time")]
    played.share.turn()
    assert played.said[-1] == ("hub_down", url, f"hub {url} is down: no answer in time")
    assert played.share.links[0].state == "down"
    played.hub.connect()
    played.share.turn()
    assert played.said[-1] == ("hub_down", url, "")
    assert played.share.links[0].state == "catching_up"
    assert [read.node for read in played.hub.reads] == ["pop2"]


def test_without_hubs_nothing_is_done() -> None:
    ledger = Ledger(1800)
    share = Share(ShareKeys(), "pop1", lambda _: (), b"", ledger=ledger, clock=FakeClock())
    share.begin()
    share.turn()
    share.changed(ledger.observe(batch([Login("10.0.0.1", int(FakeClock().now()))]), FakeClock().now()))
    assert (share.filenos(), share.pause(), share.ready, share.receives) == ([], float("inf"), True, False)
    assert (share.nodes(), share.coverage()) == ([], [])
    share.close()


def test_a_node_that_does_not_publish_sends_no_row(play: Callable[..., Played]) -> None:
    played = play(rows=5, keys=ShareKeys(hubs=("valkey://hub1",), publish=False))
    played.hub.connect()
    played.share.turn()
    kinds = [json.loads(each.entry.m)["k"] for each in played.hub.given]
    assert kinds == ["beat"]


def test_a_turn_does_a_part_of_the_work_that_comes_at_once(play: Callable[..., Played]) -> None:
    played = play(rows=3_000)
    share = played.share
    played.hub.connect()
    while share.outbox.waiting(0) or played.hub.came:
        share.turn()
    looked: list[str] = []
    look = share.outbox._look
    share.outbox._look = lambda ips, now: (looked.extend(ips), look(ips, now))[1]  # type: ignore[method-assign]
    played.clock.advance(900)
    share.turn()
    assert 0 < len(looked) < 3_000
    assert share.pause() == 0
    while len(looked) < 3_000:
        share.turn()
    share.turn()
    assert share.pause() > 0


def test_rows_that_are_sent_again_are_owed_in_parts(
    monkeypatch: pytest.MonkeyPatch, play: Callable[..., Played]
) -> None:
    monkeypatch.setattr(outbox, "_OWED_PART", 500)
    played = play(rows=3_000)
    share = played.share
    played.hub.connect()
    while share.outbox.waiting(0) or played.hub.came:
        share.turn()
    played.hub.given.clear()
    share.outbox.ask(played.clock.now())
    played.clock.advance(60)
    share.turn()
    assert len(share.outbox._hubs[0].later) + len(played.hub.rows()) <= 1_000
    assert share.outbox.waiting(0) > 2_000
    assert share.pause() == 0
    while share.outbox.waiting(0) or played.hub.came:
        share.turn()
    assert len(played.hub.rows()) == 3_000


def test_revocations_that_come_faster_than_rows_are_removed_fill_no_memory(play: Callable[..., Played]) -> None:
    played = play()
    share = played.share
    given: list[list[Denied]] = []

    def deny(denied: Sequence[Denied]) -> Iterator[None]:
        given.append([*denied])
        for _ in range(20):
            yield

    share.peers = Peers(lambda *_: None, deny, lambda _: None)
    played.hub.connect()
    share.turn()
    [read] = played.hub.reads
    time_ = int((played.clock.now() + 5) * 1000)
    for number in range(1, 16):
        until = time_ / 1000 + number
        revoke = Revoke("user", f"user{number % 2}", until, number, "root", "")
        message = Message("run", number, time_, revokes=(revoke,))
        played.hub.came.append(Entries([Got("pop2", read.reading, f"{number}-0", message)]))
        share.turn()
    assert [[each.number for each in some] for some in given] == [[1]]
    assert len(share._removals.waiting) == 2
    for _ in range(60):
        share.turn()
    assert [sorted(each.number for each in some) for some in given] == [[1], [14, 15]]
    assert share.pause() > 0


@pytest.mark.parametrize(("session", "kept"), [(0, False), (6 * 3600, True)])
def test_a_revocation_lasts_as_long_as_a_session_that_it_covers(
    play: Callable[..., Played], session: int, kept: bool
) -> None:
    """A node that was away for hours has the row of an open session still: it must hear of the revocation when it is
    back, and what it sends first must not come in."""
    played = play(session=session)
    share, clock = played.share, played.clock
    merged: list[str] = []
    share.peers = Peers(lambda rows, _: merged.extend(row.ip for row in rows), lambda _: iter(()), lambda _: None)
    played.hub.connect()
    share.turn()
    share.revocations.tell(Denied("pop1", "user", "eve", clock.now(), 1, "root", ""))
    hours = 4
    assert KEYS.longest < hours * 3600 < 6 * 3600
    for _ in range(2 * hours):
        clock.advance(1800)
        played.hub.given.clear()
        while share.outbox.due(0, clock.now()) or played.hub.came:
            share.turn()
        share.turn()
    assert any(json.loads(each.entry.m)["k"] == "revoke" for each in played.hub.given) is kept
    share.revocations.tell(Denied("pop1", "user", "mallory", clock.now(), 2, "root", ""))  # what is over is forgotten
    [read] = played.hub.reads[-1:]
    hour = 3_600_000
    rows = (
        Row("192.0.2.1", hour, "eve", "dovecot", "mx1", (hours + 1) * hour),
        Row("192.0.2.2", hour, "eve", "dovecot", "mx1", hour),
    )
    message = Message("run", 1, int((clock.now() + 5) * 1000), rows=rows)
    played.hub.came.append(Entries([Got("pop2", read.reading, "1-0", message)]))
    share.turn()
    assert merged == (["192.0.2.2"] if kept else ["192.0.2.1", "192.0.2.2"])


def test_revocations_are_handed_over_a_few_at_a_time() -> None:
    revoke = Revoke("network", "192.0.2.0/24", 9.0, 1, "root", "")
    some = [Got("pop2", 1, f"{n}-0", Message("run", n, 1, revokes=(revoke,))) for n in range(20)]
    parts = [*_parts(some)]
    assert [each for part in parts for each in part] == some
    assert max(map(len, parts)) <= 5


def test_a_start_reads_one_hub_after_the_other(play: Callable[..., Played]) -> None:
    played = play(hubs=2)
    share = played.share
    for hub in played.hubs:
        hub.connect()
    share.turn()
    first, second = played.hubs
    assert [len(hub.reads) for hub in played.hubs] == [1, 0]
    assert [link.state for link in share.links] == ["catching_up", "catching_up"]
    assert not share.ready
    message = Message("run", 1, int((played.clock.now() + 5) * 1000))
    first.came.append(Entries([Got("pop2", first.reads[0].reading, "1-0", message)]))
    first.came.append(CaughtUp("pop2", first.reads[0].reading))
    share.turn()
    assert share.ready
    assert [link.state for link in share.links] == ["up", "catching_up"]
    share.replayed()
    played.clock.advance(1)
    share.turn()
    assert [len(hub.reads) for hub in played.hubs] == [1, 1]
    second.came.append(CaughtUp("pop2", second.reads[0].reading))
    share.turn()
    assert [link.state for link in share.links] == ["up", "up"]


@pytest.mark.parametrize("fault", ["hangs", "breaks"])
def test_a_start_does_not_wait_for_a_hub_that_gives_nothing(play: Callable[..., Played], fault: str) -> None:
    played = play(hubs=2)
    share = played.share
    for hub in played.hubs:
        hub.connect()
    share.turn()
    first, second = played.hubs
    if fault == "breaks":
        first.came.append(Lost("Connection reset by peer"))
    else:
        played.clock.advance(2)
    share.turn()
    assert [len(hub.reads) for hub in played.hubs] == [1, 1]
    second.came.append(CaughtUp("pop2", second.reads[0].reading))
    share.turn()
    assert share.ready


def test_a_start_does_not_wait_for_a_hub_that_gives_too_little(play: Callable[..., Played]) -> None:
    played = play(hubs=2)
    share, began = played.share, played.clock.now()
    for hub in played.hubs:
        hub.connect()
    share.turn()
    first, second = played.hubs
    for number in range(1, 12):
        if second.reads:
            break
        played.clock.advance(0.9)
        message = Message("run", number, int((played.clock.now() + 5) * 1000))
        first.came.append(Entries([Got("pop2", first.reads[0].reading, f"{number}-0", message)]))
        share.turn()
    assert 2 < played.clock.now() - began < 7
    second.came.append(CaughtUp("pop2", second.reads[0].reading))
    share.turn()
    assert share.ready


def test_the_end_of_an_earlier_reading_ends_no_start(play: Callable[..., Played]) -> None:
    played = play()
    share = played.share
    played.hub.connect()
    share.turn()
    now = played.clock.now()
    before = played.hub.reads[0].reading
    share._sampled(share.links[0], Sampled(now, now + 3_605, now), now)  # its clock was set: all is read again
    played.clock.advance(1)
    share.turn()
    [*_, again] = played.hub.reads
    assert again.reading != before
    played.hub.came.append(CaughtUp("pop2", before))
    share.turn()
    assert not share.ready
    played.hub.came.append(CaughtUp("pop2", again.reading))
    share.turn()
    assert share.ready


def test_nothing_is_read_again_before_what_is_revoked_is_removed(play: Callable[..., Played]) -> None:
    """Rows that come meanwhile are passed over, as they are known still, or refused, as a denial that is undone is in
    force still."""
    played = play()
    share, clock = played.share, played.clock
    parts = 4

    def deny(_: Sequence[Denied]) -> Iterator[None]:
        for _ in range(parts):
            yield

    share.peers = Peers(lambda *_: None, deny, lambda _: None)
    played.hub.connect()
    share.turn()
    [read] = played.hub.reads
    clock.advance(60)  # nothing but the removal keeps it from being read
    until = clock.now() + 5
    message = Message("run", 1, int(until * 1000), revokes=(Revoke("user", "eve", until, 1, "root", ""),))
    played.hub.came.append(Entries([Got("pop2", read.reading, "1-0", message)]))
    for _ in range(parts):
        share.turn()
        assert share._removals.busy
        assert played.hub.reads == [read]
        clock.advance(1)
    share.turn()
    assert not share._removals.busy
    [_, again] = played.hub.reads
    assert again.after != "1-0"  # from its beginning


def test_a_new_connection_is_read_while_rows_are_removed(play: Callable[..., Played]) -> None:
    played = play()
    share, clock = played.share, played.clock
    share.peers = Peers(lambda *_: None, lambda _: iter([None] * 3), lambda _: None)
    played.hub.connect()
    share.turn()
    [read] = played.hub.reads
    until = clock.now() + 5
    message = Message("run", 1, int(until * 1000), revokes=(Revoke("user", "eve", until, 1, "root", ""),))
    played.hub.came.append(Entries([Got("pop2", read.reading, "1-0", message)]))
    share.turn()
    assert share._removals.busy
    played.hub.came += [Lost("Connection reset by peer"), Connected()]
    share.turn()
    [_, resumed] = played.hub.reads
    assert resumed.after == "1-0"
    for _ in range(12):
        clock.advance(1)
        share.turn()
    [_, _, again] = played.hub.reads
    assert again.after != "1-0"


@pytest.mark.parametrize("end", ["up", "down", "hangs", "trickles"])
def test_a_start_from_an_empty_hub_reads_the_other_one_too(play: Callable[..., Played], end: str) -> None:
    """After a flush of one, the rows are at the other: without them they would be missing, or be kept for too long."""
    played = play(hubs=2)
    share, clock = played.share, played.clock
    first, second = played.hubs
    first.connect()
    share.turn()
    first.came.append(CaughtUp("pop2", first.reads[0].reading))
    share.turn()
    assert share.links[0].state == "up"
    assert not share.ready  # the other one may still connect
    second.connect()
    share.turn()
    [read] = second.reads
    clock.advance(0.5)
    assert not share.ready
    if end == "up":
        second.came.append(CaughtUp("pop2", read.reading))
    elif end == "down":
        second.came.append(Lost("Connection reset by peer"))
    elif end == "hangs":
        clock.advance(1)
    for number in range(1, 6) if end == "trickles" else ():
        assert not share.ready
        clock.advance(0.9)
        message = Message("run", number, int((clock.now() + 5) * 1000))
        second.came.append(Entries([Got("pop2", read.reading, f"{number}-0", message)]))
        share.turn()
    share.turn()
    assert share.ready


def test_a_start_waits_for_no_hub_that_does_not_connect(play: Callable[..., Played]) -> None:
    played = play(hubs=2)
    share = played.share
    played.hub.connect()
    share.turn()
    played.hub.came.append(CaughtUp("pop2", played.hub.reads[0].reading))
    share.turn()
    assert not share.ready
    played.clock.advance(1)
    assert share.ready


def test_a_removal_that_takes_long_is_read_around_and_after(play: Callable[..., Played]) -> None:
    played = play()
    share, clock = played.share, played.clock
    share.peers = Peers(lambda *_: None, lambda _: iter([None] * 25), lambda _: None)
    played.hub.connect()
    share.turn()
    [read] = played.hub.reads
    until = clock.now() + 5
    message = Message("run", 1, int(until * 1000), revokes=(Revoke("user", "eve", until, 1, "root", ""),))
    played.hub.came.append(Entries([Got("pop2", read.reading, "1-0", message)]))
    count = []
    while share._removals.busy or not count:
        share.turn()
        count.append(len(played.hub.reads))
        clock.advance(1)
    assert (count[8], count[24]) == (1, 2)
    for _ in range(12):
        clock.advance(1)
        share.turn()
    assert len(played.hub.reads) == 3
