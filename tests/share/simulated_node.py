"""A node of the world of `world.py`, its log, and its links to the hubs; what can go wrong with these.

A node is what the daemon is made of: ledger, outbox, inbox, tombstones, a clock for each hub. Its ledger's clock is
`offset` seconds away from the world's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import floor
from typing import TYPE_CHECKING, NamedTuple

from pbs_fast.events import Batch, Counters, Delta, Grant
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.sessions import Ends, OpenSessions
from pbs_fast.share.clock import HubClock
from pbs_fast.share.inbox import AHEAD, Got, Inbox
from pbs_fast.share.message import What, decode, number_of, stream_of
from pbs_fast.share.outbox import Outbox, Outgoing
from pbs_fast.share.tombstones import Denied, Subject, Tombstones

from .simulated_hub import BASE, Hub, Item

if TYPE_CHECKING:
    from .world import World

GRACE, LONGEST, MAX_SESSION = 200, 260, 100_000
SECRET = b"a secret"
SITE = "test"
#: The error of a clock's sample: half of what TIME takes at most.
ERROR = 0.1
ENDS: dict[str, Ends] = {"dovecot": "session"}


class Event(NamedTuple):
    """A line of a node's log."""

    time: int
    """The world's second."""
    kind: str
    ip: str
    user: str
    session: str


class Revocation(NamedTuple):
    """What an administrator said on a node."""

    kind: What
    what: str
    until: float
    """The world's second."""
    number: int


class Link:
    """A node's connection to one hub."""

    def __init__(self) -> None:
        self.up = True
        self.connected = False
        self.clock = HubClock()
        self.sampled = -1e9
        self.cursors: dict[str, tuple[int, tuple[int, int]]] = {}
        """By node: reading and last id."""
        self.behind: set[str] = set()
        self.drops = 0
        """So many entries never reach us: they were not there yet where we read on. A reading from the horizon gives
        all that there is."""
        self.breaks_after: int | None = None
        """After so many XADDs the connection breaks, and nobody knows which were written."""
        self.calm = 0.0
        """Since when nothing has happened to it."""
        self.owing = -1e9
        """When all our rows still had to be sent again."""


