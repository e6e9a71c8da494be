"""Which of our own rows and revocations to send to which hub, and when. Pure: no clock, no network.

One Outbox serves all hubs; a hub is its number. Of a hub's pipeline (XREVRANGE, XADD…, TIME) the daemon tells what came
back; then `entries` makes the next bytes. Order of one exchange: `end_was` with the last id that XREVRANGE found
*before* the XADDs, then `wrote` with their ids, or `failed`.

A row is sent at once when the others do not know it, else when the end that they know is less than half of `grace`
away: so no mirror ends a row before we do, and what all hubs' death leaves lasts half of `grace` at least. What is sent
is what the ledger says when the bytes are made, at most `grace` long; so the row of an open session, which has no end
that anybody knows, is one that is renewed each half of `grace`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from math import floor
from typing import Final, NamedTuple

from pbs_fast.events import Delta, Grant
from pbs_fast.ledger.expiry import ExpiryQueue
from pbs_fast.share.clock import HubClock
from pbs_fast.share.message import MOST_ROWS, Beat, Entry, Fields, Writer, number_of, stream_of
from pbs_fast.share.owed import COLLECT, Owed
from pbs_fast.share.own_rows import NativeRows, Own, Rows, carried, native_lists, travelling
from pbs_fast.share.tombstones import Denied, Subject, wire

#: Seconds between beats.
BEAT: Final = 10
#: Seconds before the end that the others know from which a renewal is urgent.
_NEAR = 2 * COLLECT
#: Rows that are looked at in one turn, 5 ms of work: a million may come to their half-life in one second.
_PART = 1_000
#: Rows that are owed again in one part of a full send, whose rows need no look: 2 ms of work.
_OWED_PART = 10_000
#: Seconds by which our stream reaches back further than `grace`.
_REACH = 60


class Trim(NamedTuple):
    """What XADD is to drop from our stream."""

    minid: str
    exact: bool
    """True: `MINID = minid`, after a step of the hub's clock; False: `MINID ~ minid`."""


class Outgoing(NamedTuple):
    """One XADD to our stream."""

    entry: Entry
    trim: Trim | None


