"""Grants shared with other nodes, for the loop: all hubs together.

The hubs' threads (`share/hub.py`) do the waiting; here is decided what is sent and what is accepted, by the pure parts.
A turn takes what came within a bound and gives each idle hub what it is owed; without hubs it does nothing.
"""

from __future__ import annotations

import logging
import secrets
import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import random
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast import __version__
from pbs_fast.daemon.revocations import Removals, Revocations
from pbs_fast.daemon.share_watch import Link, ShareWatch
from pbs_fast.events import Delta
from pbs_fast.metrics.families import SHARE_BOUNDS
from pbs_fast.metrics.snapshot import Histogram
from pbs_fast.share.hub import CaughtUp, Connected, Entries, Exchanged, Failed, Hub, Lost, Sampled
from pbs_fast.share.inbox import Got, Inbox
from pbs_fast.share.message import MOST_ROWS, Message
from pbs_fast.share.outbox import Outbox
from pbs_fast.share.tombstones import Denied, Tombstones
from pbs_fast.sources.protocol import Coverage
from pbs_fast.util.bell import Bell

if TYPE_CHECKING:
    from pbs_fast.config.model import Share as ShareKeys
    from pbs_fast.events import SharedRow
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.share.inbox import NodeState
    from pbs_fast.share.own_rows import NativeRows
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

#: Seconds of one turn after which nothing more is taken of what came; a part of 1,000 rows is taken whole.
_BUDGET: Final = 0.01
#: The same until the start is over: nobody is served before, and each turn has a pause and looks at everything else.
_START_BUDGET: Final = 0.05
#: Messages made at once for one hub: 3,200 rows, 2 ms, and twice that by the Python backend.
_AT_ONCE: Final = 16
#: Seconds from one burst of rows to the next for the same hub: an exchange costs 0.2 ms of processor time whatever it
#: carries. It is a burst when a message is full, 200 new rows in a turn or two; the logins of a site go at once.
_BURST: Final = 0.025
#: Seconds between two looks for silent nodes.
_LOOK: Final = 1.0
#: Seconds for which a stop waits for hubs to take what they are owed.
_FLUSH: Final = 3.0
#: Seconds between two warnings that our stream does not end as we wrote it.
_SAID: Final = 3600.0


class Peers(NamedTuple):
    """What the rest of the daemon does with what other nodes say."""

    merge: Callable[[Sequence[SharedRow], bool], object]
    """Take their rows; the second is true while they come as they are made, false while a stream is caught up with."""
    deny: Callable[[Sequence[Denied]], Iterator[None]]
    """Put revocations into force, in parts."""
    distrust: Callable[[Iterable[str]], object]
    """Remove the rows of these nodes."""