class Node:
    """One daemon."""

    def __init__(self, world: World, name: str, *, sessions: bool) -> None:
        self.world, self.name, self.sessions = world, name, sessions
        self.log: list[Event] = []
        self.made: dict[tuple[What, str], Revocation] = {}
        self.trusted = {each for each in world.names if each != name}
        self.heard: dict[tuple[str, Subject], Denied] = {}
        """What others have revoked, with `until` in the world's time: manual.json, which a start reads."""
        self.up = True
        self.ends: dict[str, float] = {}
        """The latest end that our own row of an address ever had, in the world's time."""
        self.sure: dict[str, tuple[str, int]] = {}
        """Our own logins that nobody revoked since: user, and the end that they give at least."""
        self.number = 0
        self.said = 0.0
        """When it last sent rows."""
        self.runs = 0
        self.start()

    def start(self) -> None:
        """A new process, perhaps on a machine with another clock."""
        world = self.world
        self.up, self.runs = True, self.runs + 1
        self.offset = float(world.random.choice([0, 3_600, -3_600, 86_400]))
        self.fresh: set[tuple[int, bytes]] = set()
        """What was read while the hub's clock was the one of the writing."""
        self.allowed: dict[str, float] = {}
        """By node: by how much its rows may live too long, because what was written before the hub's clock was set back
        was read by us for the first time after it."""
        ends = ENDS if self.sessions else {}
        open_sessions = OpenSessions(MAX_SESSION, ends) if self.sessions else None
        self.ledger = Ledger(GRACE, Counters(), sessions=open_sessions)
        self.tombstones = Tombstones(MAX_SESSION)
        self.links = [Link() for _ in world.hubs]
        for link in self.links:
            link.calm = world.time
        self.inbox = Inbox(
            node=self.name,
            trusted=self.trusted,
            longest=LONGEST,
            hubs=len(world.hubs),
            tombstones=self.tombstones,
            now=self.now,
            known=self.ledger.get,
        )
        self.outbox = Outbox(
            site=SITE,
            node=self.name,
            run=f"{self.name}-{self.runs}",
            secret=SECRET,
            grace=GRACE,
            longest=MAX_SESSION,
            rows=self.ledger,
            hubs=len(world.hubs),
            version="0",
            seen=self.tombstones.seen,
            now=self.now,
            random=world.random.random,
        )
        for denied in self.heard.values():
            self.tombstones.add(denied._replace(until=BASE + denied.until + self.offset), self.now)
        for revocation in self.made.values():
            self.deny(revocation)
        for event in self.log:
            if event.time > world.time - self.ledger.window:
                self.observe(event, replay=True)
        self.changed(self.ledger.finish_replay(self.now))

    @property
    def now(self) -> float:
        """Our ledger's clock."""
        return BASE + self.world.time + self.offset

    def world_time(self, second: float) -> float:
        return second - BASE - self.offset

    # -- what the daemon does -----------------------------------------------------------------------------------------

    def changed(self, delta: Delta) -> None:
        self.outbox.take(delta, self.now)
        for ip in (*delta.set, *delta.hidden):
            own = self.ledger.own(ip)
            if own is not None:
                self.extend(ip, own)

    def extend(self, ip: str, own: Grant) -> None:
        """How long the others may keep a row: while a session is open, one grace at a time."""
        end = self.world.time + GRACE if self.ledger.is_open(ip) else self.world_time(own.expires)
        self.ends[ip] = max(self.ends.get(ip, 0.0), end)

    def observe(self, event: Event, *, replay: bool = False) -> None:
        timestamp = int(BASE + event.time + self.offset)
        if event.kind == "login" and self.tombstones.refuses(event.ip, event.user, "", timestamp):
            return
        batch = Batch(
            "log", [event.ip], [timestamp], [timestamp], [1], [event.kind], ["dovecot"], [self.name], [0], [None],  # type: ignore[list-item]
            [False], [event.session], [event.user], [event.user], [1], ["imap-login[7]"],
        )  # fmt: skip
        self.changed(self.ledger.observe(batch, self.now, ahead="reject" if replay else "clamp"))

    def happens(self, kind: str, ip: str, user: str, session: str) -> None:
        time = int(self.world.time)
        self.log.append(Event(time, kind, ip, user, session))
        self.observe(self.log[-1])
        # Where sessions are counted, an older one that is revoked takes a later login with it.
        if kind == "login" and not self.sessions and not self.world.ever_covered(ip, user, time):
            self.sure[ip] = user, time + GRACE

    def deny(self, revocation: Revocation) -> None:
        """Put a revocation of ours into force and send it."""
        until = BASE + revocation.until + self.offset
        denied = Denied(self.name, revocation.kind, revocation.what, until, revocation.number, "root", "")
        self.inbox.denied(denied, self.now)
        self.remove([denied])
        self.outbox.revoke(denied, self.now)

    def revoke(self, kind: What, what: str, until: float) -> None:
        self.world.revoked(self.name, kind, what, until)
        self.number += 1
        self.made[kind, what] = Revocation(kind, what, until, self.number)
        self.deny(self.made[kind, what])

    def remove(self, denied: list[Denied]) -> None:
        """Rows that are revoked. The login of another node's row is not known: all that are named go."""
        if not denied:
            return
        for link in self.links:
            link.calm = self.world.time  # rows of later logins go too, and come back with the next reading

        def covers(ip: str, row: Grant, login: int | None) -> bool:
            if login is None:
                return any(each.names(ip, row) for each in denied)
            return self.tombstones.refuses(ip, row.user, "", login)

        self.changed(self.ledger.withdraw(self.ledger.addresses(), covers, self.now))
        self.outbox.revoked(denied, self.now)

    def trust(self, names: set[str]) -> None:
        if names - self.trusted:
            self.fresh.clear()  # a stream that is read anew is read as after a start
        self.trusted = set(names)
        dropped = self.inbox.trust(names)
        self.heard = {key: denied for key, denied in self.heard.items() if denied.node not in dropped}
        if dropped:
            self.changed(self.ledger.distrust(dropped, self.now))

    def turn(self) -> None:
        self.changed(self.ledger.expire(self.now))
        self.outbox.turn(self.now)
        if self.sessions:
            for ip in self.ledger.addresses():
                if (own := self.ledger.own(ip)) is not None:
                    self.extend(ip, own)
        for number, hub in enumerate(self.world.hubs):
            link = self.links[number]
            if not (hub.alive and link.up):
                link.connected = False
                self.outbox.failed(number, self.now)
                continue
            if not link.connected:
                link.connected, link.calm = True, self.world.time
                self.sample(number)
                self.inbox.connected(number, self.now)
            self.write(number)
            if link.connected:
                self.read(number)
                self.inbox.turn(number, self.now)

    def sample(self, number: int) -> None:
        link, hub, time = self.links[number], self.world.hubs[number], self.world.time
        error = (2 * self.world.random.random() - 1) * ERROR
        step = link.clock.sample(self.now - ERROR, hub.now(time - ERROR + error), self.now + ERROR)
        link.sampled = time
        self.inbox.sampled(number, step, self.now)
        if step:
            self.outbox.stepped(number, self.now)
            link.calm = time

    def write(self, number: int) -> None:
        link, hub, time = self.links[number], self.world.hubs[number], self.world.time
        sample_due = time >= link.sampled + 10
        if not (self.outbox.due(number, self.now) or sample_due):
            return
        stream = stream_of(SITE, self.name)
        self.outbox.end_was(number, hub.last(stream), self.now)
        made = self.outbox.entries(number, link.clock, self.now)
        if any(b'"k":"rows"' in each.entry.m for each in made):
            self.said = time
        if link.breaks_after is not None:
            for each in made[: link.breaks_after]:
                self.put(hub, stream, each)
            link.breaks_after, link.connected = None, False
            self.outbox.failed(number, self.now)
            return
        self.outbox.wrote(number, [self.put(hub, stream, each) for each in made])
        if sample_due:
            self.sample(number)

    def put(self, hub: Hub, stream: str, each: Outgoing) -> str:
        return hub.add(stream, each.entry.m, each.entry.s, self.world.time, each.trim)

    def read(self, number: int) -> None:
        link, hub = self.links[number], self.world.hubs[number]
        anew = set()
        for read in self.inbox.reads(number, link.clock, self.now):
            before = link.cursors.get(read.node)
            link.cursors[read.node] = read.reading, number_of(read.after)
            link.behind.add(read.node)
            if before is None or before[1] != number_of(read.after):
                anew.add(read.node)
        for node, (reading, after) in sorted(link.cursors.items()):
            stream = stream_of(SITE, node)
            items = hub.read(stream, after)
            got = []
            for item in items:
                link.cursors[node] = reading, item.id
                message = decode(node, stream, item.m, item.s, [SECRET])
                if link.drops and node not in anew:
                    link.drops, link.calm = link.drops - 1, self.world.time
                    continue
                got.append(Got(node, reading, f"{item.id[0]}-{item.id[1]}", message))
                self.judge(number, node, item)
            self.arrived(number, got)
            if node in link.behind:
                link.behind.discard(node)
                self.inbox.caught_up(number, node, reading)

    def judge(self, number: int, node: str, item: Item) -> None:
        """How far a stale entry may mislead us: as far as its time is ahead of the clock that the hub has now, be it
        that the clock was set after it was made, or that its sender did not know of it yet."""
        stale = json.loads(item.m)["t"] / 1000 - self.world.hubs[number].now(item.made)
        if abs(stale) < 0.5:
            self.fresh.add((number, item.m))
        elif stale > 0 and (number, item.m) not in self.fresh and self.looks_past(number, item):
            self.allowed[node] = max(self.allowed.get(node, 0.0), stale)

    def looks_past(self, number: int, item: Item) -> bool:
        """Whether it is not refused because its time is ahead."""
        written: float = json.loads(item.m)["t"] / 1000
        return written <= self.world.hubs[number].now(self.world.time) + AHEAD + ERROR

    def arrived(self, number: int, got: list[Got]) -> None:
        arrived = self.inbox.take(number, self.links[number].clock, got, self.now)
        for denied in arrived.denied:
            self.heard[denied.node, denied.subject] = denied._replace(until=floor(self.world_time(denied.until)))
        self.remove(arrived.denied)
        self.changed(self.ledger.merge(arrived.rows, self.now))

    def error(self, row: Grant) -> float:
        """By how much a row may live too long."""
        return self.allowed.get(row.node, 0.0)

    def rows(self) -> Iterator[tuple[str, Grant, float]]:
        """Live rows with their ends in the world's time."""
        for ip, row in self.ledger.rows().items():
            yield ip, row, self.world_time(row.expires)