class Outbox:
    """What is owed to each hub. Not for several threads at once."""

    def __init__(
        self,
        *,
        site: str,
        node: str,
        run: str,
        secret: bytes,
        grace: int,
        longest: int,
        rows: Rows,
        hubs: int,
        version: str,
        seen: Callable[[], dict[str, int]],
        now: float,
        random: Callable[[], float],
        native: NativeRows | None = None,
    ) -> None:
        """`run` tells this run of the daemon from others (8 hex digits); `longest` is how long after its `until` a
        revocation is sent, as in `Tombstones`; `seen` is `Tombstones.seen`; `random` gives numbers of [0, 1) for the
        jitter; with `native` the same bytes are made sooner."""
        self.counters: list[Counter[str]] = [Counter() for _ in range(hubs)]
        """For each hub: `rows_sent`, `messages_sent`, `end_differs`, and `full_CAUSE`."""
        self.refused = 0
        """Own rows that no message can carry (texts too long or not printable)."""
        self._node, self._grace, self._longest, self._rows, self._native = node, grace, longest, rows, native
        self._half = max(1, grace // 2)
        self._version, self._seen, self._random, self._began = version, seen, random, now
        self._hubs = [Owed(Writer(stream_of(site, node), run, secret), now) for _ in range(hubs)]
        self._known: dict[str, Grant] = {}
        """Each own row as the others know it."""
        self._queue = ExpiryQueue()
        """When to look at which row of `_known`: at its half-life, and at that end."""
        self._looks: deque[str] = deque()
        """Rows whose time to be looked at has come."""
        self._again: deque[tuple[Owed, deque[str]]] = deque()
        """Full sends that begin: rows that are to be owed again."""
        self._revokes: dict[Subject, tuple[Denied, float]] = {}
        """Revocations of this node, each with the second until which they are sent."""
        self._revokes_at: float | None = None

    # -- what changes -------------------------------------------------------------------------------------------------

    def take(self, delta: Delta, now: float) -> None:
        """What the ledger changed, by our own logs or by other nodes: only rows of our own logs are sent."""
        rows = self._rows.owns_of({**delta.hidden, **delta.set} if delta.hidden else delta.set)
        far, known = now + self._half, self._known.get
        # A renewal that is not due yet costs this look-up, and no more.
        due = [
            each
            for each in rows
            if (sent := known(each[0])) is None or (end := sent[0]) <= now or (end < far and each[1][0] > end)
        ]
        if due:
            self._send(due, now)
        for ip in delta.removed:
            self._forget(ip)

    def revoke(self, denied: Denied, now: float) -> None:
        """Send a revocation of this node at once, and again each half of `grace` for as long as a row may come that it
        covers, or that the revocation that it undoes would cover."""
        before = self._revokes.get(denied.subject)
        over = max(denied.until + self._longest, now + self._longest, 0 if before is None else before[1])
        self._revokes[denied.subject] = denied, over
        self._owe_revokes([denied.subject])
        if self._revokes_at is None:
            self._revokes_at = now + self._half

    def revoked(self, denied: Iterable[Denied], now: float) -> None:
        """After revocations of any node, and the removal of the own rows that they cover: send the rows that stay, of a
        later login or of another user, because the others remove what they know by these names."""
        denied = tuple(denied)
        rows = self._rows.owns(
            [ip for ip, sent in self._known.items() if any(each.names(ip, sent) for each in denied)] if denied else ()
        )
        for ip, _ in rows:
            del self._known[ip]
        self._send(rows, now)

    def turn(self, now: float) -> None:
        """Half-lives and full sends whose time has come, a part of them; `next_turn` says whether more waits."""
        self._looks += self._queue.due(now)
        if self._looks:
            self._look([self._looks.popleft() for _ in range(min(_PART, len(self._looks)))], now)
        if self._revokes_at is not None and self._revokes_at <= now:
            self._revokes = {subject: each for subject, each in self._revokes.items() if each[1] > now}
            self._owe_revokes(self._revokes)
            self._revokes_at = now + self._half if self._revokes else None
        for number, hub in enumerate(self._hubs):
            if hub.full_at is not None and hub.full_at <= now:
                self.counters[number][f"full_{hub.full_cause}"] += 1
                hub.begin_full(self._revokes, now)
                self._again.append((hub, deque(self._known)))
        if self._again:
            self._owe_part(now)

    def _owe_part(self, now: float) -> None:
        hub, ips = self._again[0]
        some = [ips.popleft() for _ in range(min(_OWED_PART, len(ips)))]
        hub.owe_again([ip for ip in some if ip in self._known], now)
        if not ips:
            self._again.popleft()

    def next_turn(self) -> float | None:
        """When to call `turn` again, at the latest."""
        if self._looks or self._again:
            return float("-inf")
        times = [self._queue.next(), self._revokes_at, *(hub.full_at for hub in self._hubs)]
        return min((time for time in times if time is not None), default=None)

    def ask(self, now: float) -> None:
        """Send all own rows to all hubs again."""
        for hub in self._hubs:
            hub.plan_full("asked", self._random(), now)

    def beat(self, now: float) -> None:
        """Send the next beats now: who revoked something waits for its confirmation."""
        for hub in self._hubs:
            hub.beat_at = min(hub.beat_at, now)

    def hurry(self, now: float) -> None:
        """Collect no longer: what is owed is due now."""
        for hub in self._hubs:
            hub.hurry(now)

    # -- one hub's exchanges ------------------------------------------------------------------------------------------

    def due(self, hub: int, now: float) -> bool:
        """Whether `entries` has something to send now: a new row, rows collected for 5 s, or a beat."""
        return self.next_due(hub, now) <= now

    def next_due(self, hub: int, now: float) -> float:
        """When `due` becomes true without a further change; never while messages are under way."""
        return self._hubs[hub].next_due(now)

    def waiting(self, hub: int) -> int:
        """Rows and revocations owed to a hub, those under way included."""
        each = self._hubs[hub]
        return each.waiting() + sum(len(ips) for other, ips in self._again if other is each)

    def under_way(self, hub: int) -> int:
        """Rows whose messages the hub has not confirmed."""
        flying = self._hubs[hub].flying
        return 0 if flying is None else len(flying[0])

    def sends_all_at(self, hub: int) -> float | None:
        """When all own rows are sent to a hub again; None when that is not needed."""
        return self._hubs[hub].full_at

    def entries(self, hub: int, clock: HubClock, now: float, most: int = 64) -> list[Outgoing]:
        """Make the next messages of a hub, revocations and new rows first; the last one is a beat where one is due.

        They are under way until `wrote` or `failed`, and until then there are no others. `most` bounds the messages
        that carry rows, as far as these are not so long that they need more. Raises ValueError while the hub's clock is
        not known.
        """
        each, offset = self._hubs[hub], clock.hub(now) - now
        if each.flying is not None:
            return []
        time = floor(clock.hub(now) * 1000)
        ips, subjects = each.next(MOST_ROWS * most, now)
        revokes = [wire(self._revokes[subject][0], offset) for subject in subjects if subject in self._revokes]
        made = [*each.writer.revokes(time, self._node, revokes)]
        if self._native is None:
            made += each.writer.rows(time, self._made(ips, now))
        elif ips:
            made += each.writer.lists(time, native_lists(self._native, self._rows, ips, now, self._grace))
        if each.beat_at <= now:
            each.beat_at = now + BEAT
            made.append(each.writer.beat(time, self._beat(now)))
        each.send(ips, subjects, len(made))
        return [Outgoing(entry, self._trim(each) if number == 0 else None) for number, entry in enumerate(made)]

    def wrote(self, hub: int, ids: Sequence[str]) -> None:
        """All messages under way were written, with these ids."""
        rows = self._hubs[hub].wrote(ids)
        if rows is not None:
            self.counters[hub].update(rows_sent=rows, messages_sent=len(ids))

    def failed(self, hub: int, now: float) -> None:
        """Nobody knows which of the messages under way were written: all their rows are owed again."""
        self._hubs[hub].failed(now)

    def end_was(self, hub: int, last: str | None, now: float) -> bool:
        """The last id of our stream, None if it is empty; whether it is that of our last XADD. If not, all own rows are
        sent again after 0-5 s, at most once a minute."""
        each = self._hubs[hub]
        if each.ends_with(last, now):
            return True
        self.counters[hub]["end_differs"] += 1
        each.plan_full("end_differs", self._random(), now)
        return False

    def stepped(self, hub: int, now: float) -> None:
        """The hub's clock was set (`HubClock.sample`): all rows again, and what was written before is dropped, because
        its times are not those of the hub's clock any more."""
        each = self._hubs[hub]
        each.cut_here()
        each.plan_full("hub_step", self._random(), now)

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _look(self, ips: Iterable[str], now: float) -> None:
        """The half-life of what the others know has come, or its end."""
        longer: list[Own] = []
        for ip in ips:
            sent, own = self._known.get(ip), self._rows.own(ip)
            if sent is None:
                continue
            known = sent.expires
            if own is None or own.expires <= now:
                self._forget(ip)
            elif known - self._half > now:
                continue  # sent anew in between: it is queued for that
            elif own.expires > known:
                longer.append((ip, own))
            else:
                self._queue.add(ip, known)
        self._send(longer, now)

    def _send(self, rows: list[Own], now: float) -> None:
        """Owe these rows, each once."""
        rows, refused = carried(rows, self._native)
        self.refused += sum(own.expires > now for own in refused)
        second = floor(now)
        most, soonest, near = second + self._grace, second + 1, now + _NEAR
        known, half, bucket = self._known, self._half, self._queue.bucket
        urgent = [ip for ip, own in rows if own[0] > second]
        later: list[str] = []
        if not known.keys().isdisjoint(urgent):
            later = [ip for ip in urgent if (sent := known.get(ip)) is not None and sent[0] >= near]
            urgent = [ip for ip in urgent if (sent := known.get(ip)) is None or sent[0] < near]
        newest = is_live = is_cut = None
        for ip, own in rows:
            end = own[0]
            if end != newest:  # the rows of a burst end in few seconds
                newest, is_live, is_cut = end, end > second, end > most
                if is_live:
                    look = bucket(max(soonest, min(end, most) - half)).append
            if is_live:
                known[ip] = own._replace(expires=most) if is_cut else own
                look(ip)
        for hub in self._hubs:
            if urgent:
                hub.owe(urgent, now, urgent=True)
            if later:
                hub.owe(later, now, urgent=False)

    def _forget(self, ip: str) -> None:
        if self._rows.own(ip) is None:
            self._known.pop(ip, None)
            for hub in self._hubs:
                hub.disown(ip)

    def _made(self, ips: Iterable[str], now: float) -> list[Fields]:
        return travelling(self._rows, ips, now, self._grace)

    def _beat(self, now: float) -> Beat:
        return Beat(len(self._known), self._version, self._grace, self._seen(), floor(now - self._began))

    def _trim(self, hub: Owed) -> Trim | None:
        if hub.cut is not None:
            return Trim(hub.cut, True)
        if hub.last is None:
            return None
        return Trim(f"{max(number_of(hub.last)[0] - (self._grace + _REACH) * 1000, 0)}-0", False)

    def _owe_revokes(self, subjects: Iterable[Subject]) -> None:
        for hub in self._hubs:
            hub.revokes.update(dict.fromkeys(subjects))