class Share:
    """Hands over between the hubs' threads, the outbox, the inbox and the rest of the loop."""

    def __init__(
        self,
        keys: ShareKeys,
        node: str,
        hubs: Callable[[Callable[[], None]], Sequence[Hub]],
        secret: bytes,
        *,
        ledger: Ledger,
        clock: Clock,
        native: NativeRows | None = None,
    ) -> None:
        """`hubs` makes them, given what wakes the loop; none of them is started. `native` is for the outbox."""
        self._keys, self._clock, self._ledger = keys, clock, ledger
        self.node = node
        self.links = [Link(number, hub, clock.wall(), clock.now()) for number, hub in enumerate(hubs(self._rouse), 1)]
        self._bell = Bell() if self.links else None
        now = clock.now()
        # A revocation is remembered, and sent, as long as any row may live that it covers: that of an open session too.
        longest = max(keys.longest, ledger.sessions.max_session)
        tombstones = Tombstones(longest)
        self.inbox = Inbox(
            node=node,
            trusted=keys.from_,
            longest=keys.longest,
            hubs=len(self.links),
            tombstones=tombstones,
            now=now,
            known=ledger.get,
        )
        self.outbox = Outbox(
            site=keys.site,
            node=node,
            run=secrets.token_hex(4),
            secret=secret,
            grace=ledger.grace,
            longest=longest,
            rows=ledger,
            hubs=len(self.links),
            version=__version__,
            seen=tombstones.seen,
            now=now,
            random=random,
            native=native,
        )
        self.delays = Histogram(SHARE_BOUNDS)
        self._removals = Removals(lambda denied: self.peers.deny(denied), self.inbox.read_again)
        self.revocations = Revocations(self.inbox, self.outbox, tombstones, ledger, clock)
        self._look = float("-inf")
        self._left = False
        """What came was not taken wholly."""
        self._starts = True
        """The start is not over."""
        self._closes = False
        """What is owed goes without rests."""
        self.peers: Peers = Peers(lambda *_: None, lambda _: iter(()), lambda _: None)
        self.watch = ShareWatch(self.links, clock.wall, keys.longest)

    # -- the loop -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start talking to the hubs."""
        for link in self.links:
            link.hub.start()

    def filenos(self) -> list[int]:
        """What becomes readable when something came; nothing without hubs."""
        return [] if self._bell is None else [self._bell.fileno()]

    def drain(self) -> None:
        """Forget the wake-ups."""
        if self._bell is not None:
            self._bell.drain()

    def _rouse(self) -> None:
        if (bell := self._bell) is not None:  # `close` may take it away meanwhile
            bell.ring()

    def turn(self) -> None:
        """Take what came, and give each idle hub what it is owed."""
        if not self.links:
            return
        now = self._clock.now()
        took = self._take(now)
        self._removals.turn(now)
        self.outbox.turn(now)
        for link in self.links:
            if link.clock.offset is None:
                continue
            if took or now >= link.look:
                link.look = now + _LOOK
                self._read(link, now)
            if link.hub.idle and self.outbox.due(link.number - 1, now):
                self._give(link, now)
        if now >= self._look and any(link.reason is None for link in self.links):
            self._look = now + _LOOK
            self.watch.look(self.inbox.nodes(now))

    def _give(self, link: Link, now: float) -> None:
        """What is owed, unless a burst went a moment ago."""
        monotonic = time.monotonic()
        if monotonic < link.rests_until and not self._closes:
            return
        outgoing = self.outbox.entries(link.number - 1, link.clock, now, _AT_ONCE)
        if self.outbox.under_way(link.number - 1) >= MOST_ROWS:
            link.rests_until = monotonic + _BURST
        link.hub.give(outgoing)

    def pause(self) -> float:
        """Seconds until something is due, if nothing comes."""
        if not self.links:
            return float("inf")
        if self._left or self._removals.busy:
            return 0.0
        now = self._clock.now()
        due = [now + _LOOK]
        if (turn := self.outbox.next_turn()) is not None:
            due.append(turn)
        due += [
            max(self.outbox.next_due(link.number - 1, now), now + link.rests_until - time.monotonic())
            for link in self.links
            if link.hub.idle and link.clock.offset is not None
        ]
        return max(0.0, min(due) - now)

    def changed(self, delta: Delta) -> None:
        """What the ledger changed."""
        if self.links and self._keys.publish:
            self.outbox.take(delta, self._clock.now())
            self.watch.unshared(self.outbox.refused)

    def replayed(self) -> None:
        """The past is read: all rows, for those of a checkpoint were not told of as changes."""
        self._starts = False
        if self.links and self._keys.publish:
            self.changed(Delta(self._ledger.rows()))

    @property
    def ready(self) -> bool:
        """Whether a start need not wait for the hubs any longer."""
        if not self.receives:
            return True
        now = self._clock.now()
        up = [link.number - 1 for link in self.links if link.state == "up"]
        if up and all(map(self.inbox.lacks, up)):
            return not any(link.may_give(now) for link in self.links)
        return bool(up) or self.inbox.ready(now)

    @property
    def longest(self) -> int:
        """Seconds that a row of another node lasts at most."""
        return self._keys.longest

    @property
    def receives(self) -> bool:
        """Whether rows of other nodes may come."""
        return bool(self.links) and bool(self._keys.from_)

    def coverage(self) -> list[Coverage]:
        """Like that of a log, of all hubs together; none where no other node is trusted."""
        if not self.receives:
            return []
        complete = self.inbox.complete(self._clock.now())
        reason = "the hubs explain all rows of other nodes" if complete else "no hub explains all rows of other nodes"
        return [Coverage(complete, reason)]

    def close(self) -> None:
        """Send what is owed, as far as the hubs take it within some seconds, and end."""
        if self._bell is None:
            return
        end = time.monotonic() + _FLUSH
        self._closes = True
        self.outbox.hurry(self._clock.now())
        poller = select.poll()
        poller.register(self._bell, select.POLLIN)
        while self._owing() and time.monotonic() < end:
            self.turn()
            poller.poll(50)
            self.drain()
        for link in self.links:
            link.hub.close()
        self._bell.close()
        self._bell = None

    def _owing(self) -> bool:
        return any(link.writing is None and self.outbox.waiting(link.number - 1) for link in self.links)

    # -- what came ----------------------------------------------------------------------------------------------------

    def _read(self, link: Link, now: float) -> None:
        """Have the hub's reader go where something is to be read."""
        if link.reason is None:
            self.inbox.turn(link.number - 1, now)
        link.waits = self._starts and link.is_second(self.links, now)
        hold = self._removals.hold(now)
        if not link.waits and (reads := self.inbox.reads(link.number - 1, link.clock, now, removing=hold)):
            link.fresh |= {read.node for read in reads}
            link.ask(now)
            link.hub.read(reads)
            self.watch.note(link)

    def _take(self, now: float) -> bool:
        """What came, within the bound of a turn; whether there was something."""
        begun, took, self._left = time.monotonic(), False, False
        budget = _START_BUDGET if self._starts else _BUDGET
        for link in self.links:
            while (came := link.hub.take()) is not None:
                took = True
                self._heed(link, came, now)
                if time.monotonic() - begun > budget:
                    self._left = True
                    break
        return took

    def _heed(self, link: Link, came: object, now: float) -> None:
        number = link.number - 1
        match came:
            case Entries(got):
                self._arrived(link, got, now)
                return
            case Exchanged():
                self._exchanged(link, came, now)
            case Failed(reason):
                self.outbox.failed(number, now)
                link.reconnects += 1
                link.writing = reason
            case Connected():
                link.reading = None
                self.inbox.connected(number, now)
            case Lost(reason):
                link.reconnects += 1
                link.reading = reason
            case CaughtUp(node, reading):
                if self.inbox.caught_up(number, node, reading):
                    link.fresh.discard(node)
        self.watch.note(link)

    def _exchanged(self, link: Link, came: Exchanged, now: float) -> None:
        number = link.number - 1
        if not self.outbox.end_was(number, came.end, now) and now - link.said > _SAID:
            link.said = now
            log.warning(
                "hub %s: our stream does not end with what we last wrote: the hub lost data (flush, eviction, restart, "
                "failover), or another daemon calls itself %s too; all rows are sent again",
                link.hub.url.text,
                self.node,
            )
        if came.ids:
            self.outbox.wrote(number, came.ids)
        # After that: what was written just now bears the time of the clock before it was set, and goes with the rest.
        self._sampled(link, came.sampled, now)
        link.writing = None
        link.hub.idle = True
        self.inbox.discovered(came.nodes)

    def _sampled(self, link: Link, sampled: Sampled, now: float) -> None:
        link.delay = sampled.answered - sampled.asked
        step = link.clock.sample(*sampled)
        if step:
            log.warning(
                "hub %s: its clock was set by %.1f s; all rows are sent again, and read again", link.hub.url.text, step
            )
            self.outbox.stepped(link.number - 1, now)
        self.inbox.sampled(link.number - 1, step, now)

    def _arrived(self, link: Link, got: list[Got], now: float) -> None:
        link.gave = now
        arrived = self.inbox.take(link.number - 1, link.clock, got, now)
        if arrived.denied:
            self._removals.add(arrived.denied)
            self.outbox.beat(now)
        if not arrived.rows:
            return
        live = got[0].node not in link.fresh
        self.peers.merge(arrived.rows, live)
        if live:
            hub = link.clock.hub(self._clock.now())
            for each in got:
                if isinstance(each.message, Message) and each.message.rows:
                    self.delays.observe(max(0.0, hub - each.message.time / 1000))

    # -- commands -----------------------------------------------------------------------------------------------------

    def nodes(self) -> list[NodeState]:
        """The other nodes, but for forgotten ones."""
        if not self.links:
            return []
        return [each for each in self.inbox.nodes(self._clock.now()) if each.name not in self.watch.forgotten]

    def trust(self, names: Iterable[str]) -> None:
        """Trust these nodes from now on."""
        if gone := self.inbox.trust(names):
            self.peers.distrust(gone)

    def forget(self, node: str) -> bool:
        """Do not wait for this node until it is heard again; whether it is known."""
        known = node in {each.name for each in self.nodes()}
        self.watch.forget(node)
        return known
